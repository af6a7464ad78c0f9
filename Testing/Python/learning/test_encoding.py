import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from SAMUNetSlicerLib.errors import ModelError
from SAMUNetSlicerLib.learning.data.encoding import build_encode, load_encoder, torch_encode
from SAMUNetSlicerLib.networks.parts.tiny_vit import TinyVit


def test_the_encoder_of_a_whole_checkpoint_is_found(tmp_path):
    state = {f"image_encoder.{name}": tensor for name, tensor in TinyVit().state_dict().items()}
    save_file(state | {"mask_decoder.other": torch.zeros(1)}, tmp_path / "all.safetensors")
    encoder = load_encoder(tmp_path / "all.safetensors")
    assert not encoder.training
    assert torch.equal(encoder.neck[0].weight, state["image_encoder.neck.0.weight"])


def test_a_checkpoint_without_the_encoder_is_refused(tmp_path):
    save_file({"something": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="image encoder"):
        load_encoder(tmp_path / "other.safetensors")


@pytest.mark.slow
def test_openvino_and_torch_encode_alike():
    pytest.importorskip("openvino", reason="the extra 'fast' is not installed")
    torch.manual_seed(0)
    encoder = TinyVit().eval()
    images = np.random.default_rng(0).random((1, 3, 256, 256), dtype=np.float32)
    for fast, exact in zip(build_encode(encoder, 1, 1)(images), torch_encode(encoder)(images), strict=True):
        assert fast.shape == exact.shape
        assert np.abs(fast - exact).mean() < 0.08 * np.abs(exact).mean()  # bfloat16 where the processor has it


def test_a_card_that_does_not_compute_is_left_alone(monkeypatch):
    # The device "meta" holds no numbers: reading one fails, as on a card that the build of PyTorch is not for.
    monkeypatch.setattr("SAMUNetSlicerLib.inference.devices.choose_device", lambda _wish: torch.device("meta"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "openvino", None)
    encoder = TinyVit().eval()
    build_encode(encoder, 1, 1)
    assert encoder.neck[0].weight.device.type == "cpu"
