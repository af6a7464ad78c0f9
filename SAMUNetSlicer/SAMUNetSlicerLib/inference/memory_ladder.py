"""What to do when memory runs out: forget, compute less at a time, in half precision, on the processor; then say so."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Protocol

import torch

from ..errors import MemoryShortageError
from .devices import computes_in_bfloat16
from .encoding.cache import EmbeddingCache
from .encoding.encoders import Encoder, Precision, TorchEncoder
from .notes import HALF_PRECISION, ON_THE_PROCESSOR, ONE_AT_A_TIME
from .shortage import card_failure, is_shortage


class Frugal(Protocol):
    """What can do with less memory; `predictor.PlanePredictor` is one."""

    device: torch.device
    cache: EmbeddingCache
    encode_planes: Encoder
    planes_at_once: int
    prompts_at_once: int
    is_ready: bool  # whether the network lies on the device

    def move_to(self, device: torch.device) -> None: ...


class MemoryLadder:
    """Takes a predictor one rung down after each shortage. It stays there: the shortage is likely to last.

    told: called with one sentence once the work goes on, where the user will notice a difference.
    """

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._message = ""
        self._has_forgotten = False

    def step_down(self, predictor: Frugal, error: Exception) -> None:
        """Raises `error` itself where it is something else, UserError where it is the card that failed,
        MemoryShortageError where nothing is left to try.
        """
        failure = card_failure(error)
        if failure is not None:
            raise failure from error
        if not is_shortage(error):
            raise error
        former = predictor.device
        predictor.cache.clear()
        traceback.clear_frames(error.__traceback__)  # they hold what had been computed when memory ran out
        if not predictor.is_ready and former.type != "cpu":  # the weights alone are too large for the card
            self._leave_card(predictor)
        elif not self._has_forgotten:
            self._has_forgotten = True
        elif predictor.planes_at_once > 1 or predictor.prompts_at_once > 1:
            predictor.planes_at_once = predictor.prompts_at_once = 1
            self._message = ONE_AT_A_TIME
        elif _could_use_half(predictor):
            predictor.encode_planes.precision = Precision.HALF
            self._message = HALF_PRECISION
        elif predictor.device.type != "cpu":
            self._leave_card(predictor)
        else:
            raise MemoryShortageError(
                "There is not enough memory for this model. Close other programs, or choose a smaller model."
            ) from error
        _give_back(former)

    def succeeded(self) -> None:
        """The work went through: tell what it took."""
        self._has_forgotten = False
        if self._message:
            self._told(self._message)
            self._message = ""

    def _leave_card(self, predictor: Frugal) -> None:
        processor, encode = torch.device("cpu"), predictor.encode_planes
        predictor.move_to(processor)
        if isinstance(encode, TorchEncoder) and not computes_in_bfloat16(processor):
            encode.precision = Precision.FULL
        self._message = ON_THE_PROCESSOR


def _give_back(device: torch.device) -> None:
    """Memory of a card that torch keeps though nothing uses it: other programs, and Slicer's views, want it too."""
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).empty_cache()


def _could_use_half(predictor: Frugal) -> bool:
    encode = predictor.encode_planes
    on_card = predictor.device.type == "cuda"
    return on_card and isinstance(encode, TorchEncoder) and encode.precision is Precision.FULL
