"""In which precision a network answers while it learns."""

from __future__ import annotations

import torch

from ..inference.devices import computes_in_bfloat16
from .settings import ForwardPrecision


def autocast(device: torch.device, wanted: ForwardPrecision = ForwardPrecision.BFLOAT16) -> torch.autocast:
    """To bfloat16 where that is wanted and the hardware computes with it; emulated, it takes 8 times float32's time."""
    is_half = wanted is ForwardPrecision.BFLOAT16 and computes_in_bfloat16(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_half)
