"""Med-SA answers as published, plane by plane and on stacks of planes."""

import pytest
import torch

from parity import Probe, cases_of, distance, encoder_modules, manifest_of, parity_state, probe_distances
from SAMUNetSlicerLib.networks.base import NetworkPrompts
from SAMUNetSlicerLib.networks.parts.sam_parts import encode_prompts
from SAMUNetSlicerLib.networks.registry import build, entry_of

TOLERANCE = 2e-4


@pytest.fixture(scope="module")
def tensors():
    return parity_state(manifest_of("med_sa")["keys"])


def loaded(family, tensors):
    network = build(family, **entry_of(family).network_class.settings_of(tensors))
    network.load_state_dict(network.state_from(tensors, {}), strict=True, assign=True)
    return network


def encode(network, case, images):
    with Probe(encoder_modules(network.image_encoder)) as seen, torch.inference_mode():
        embedding = network.encode(images)
    seen = {name: tensor for name, tensor in seen.items() if not name.startswith("block_")}
    assert max(probe_distances(case, seen).values()) <= TOLERANCE
    return embedding


def query(case, number, entry):
    name = f"q{number}.{entry}"
    return torch.from_numpy(case[name]) if name in case else None


def test_planes_by_themselves_agree(tensors):
    network = loaded("med_sa", tensors)
    assert network.spec.preprocessing.input_size == 256
    for case in cases_of("med_sa")[:2]:
        embedding = encode(network, case, case.input)
        for number in range(len(case.index["queries"])):
            prompts = NetworkPrompts(
                query(case, number, "points_in"), query(case, number, "labels"), query(case, number, "boxes_in")
            )
            with torch.inference_mode():
                sparse, _ = encode_prompts(network.prompt_encoder, prompts)
                decoded = network.decode(embedding, prompts)
            assert distance(sparse, case[f"q{number}.sparse_tokens"]) <= TOLERANCE
            assert distance(decoded.logits, case[f"q{number}.logits"]) <= TOLERANCE
            assert distance(decoded.quality, case[f"q{number}.iou"]) <= TOLERANCE


def test_stacks_agree_with_the_points_of_all_planes_as_one_prompt(tensors):
    network = loaded("med_sa_3d", tensors)
    case = cases_of("med_sa")[2]
    grey = torch.from_numpy(case["input_gray"])
    assert network.spec.stack == case.index["chunk"] == len(grey)
    embedding = encode(network, case, grey[:, None].expand(-1, 3, -1, -1))
    prompts = NetworkPrompts(
        query(case, 0, "points_in").expand(len(grey), -1, -1),
        query(case, 0, "labels").expand(len(grey), -1),
        plane_index=torch.arange(len(grey)),
    )
    with torch.inference_mode():
        decoded = network.decode(embedding, prompts)
    assert distance(decoded.logits, case["q0.logits"]) <= TOLERANCE
    assert distance(decoded.quality, case["q0.iou"]) <= TOLERANCE


def test_an_incomplete_stack_is_refused():
    with pytest.raises(ValueError, match="stacks of 4 planes, got 3"):
        build("med_sa_3d", input_size=64, device="cpu").encode(torch.zeros(3, 3, 64, 64))


def test_files_without_depth_adapters_load_as_planes_only(tensors):
    flat = {name: tensor for name, tensor in tensors.items() if "Depth_Adapter" not in name}
    loaded("med_sa", flat)
    with pytest.raises(RuntimeError, match="Depth_Adapter"):
        loaded("med_sa_3d", flat)
