"""Which engine runs a network's encoder: torch, or OpenVINO where it is installed and the processor does the work.

OpenVINO's answers differ from torch's by the precision that it computes in (see docs/speed.md for speed and precision).
"""

from __future__ import annotations

import importlib.util
from enum import Enum
from pathlib import Path

import platformdirs
import torch

from ...errors import UserError
from ...networks.base import PromptedNetwork
from ...project import NAME
from ..devices import computes_in_bfloat16
from .encoders import Encoder, Precision, TorchEncoder
from .openvino_encoder import OpenVinoEncoder


class EngineChoice(Enum):
    """AUTO takes OpenVINO where it is installed and the device is the processor."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


def build_encode(
    network: PromptedNetwork,
    device: torch.device,
    choice: EngineChoice = EngineChoice.AUTO,
    kept_as: Path | None = None,
    precision: Precision = Precision.AUTO,
) -> Encoder:
    """What encodes batches of planes with `network`, whose parameters lie on `device`.

    kept_as: folder in which the converted network is kept for the next start (weights only, no image data); its name
    must tell the weights apart, for example by their hash. Raises UserError where OpenVINO is asked for but not
    installed, or with another device than the processor.
    """
    usable = device.type == "cpu" and importlib.util.find_spec("openvino") is not None
    if choice is EngineChoice.OPENVINO and not usable:
        raise UserError("OpenVINO needs the device 'cpu' and the Python package 'openvino'. Install it, or use torch.")
    if usable and choice is not EngineChoice.TORCH:
        return OpenVinoEncoder(network, kept_as, precision)
    keeps_compact = precision is Precision.AUTO and device.type == "cpu"
    if precision is Precision.AUTO:
        precision = Precision.HALF if computes_in_bfloat16(device) else Precision.FULL
    encoder = TorchEncoder(network, precision, keeps_compact)
    if device.type == "cuda":
        encoder.planes_at_once = _planes_that_fit(network, device)
    return encoder


def kept_conversions_folder() -> Path:
    """Where converted networks are kept: the platform's folder for caches."""
    return platformdirs.user_cache_path(NAME, appauthor=False) / "openvino" / _FORM


def _planes_that_fit(network: PromptedNetwork, device: torch.device) -> int:
    """How many planes to encode at once: a guess by free memory, which the memory ladder corrects."""
    free, _total = torch.cuda.mem_get_info(device)
    per_plane = network.spec.preprocessing.input_size**2 * _BYTES_PER_PIXEL
    return max(1, min(_MOST_PLANES, free // 2 // per_plane))


_FORM = "4"  # of converted networks; what was converted otherwise is not read any more
_BYTES_PER_PIXEL = 4096  # of the largest layers, in float32
_MOST_PLANES = 16
