"""SAMed and MA-SAM, given SAM's checkpoint and their own, answer as published."""

import pytest
import torch

from parity import Probe, cases_of, distance, encoder_modules, manifest_of, parity_delta, parity_state, probe_distances
from SAMUNetSlicerLib.networks.base import NetworkPrompts
from SAMUNetSlicerLib.networks.registry import build, entry_of

TOLERANCE = 2e-4


def assembled(family, **settings):
    delta, base = parity_delta(family), parity_state(manifest_of("sam_vit_b")["keys"])
    network = build(family, **entry_of(family).network_class.settings_of(delta), **settings)
    network.load_state_dict(network.state_from(delta, base), strict=True, assign=True)
    return network


def answer(network, planes):
    """Embedding probes and answers for (N, S, S) grey planes in [0, 1]."""
    with Probe(encoder_modules(network.image_encoder)) as seen, torch.inference_mode():
        embedding = network.encode(planes[:, None].expand(-1, 3, -1, -1))
        decoded = network.decode(embedding, NetworkPrompts(plane_index=torch.arange(len(planes))))
    return seen, decoded


def classes_of(logits, side):
    """Class maps, as published: the largest of the resized logits."""
    resized = torch.nn.functional.interpolate(logits, (side, side), mode="bilinear", align_corners=False)
    return resized.argmax(dim=1)


def differing(actual, expected):
    return (actual.numpy() != expected).mean()


def test_samed_agrees():
    network = assembled("samed")
    assert network.spec.classes == 8
    for case in cases_of("samed"):
        seen, decoded = answer(network, torch.from_numpy(case["input"])[None])
        distances = probe_distances(case, seen)
        assert len(distances) >= 14
        assert max(distances.values()) <= TOLERANCE, distances
        assert distance(decoded.logits, case["logits"]) <= TOLERANCE
        assert distance(decoded.quality, case["iou"]) <= TOLERANCE
        assert differing(classes_of(decoded.logits, 512)[0], case["classes"]) < 1e-4


def test_samed_adapts_the_positions_of_its_base_as_published():
    network = build("samed")
    state = network.state_from(parity_delta("samed"), parity_state(manifest_of("sam_vit_b")["keys"]))
    for name, expected in manifest_of("samed")["derived_probe"].items():
        assert list(state[name].shape) == expected["shape"]
        assert state[name].flatten()[:8].tolist() == pytest.approx(expected["first8"], abs=1e-6)
        assert state[name].mean().item() == pytest.approx(expected["mean"], abs=1e-6)
        assert state[name].std().item() == pytest.approx(expected["std"], abs=1e-6)


def test_ma_sam_agrees_and_sees_the_order_of_the_planes():
    network = assembled("ma_sam", input_size=256)
    assert (network.spec.classes, network.spec.stack) == (2, 5)
    cases = cases_of("ma_sam")
    planes = torch.from_numpy(cases[0]["input"])
    for case in cases:
        order = torch.from_numpy(case["slice_order_of_c0"]) if "slice_order_of_c0" in case else torch.arange(5)
        seen, decoded = answer(network, planes[order])
        distances = probe_distances(case, seen)
        assert all(value <= TOLERANCE for name, value in distances.items() if not name.startswith("block_")), distances
        stride = int(case["logits_stride"])
        assert distance(decoded.logits[..., ::stride, ::stride], case["logits"]) <= TOLERANCE
        mean, deviation = torch.from_numpy(case["full_stats"])
        assert (decoded.logits.double().mean(dim=(2, 3)) - mean).abs().max() <= TOLERANCE
        assert (decoded.logits.double().std(dim=(2, 3)) - deviation).abs().max() <= TOLERANCE
        assert distance(decoded.quality, case["iou"]) <= TOLERANCE
        assert differing(classes_of(decoded.logits, 256), case["classes"]) < 1e-4


def test_an_incomplete_stack_is_refused():
    with pytest.raises(ValueError, match="stacks of 5 planes, got 4"):
        build("ma_sam", input_size=64, device="cpu").encode(torch.zeros(4, 3, 64, 64))


@pytest.mark.parametrize("family", ["samed", "ma_sam"])
def test_prompts_make_no_difference(family):
    torch.manual_seed(0)
    network = build(family, input_size=64, device="cpu")
    embedding_side = 4
    from SAMUNetSlicerLib.networks.base import Embedding

    embedding = Embedding({"image": torch.randn(1, 256, embedding_side, embedding_side)})
    with torch.inference_mode():
        plain = network.decode(embedding, NetworkPrompts(plane_index=torch.zeros(1, dtype=torch.long)))
        boxed = network.decode(embedding, NetworkPrompts(boxes_xyxy=torch.tensor([[1.0, 2.0, 30.0, 40.0]])))
    assert torch.equal(plain.logits, boxed.logits)
    assert plain.logits.shape[1] == 1 + network.spec.classes


@pytest.mark.parametrize(("width", "letter"), [(768, "b"), (1024, "l"), (1280, "h")])
def test_the_width_of_the_updates_tells_which_sam_is_the_base(width, letter):
    samed = {"w_a_000": torch.zeros(4, width), "mask_decoder.mask_tokens.weight": torch.zeros(5, 256)}
    ma_sam = {
        "image_encoder.FacTu.weight": torch.zeros(32, width),
        "mask_decoder.mask_tokens.weight": torch.zeros(3, 256),
    }
    for family, tensors in (("samed", samed), ("ma_sam", ma_sam)):
        network_class = entry_of(family).network_class
        assert network_class.base_family_of(tensors) == f"sam_vit_{letter}"
        assert network_class.settings_of(tensors)["size"].width == width
