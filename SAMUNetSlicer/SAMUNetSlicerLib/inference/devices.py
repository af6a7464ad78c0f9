"""Which processor does the work, in words a user understands."""

from __future__ import annotations

import logging

import torch

from ..errors import UserError

_log = logging.getLogger(__name__)

CHOICES = ("auto", "cpu", "cuda", "mps")


def choose_device(wish: str = "auto") -> torch.device:
    """The device for "auto", "cpu", "cuda", "cuda:1" or "mps". Raises UserError where it is not there."""
    kind = wish.split(":")[0]
    if kind not in CHOICES or (kind == "auto" and wish != kind):
        raise _unknown(wish)
    if kind == "auto":
        kind = wish = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError("No usable NVIDIA GPU was found. Choose the device 'cpu', or install a CUDA build of PyTorch.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UserError("Apple's GPU support is not available here. Choose the device 'cpu'.")
    try:
        device = torch.device(wish)
    except RuntimeError as error:  # what stands behind the colon is no number
        raise _unknown(wish) from error
    if kind == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise UserError(f"There is no graphics card '{wish}': they are numbered from 0, and {count} can be used here.")
    return device


def choose_working_device(wish: str = "auto") -> torch.device:
    """As `choose_device`, but the processor where the device does not compute, which is told in the log."""
    device = choose_device(wish)
    reason = why_it_fails(device)
    if not reason:
        return device
    _log.warning(
        "The graphics card does not work with the installed PyTorch, so the processor is used. "
        "Installing a newer PyTorch may help. (%s)",
        reason,
    )
    return torch.device("cpu")


def why_it_fails(device: torch.device) -> str:
    """What PyTorch says, in one line, where a small sum fails on the device; "" where it computes.

    Cards are listed as usable for which a build of PyTorch has no kernels, or whose memory others have taken.
    """
    try:
        (torch.ones(2, 2, device=device) @ torch.ones(2, 2, device=device)).sum().item()
    except (RuntimeError, AssertionError) as error:
        return next(iter(str(error).splitlines()), type(error).__name__)
    return ""


def _unknown(wish: str) -> UserError:
    choices = ", ".join(CHOICES)
    return UserError(f"The device '{wish}' is not known. Choose one of {choices}, or one of several cards as cuda:1.")


def describe_device(device: torch.device) -> str:
    """For example "the processor (CPU, 8 threads)" or "the graphics card (NVIDIA RTX A4000)"."""
    if device.type == "cuda":
        return f"the graphics card ({torch.cuda.get_device_name(device)})"
    if device.type == "mps":
        return "Apple's graphics processor (MPS)"
    return f"the processor (CPU, {torch.get_num_threads()} threads)"


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the hardware computes with bfloat16 by itself, rather than in a slow emulation of it.

    Of NVIDIA's cards Ampere and later ones do; processors with AVX-512 for bfloat16, or AMX.
    """
    if device.type == "cuda":
        return torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8
    tells = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # of torch 2.6 and later
    return device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in tells)


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """As `Tensor.to`; to a graphics card through pinned memory, which need not be waited for."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
