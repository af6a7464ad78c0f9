"""What a step of training learns from: looks of a bank, or whole pictures that the network encodes itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ...inference.preprocessing import prepare
from ...networks.base import Embedding, Preprocessing, PromptedNetwork
from .bank import Bank, Entry
from .crops import whole_parts
from .production import PATIENCE, no_objects, read_or_skip
from .shards import ShardStream
from .sources import Pair, Picture


class Examples(ABC):
    """Examples are drawn by a generator of random numbers, so that a resumed training sees the same ones.

    An example has `parts` (256, 256) uint8 and `objects`, sets of parts, as a bank's entry has.
    """

    @abstractmethod
    def draw(self, count: int, rng: np.random.Generator) -> list:
        """Some examples."""

    @abstractmethod
    def embed(self, network: nn.Module, examples: list, device: torch.device) -> Embedding:
        """What the network's `decode` needs of them, differentiable where the network is trained."""

    @abstractmethod
    def refresh(self) -> None:
        """Take in what has been added since."""


class BankExamples(Examples):
    """Looks whose frozen encodings are in a bank, for sam_unet_tiny."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank

    def draw(self, count: int, rng: np.random.Generator) -> list[Entry]:
        return [self._bank[int(i)] for i in rng.integers(len(self._bank), size=count)]

    def embed(self, network: nn.Module, examples: list[Entry], device: torch.device) -> Embedding:
        images, stage2, embedding = (
            torch.stack([getattr(e, name) for e in examples]).to(device, memory_format=torch.channels_last)
            for name in ("image", "stage2", "embedding")
        )
        return network.image_fusion(images, stage2, embedding)

    def refresh(self) -> None:
        self._bank.refresh()


@dataclass(frozen=True)
class WholePicture:
    """A picture as the network's preprocessing gives it: image (3, S, S) float32; parts in the same frame at 256."""

    image: Tensor
    parts: np.ndarray
    objects: tuple[tuple[int, ...], ...]


class PictureExamples(Examples):
    """Whole pictures and planes, every pair as likely as any other, not augmented: the published recipe's data."""

    def __init__(self, pairs: list[Pair], network: PromptedNetwork) -> None:
        self._pairs = pairs
        self._preprocessing = network.spec.preprocessing

    def draw(self, count: int, rng: np.random.Generator) -> list[WholePicture]:
        return [self._draw_one(rng) for _ in range(count)]

    def _draw_one(self, rng: np.random.Generator) -> WholePicture:
        for _ in range(PATIENCE):
            picture = self._picture(rng)
            example = None if picture is None else prepare_whole(picture, self._preprocessing)
            if example is not None:
                return example
        raise no_objects()

    def _picture(self, rng: np.random.Generator) -> Picture | None:
        return read_or_skip(self._pairs[rng.integers(len(self._pairs))], rng)

    def embed(self, network: nn.Module, examples: list[WholePicture], device: torch.device) -> Embedding:
        return network.encode(torch.stack([e.image for e in examples]).to(device))

    def refresh(self) -> None:
        """The list of pairs is made once."""


class StreamExamples(PictureExamples):
    """The same from shards, for collections of millions. already: pictures drawn before a training was resumed."""

    def __init__(self, stream: ShardStream, network: PromptedNetwork, already: int) -> None:
        super().__init__([], network)
        self._pictures = stream.pictures(already)

    def _picture(self, rng: np.random.Generator) -> Picture | None:
        return next(self._pictures)


def prepare_whole(picture: Picture, preprocessing: Preprocessing) -> WholePicture | None:
    """None where no object is left at the input's size."""
    parts, objects = whole_parts(picture)
    if not objects:
        return None
    rgb = picture.image if picture.image.ndim == 3 else np.repeat(picture.image[..., None], 3, axis=2)
    image, _ = prepare(rgb, preprocessing)
    return WholePicture(image, parts, objects)
