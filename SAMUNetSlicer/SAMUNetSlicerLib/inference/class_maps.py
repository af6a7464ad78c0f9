"""Whole stacks of planes with networks that need no prompts: every pixel gets a class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..networks.base import NetworkPrompts, PromptedNetwork
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
    network: PromptedNetwork, planes: Sequence[np.ndarray], device: torch.device | None = None
) -> Iterator[PlaneClasses]:
    """Classes of all pixels of adjacent 8-bit RGB planes (H, W, 3), in their order, stack by stack.

    Work is done as results are asked for; closing the generator ends it. A network that looks at several planes at
    once is given consecutive ones; the last stack reaches back so that it is whole, and where there are fewer planes
    than a stack holds, the last is repeated. Raises ValueError for a network that needs prompts.
    """
    if network.spec.classes == 0:
        raise ValueError(f"{network.spec.family} needs prompts")
    device = device or torch.device("cpu")
    network.to(device).eval()
    done = 0
    for indices in stacks(len(planes), network.spec.stack):
        answers = _classify_stack(network, [planes[i] for i in indices], device)
        for index, (classes_yx, confidence) in zip(indices, answers, strict=True):
            if index == done:  # neither repeated nor answered by the stack before
                yield PlaneClasses(index, classes_yx, confidence)
                done += 1


def stacks(count: int, size: int) -> list[list[int]]:
    """Numbers of the planes in each stack, so that every one of `count` planes is in one and all are whole."""
    starts = [min(start, max(0, count - size)) for start in range(0, count, size)]
    return [[min(i, count - 1) for i in range(start, start + size)] for start in starts]


def _classify_stack(
    network: PromptedNetwork, planes: Sequence[np.ndarray], device: torch.device
) -> list[tuple[np.ndarray, float]]:
    prepared = [prepare(plane, network.spec.preprocessing) for plane in planes]
    images = torch.stack([image for image, _frame in prepared]).to(device)
    with torch.inference_mode():
        embedding = network.encode(images)
        decoded = network.decode(embedding, NetworkPrompts(plane_index=torch.arange(len(planes), device=device)))
    return [_read(decoded.logits[i : i + 1], frame) for i, (_image, frame) in enumerate(prepared)]


def _read(logits: torch.Tensor, frame: InputFrame) -> tuple[np.ndarray, float]:
    probabilities = frame.logits_to_picture(logits)[0].softmax(dim=0)
    winning, classes = probabilities.max(dim=0)
    inside = classes > 0
    confidence = float(winning[inside].mean()) if inside.any() else 1.0
    return classes.to(torch.uint8).cpu().numpy(), confidence
