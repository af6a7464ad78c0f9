"""SAM, HQ-SAM and SAM-Med2D answer as published, under the same weights."""

import pytest
import torch

from parity import (
    Probe,
    cases_of,
    distance,
    encoder_modules,
    manifest_of,
    parity_network,
    parity_state,
    probe_distances,
)
from SAMUNetSlicerLib.networks.parts.sam_decoding import MaskChoice, choose_mask
from SAMUNetSlicerLib.networks.parts.sam_parts import encode_prompts
from SAMUNetSlicerLib.networks.registry import build


def encode(network, case, modules):
    with Probe(modules) as seen, torch.inference_mode():
        return network.encode(case.input), probe_distances(case, seen)


def check_queries(network, case, embedding, tolerance):
    for query in case.queries:
        with torch.inference_mode():
            sparse, _ = encode_prompts(network.prompt_encoder, query.prompts)
            every = network.decode_all(embedding, query.prompts)
            answer = network.decode(embedding, query.prompts)
        masks = slice(1, 4) if query.multimask else slice(0, 1)
        assert distance(sparse, query["sparse_tokens"]) <= tolerance, query.name
        assert distance(every.logits[:, masks], query["logits"]) <= tolerance, query.name
        assert distance(every.quality[:, masks], query["iou"]) <= tolerance, query.name
        assert answer.logits.shape[1] == answer.quality.shape[1] == 1


def test_sam_med2d_agrees():
    network = parity_network("sam_med2d")
    assert sum(p.numel() for p in network.parameters()) == manifest_of("sam_med2d")["param_count"]
    modules = {"image_embedding": network.image_encoder.neck, "patch_embed": network.image_encoder.patch_embed}
    modules |= {f"adapter_{n:02d}": block.Adapter for n, block in enumerate(network.image_encoder.blocks)}
    for case in cases_of("sam_med2d"):
        embedding, distances = encode(network, case, modules)
        assert len(distances) >= 5
        assert max(distances.values()) <= 2e-4, distances
        check_queries(network, case, embedding, 2e-4)
        query = next((q for q in case.queries if q.multimask), None)
        if query is not None:  # the published predictor keeps the best of three
            with torch.inference_mode():
                answer = network.decode(embedding, query.prompts)
            best = query["iou"][0].argmax()
            assert distance(answer.logits, query["logits"][:, best : best + 1]) <= 2e-4


@pytest.mark.slow  # 1024 px: about a minute on two cores
def test_sam_vit_b_agrees():
    network = parity_network("sam_vit_b")
    for case in cases_of("sam_vit_b"):
        embedding, distances = encode(network, case, encoder_modules(network.image_encoder))
        assert len(distances) >= 14
        assert max(distances.values()) <= 2e-4, distances
        check_queries(network, case, embedding, 2e-4)


@pytest.mark.slow  # 1024 px: about a minute on two cores
def test_hq_sam_agrees_summed_and_by_itself():
    state = parity_state(manifest_of("hq_sam_vit_b")["keys"])
    networks = {}
    for only, family in ((False, "hq_sam_vit_b"), (True, "hq_sam_vit_b_only")):
        networks[only] = build(family)
        networks[only].load_state_dict(state, strict=True, assign=True)
    for case in cases_of("hq_sam_vit_b"):
        embedding, distances = encode(networks[False], case, encoder_modules(networks[False].image_encoder))
        assert max(distances.values()) <= 1e-3, distances
        for query in case.queries:
            with torch.inference_mode():
                decoded = networks[query.hq_token_only].decode(embedding, query.prompts)
            assert distance(decoded.logits, query["logits"]) <= 1e-3, query.name
            assert distance(decoded.quality, query["iou"]) <= 1e-3, query.name


@pytest.mark.parametrize("family", ["hq_sam_vit_b", "sam_vit_b", "sam_med2d"])
def test_state_dict_has_the_published_names_and_shapes(family):
    expected = {name: tuple(key["shape"]) for name, key in manifest_of(family)["keys"].items()}
    assert {name: tuple(tensor.shape) for name, tensor in build(family).state_dict().items()} == expected


@pytest.mark.parametrize(("family", "parameters"), [("sam_vit_l", 312_342_832), ("sam_vit_h", 641_090_608)])
def test_larger_sams_have_the_published_size(family, parameters):
    assert sum(p.numel() for p in build(family).parameters()) == parameters


def test_medsam_has_the_layout_of_sam_and_its_own_preprocessing():
    sam, medsam = build("sam_vit_b"), build("medsam_vit_b")
    assert sam.state_dict().keys() == medsam.state_dict().keys()
    assert sam.spec.preprocessing != medsam.spec.preprocessing
    assert sam.spec.trained_prompts != medsam.spec.trained_prompts


def test_the_best_of_three_is_taken_for_one_point_by_itself_only():
    from SAMUNetSlicerLib.networks.base import Decoded, NetworkPrompts

    logits = torch.arange(8.0).reshape(2, 4, 1, 1)
    decoded = Decoded(logits, torch.tensor([[0.9, 0.1, 0.3, 0.2], [0.9, 0.5, 0.3, 0.2]]))
    point, labels = torch.zeros(2, 1, 2), torch.ones(2, 1)
    box = torch.tensor([[0.0, 0.0, 5.0, 5.0]]).expand(2, 4)
    one_point = choose_mask(decoded, NetworkPrompts(point, labels), MaskChoice.BY_PROMPT)
    assert one_point.logits.flatten().tolist() == [2, 5]
    assert one_point.quality.flatten().tolist() == pytest.approx([0.3, 0.5])
    for prompts in (
        NetworkPrompts(point, labels, boxes_xyxy=box),
        NetworkPrompts(point.expand(2, 2, 2), labels.expand(2, 2)),
        NetworkPrompts(boxes_xyxy=box),
    ):
        assert choose_mask(decoded, prompts, MaskChoice.BY_PROMPT).logits.flatten().tolist() == [0, 4]
