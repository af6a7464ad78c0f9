"""SAM-UNet's start from SAM's ViT-B is the published one."""

import json

import numpy as np
import pytest
import torch

from parity import PARITY_FOLDER, manifest_of, parity_state
from SAMUNetSlicerLib.errors import ModelError
from SAMUNetSlicerLib.networks.registry import build
from SAMUNetSlicerLib.networks.sam_start import resize_positions, sam_unet_start

EXPECTED = json.loads((PARITY_FOLDER / "sam_unet_init.json").read_text())
SUMMARY = EXPECTED.pop("_")


@pytest.fixture(scope="module")
def sam_state():
    return parity_state(manifest_of("sam_vit_b")["keys"])


@pytest.fixture(scope="module")
def start(sam_state):
    return sam_unet_start(build("sam_unet_res34"), sam_state)


def test_every_shared_entry_is_taken_and_nothing_else(sam_state, start):
    copied = [n for n, tensor in start.items() if any(tensor.data_ptr() == t.data_ptr() for t in sam_state.values())]
    assert len(start) == SUMMARY["keys"]
    assert len(copied) == SUMMARY["copied_identically"]
    assert len(sam_state) - len(start) == 32
    assert "mask_decoder.sam_mask_decoder.transformer.norm_final_attn.weight" in copied


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_resized_positions_agree(start, name):
    expected = EXPECTED[name]
    tensor = start[name.replace("image_encoder.", "image_encoder.sam_img_encoder.")]
    flat = tensor.flatten().numpy()
    assert list(tensor.shape) == expected["shape"]
    np.testing.assert_allclose(flat[:8], expected["first8"], atol=1e-6)
    np.testing.assert_allclose(flat[-8:], expected["last8"], atol=1e-6)
    np.testing.assert_allclose(
        [flat.mean(dtype=float), flat.std(ddof=1)], [expected["mean"], expected["std"]], atol=1e-6
    )


def test_network_takes_the_start_and_keeps_its_own_parts(start):
    network = build("sam_unet_res34")
    missing, unexpected = network.load_state_dict(start, strict=False, assign=True)
    assert not unexpected
    roots = {name.split(".")[0] for name in missing}
    assert roots == {"resnet", "adapters_in", "adapters_bridge", "embedding_encoder", "mask_decoder"}


def test_positions_of_the_right_size_are_left_alone(sam_state):
    assert resize_positions(sam_state, 64)["image_encoder.pos_embed"] is sam_state["image_encoder.pos_embed"]


@pytest.mark.parametrize("key", ["image_encoder.pos_embed", "mask_decoder.transformer.norm_final_attn.weight"])
def test_another_checkpoint_is_refused(sam_state, key):
    damaged = {name: tensor for name, tensor in sam_state.items() if name != key}
    with pytest.raises(ModelError, match="not a SAM ViT-B"):
        sam_unet_start(build("sam_unet_res34"), damaged)
    damaged[key] = torch.zeros(1, 2, 2, 5)
    with pytest.raises(ModelError, match="not a SAM ViT-B"):
        sam_unet_start(build("sam_unet_res34"), damaged)
