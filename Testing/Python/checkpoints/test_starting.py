"""Training of SAM-UNet starts from SAM's ViT and an ImageNet ResNet."""

import pytest
import torch

from parity import manifest_of, parity_state
from SAMUNetSlicerLib.checkpoints.loading import load_network
from SAMUNetSlicerLib.checkpoints.metadata import read_metadata
from SAMUNetSlicerLib.checkpoints.places import weights_folder
from SAMUNetSlicerLib.checkpoints.starting import adapt_model, resnet_start
from SAMUNetSlicerLib.errors import ModelError
from SAMUNetSlicerLib.networks.parts.resnet import Backbone, ResNetStages

SHIPPED = weights_folder() / "lite_medsam.safetensors"


def test_sam_becomes_the_start_of_sam_unet(tmp_path):
    sam = parity_state(manifest_of("sam_vit_b")["keys"])
    torch.save(sam, tmp_path / "sam.pth")
    torch.manual_seed(1)
    state_before = torch.get_rng_state()
    adapt_model(tmp_path / "sam.pth", tmp_path / "a.safetensors")
    assert torch.equal(torch.get_rng_state(), state_before)
    adapt_model(tmp_path / "sam.pth", tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    model = load_network(tmp_path / "a.safetensors")
    vit = model.network.image_encoder["sam_img_encoder"]
    assert torch.equal(vit.neck[0].weight, sam["image_encoder.neck.0.weight"])
    assert read_metadata(tmp_path / "a.safetensors")["state"] == "untrained start"


def test_only_sam_unet_starts_from_sam(tmp_path):
    with pytest.raises(ModelError, match="Only sam_unet_res34"):
        adapt_model(SHIPPED, tmp_path / "out", family="lite_medsam")
    with pytest.raises(ModelError, match="not a SAM ViT-B"):
        adapt_model(SHIPPED, tmp_path / "out")


@pytest.mark.parametrize("backbone", list(Backbone))
def test_a_torchvision_resnet_fits_the_conv_branch(backbone):
    stages = ResNetStages(backbone).state_dict()
    published = {}
    for name, tensor in stages.items():
        theirs = name.replace("stage0.0.", "conv1.").replace("stage0.1.", "bn1.").replace("stage", "layer")
        published[theirs] = tensor
    published |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    start = resnet_start(published)
    assert {name.removeprefix("resnet.") for name in start} == set(stages)
    assert all(torch.equal(start[f"resnet.{name}"], tensor.float()) for name, tensor in stages.items() if tensor.dim())
