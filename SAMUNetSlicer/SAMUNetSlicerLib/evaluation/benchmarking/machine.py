"""What the machine can do at best, and what a process takes of its memory."""

from __future__ import annotations

import contextlib
import os
import platform
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from ...inference.devices import computes_in_bfloat16, describe_device
from ...networks.base import PromptedNetwork
from .timing import interleaved_medians

_SIDES = {"cpu": 2048, "cuda": 8192, "mps": 4096}


@dataclass(frozen=True)
class MatrixRates:
    """Floating-point operations per second of one large matrix product: the most that a network can hope for.

    bf16: None where the hardware does not compute in it.
    """

    fp32: float
    bf16: float | None


def measure_matrix_rates(device: torch.device, repetitions: int = 3) -> MatrixRates:
    """With the threads that torch uses now."""
    side = _SIDES[device.type]
    types = {"fp32": torch.float32}
    if computes_in_bfloat16(device):
        types["bf16"] = torch.bfloat16
    matrices = {name: torch.randn(side, side, device=device).to(dtype) for name, dtype in types.items()}

    def product(name: str) -> None:
        (matrices[name] @ matrices[name])[0, 0].item()  # waits for a graphics card

    seconds = interleaved_medians({name: partial(product, name) for name in types}, repetitions)
    rates = {name: 2 * side**3 / taken for name, taken in seconds.items()}
    return MatrixRates(rates["fp32"], rates.get("bf16"))


def count_encode_flops(network: PromptedNetwork, device: torch.device) -> int:
    """Floating-point operations of encoding one plane: matrix products, convolutions, attention."""
    side = network.spec.preprocessing.input_size
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        network.encode(torch.zeros(1, 3, side, side, device=device))
    return counter.get_total_flops()


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM now; None where the system does not tell it simply."""
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return None


def describe_machine(device: torch.device) -> dict[str, str]:
    """What a reader must know of a figure."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor_name(),
        "half precision in hardware": _half_precision(device),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "computing on": describe_device(device),
        "load average before": load,
    }


def _processor_name() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or "unknown"


def _half_precision(device: torch.device) -> str:
    if device.type != "cpu":
        return "yes" if device.type == "mps" or computes_in_bfloat16(device) else "no"
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text().split()
        return " ".join(name for name in ("amx_bf16", "avx512_bf16") if name in flags) or "no"
    return "unknown"
