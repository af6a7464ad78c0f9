"""SAM-UNet answers as the published code does, under the same weights."""

import zlib

import pytest
import torch

from parity import Probe, cases_of, distance, manifest_of, parity_network, parity_state
from SAMUNetSlicerLib.networks.base import Embedding, NetworkPrompts

TOLERANCE = 1e-3


@pytest.fixture(scope="module", params=["sam_unet_res34", "sam_unet_res50"])
def family(request):
    return request.param


@pytest.fixture(scope="module")
def network(family):
    return parity_network(family)


@pytest.fixture(scope="module")
def encoded(family, network):
    """Each case with its embedding and the activations on the way to it."""
    vit = network.image_encoder["sam_img_encoder"]
    modules = {"resnet": network.resnet, "patch_embed": vit.patch_embed, "image_embedding": vit.neck}
    modules |= {f"block_{number:02d}": block for number, block in enumerate(vit.blocks)}
    modules |= {f"adapter_in_{n}": adapter["reshaper"] for n, adapter in enumerate(network.adapters_in)}
    modules |= {f"adapter_bridge_{n}": bridge for n, bridge in enumerate(network.adapters_bridge)}
    results = []
    for case in cases_of(family):
        with Probe(modules) as seen, torch.inference_mode():
            embedding = network.encode(case.input)
        seen |= {f"resnet[{n}]": feature for n, feature in enumerate(seen.pop("resnet"))}
        seen["multi_scale_feature"] = embedding.features["multi_scale"]
        results.append((case, embedding, seen))
    return results


def test_recipe_gives_the_weights_of_the_fixture(family):
    keys = {name: key for name, key in manifest_of(family)["keys"].items() if "blocks.0." in name or "stage1" in name}
    for name, tensor in parity_state(keys).items():
        assert zlib.crc32(tensor.numpy().tobytes()) == keys[name]["crc32"], name


def test_parameters_are_counted_and_frozen_as_published(family, network):
    manifest = manifest_of(family)
    parameters = dict(network.named_parameters())
    trainable = {name for name, parameter in parameters.items() if parameter.requires_grad}
    assert trainable == set(manifest["trainable_keys"])
    assert sum(p.numel() for p in parameters.values()) == manifest["param_count"]
    assert sum(parameters[name].numel() for name in trainable) == manifest["trainable_param_count"]


def test_state_dict_has_the_published_names_and_shapes(family, network):
    expected = {name: tuple(key["shape"]) for name, key in manifest_of(family)["keys"].items()}
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == expected


def test_activations_agree(encoded):
    for case, _embedding, seen in encoded:
        # The published code adds the bridges in place, so that its "embedding_encoder" is the multi-scale feature.
        missing = set(case.probes) - set(seen) - {"embedding_encoder"}
        assert not missing
        distances = {name: case.probe_distance(name, activation) for name, activation in seen.items()}
        assert max(distances.values()) <= TOLERANCE, distances


def test_logits_agree_for_every_kind_of_prompt(network, encoded):
    kinds = set()
    for case, embedding, _seen in encoded:
        for query in case.queries:
            with torch.inference_mode():
                decoded = network.decode(embedding, query.prompts)
            kinds.add(query.prompts.kinds)
            assert distance(decoded.logits, query["logits"]) <= TOLERANCE, (case.name, query.name)
            assert decoded.quality is None
    assert len(kinds) >= 5


def test_prompts_of_several_planes_decode_in_one_batch(network, encoded):
    together = Embedding.concatenate([embedding for _case, embedding, _seen in encoded])
    queries = [case.queries[0] for case, _embedding, _seen in encoded]
    prompts = NetworkPrompts(
        boxes_xyxy=torch.cat([query.prompts.boxes_xyxy for query in reversed(queries)]),
        plane_index=torch.tensor([2, 1, 0]),
    )
    with torch.inference_mode():
        decoded = network.decode(together, prompts)
    for row, query in enumerate(reversed(queries)):
        assert distance(decoded.logits[row : row + 1], query["logits"]) <= TOLERANCE
