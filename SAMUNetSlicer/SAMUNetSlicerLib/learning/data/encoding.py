"""Running the frozen encoder once over many looks: OpenVINO where it is installed, torch otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ...checkpoints.tensors import read_tensors
from ...errors import ModelError
from ...inference.devices import choose_working_device
from ...networks.parts.tiny_vit import TinyVit

_PREFIX = "image_encoder."

# (N, 3, 256, 256) float32 in [0, 1] -> stage2 (N, 160, 64, 64), embedding (N, 256, 64, 64), both float32
Encode = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def load_encoder(weights: Path) -> TinyVit:
    """The frozen TinyViT with LiteMedSAM's weights (keys `image_encoder.*`). Raises ModelError."""
    state = {k.removeprefix(_PREFIX): v.float() for k, v in read_tensors(weights).items() if k.startswith(_PREFIX)}
    encoder = TinyVit()
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{weights.name} does not hold LiteMedSAM's image encoder.") from error
    return encoder.eval().requires_grad_(False)


class _Outputs(nn.Module):
    def __init__(self, encoder: TinyVit) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.encoder(images)
        return features["stage2"], features["embedding"]


def build_encode(encoder: TinyVit, batch: int, threads: int) -> Encode:
    """A function that encodes exactly `batch` images at a time.

    On CUDA where there is some; else by OpenVINO on `threads` CPU threads, in bfloat16 if it helps; else by torch.
    """
    device = choose_working_device()
    if device.type == "cuda":
        return torch_encode(encoder.to(device))
    try:
        import openvino
    except ImportError:
        return torch_encode(encoder)
    model = openvino.convert_model(_Outputs(encoder), example_input=torch.zeros(batch, 3, 256, 256))
    model.reshape([batch, 3, 256, 256])
    options = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": threads}
    try:
        compiled = openvino.Core().compile_model(model, "CPU", options)
    except RuntimeError:  # a processor without bfloat16
        options.pop("INFERENCE_PRECISION_HINT")
        compiled = openvino.Core().compile_model(model, "CPU", options)

    def encode(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answer = compiled(images)
        return answer[0], answer[1]

    return encode


def torch_encode(encoder: TinyVit) -> Encode:
    """Encode by torch, where the encoder stands."""
    device = next(encoder.parameters()).device

    def encode(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            features = encoder(torch.from_numpy(images).to(device))
        return features["stage2"].cpu().numpy(), features["embedding"].cpu().numpy()

    return encode
