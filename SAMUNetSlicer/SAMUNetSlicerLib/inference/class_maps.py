"""Whole stacks of planes with networks that need no prompts: every pixel gets a class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..networks.base import NetworkPrompts, PromptedNetwork
from .encoding.cache import EmbeddingCache
from .encoding.encoders import TorchEncoder
from .memory_ladder import MemoryLadder
from .preprocessing import InputFrame, prepare


@dataclass(frozen=True, eq=False)
class PlaneClasses:
    """One plane's answer: its number, the class of each pixel (H, W) uint8, 0 being the background.

    confidence: mean probability of the winning class over the pixels that are not background; 1 where there are none.
    """

    index: int
    classes_yx: np.ndarray
    confidence: float


def classify_planes(
    network: PromptedNetwork,
    planes: Sequence[np.ndarray],
    device: torch.device | None = None,
    told: Callable[[str], None] = lambda _message: None,
) -> Iterator[PlaneClasses]:
    """Classes of all pixels of adjacent 8-bit RGB planes (H, W, 3), in their order, stack by stack.

    Work is done as results are asked for; closing the generator ends it. A network that looks at several planes at
    once is given consecutive ones; the last stack reaches back so that it is whole, and where there are fewer planes
    than a stack holds, the last is repeated. A shortage of memory costs speed before it costs the answer (see
    `memory_ladder`). told: called with a sentence when it does. Raises ValueError for a network that needs prompts,
    MemoryShortageError where nothing helps, UserError where a graphics card fails.
    """
    if network.spec.classes == 0:
        raise ValueError(f"{network.spec.family} needs prompts")
    classifier = _Classifier(network, device or torch.device("cpu"), told)
    done = 0
    for indices in stacks(len(planes), network.spec.stack):
        answers = classifier.classify([planes[i] for i in indices])
        for index, (classes_yx, confidence) in zip(indices, answers, strict=True):
            if index == done:  # neither repeated nor answered by the stack before
                yield PlaneClasses(index, classes_yx, confidence)
                done += 1


def stacks(count: int, size: int) -> list[list[int]]:
    """Numbers of the planes in each stack, so that every one of `count` planes is in one and all are whole."""
    starts = [min(start, max(0, count - size)) for start in range(0, count, size)]
    return [[min(i, count - 1) for i in range(start, start + size)] for start in starts]


class _Classifier:
    """Classifies stacks, with as little memory as `MemoryLadder` demands: it keeps no encodings and cannot do with
    less than a stack at a time, but computes in half precision, or on the processor.
    """

    planes_at_once = prompts_at_once = 1

    def __init__(self, network: PromptedNetwork, device: torch.device, told: Callable[[str], None]) -> None:
        self.device = device
        self.cache = EmbeddingCache()
        self.encode_planes = TorchEncoder(network)
        self.is_ready = False
        self._network = network.eval()
        self._ladder = MemoryLadder(told)

    def move_to(self, device: torch.device) -> None:
        self.device = device
        self._network.to(device)
        self.is_ready = True

    def classify(self, planes: Sequence[np.ndarray]) -> list[tuple[np.ndarray, float]]:
        """Each plane's classes and confidence; begun anew, a rung lower, after each shortage of memory."""
        while True:
            try:
                if not self.is_ready:
                    self.move_to(self.device)
                answers = self._classify(planes)
            except (RuntimeError, MemoryError) as error:
                self._ladder.step_down(self, error)
            else:
                self._ladder.succeeded()
                return answers

    def _classify(self, planes: Sequence[np.ndarray]) -> list[tuple[np.ndarray, float]]:
        prepared = [prepare(plane, self._network.spec.preprocessing) for plane in planes]
        images = torch.stack([image for image, _frame in prepared]).to(self.device)
        prompts = NetworkPrompts(plane_index=torch.arange(len(planes), device=self.device))
        with torch.inference_mode():
            # Encodings in half precision are decoded in full, as by `PlanePredictor`.
            decoded = self._network.decode(self.encode_planes(images).to(torch.float32), prompts)
        return [_read(decoded.logits[i : i + 1], frame) for i, (_image, frame) in enumerate(prepared)]


def _read(logits: torch.Tensor, frame: InputFrame) -> tuple[np.ndarray, float]:
    probabilities = frame.logits_to_picture(logits)[0].softmax(dim=0)
    winning, classes = probabilities.max(dim=0)
    inside = classes > 0
    confidence = float(winning[inside].mean()) if inside.any() else 1.0
    return classes.to(torch.uint8).cpu().numpy(), confidence
