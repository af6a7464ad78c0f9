"""The one interface behind which every network stands.

`encode` turns a batch of prepared planes into an `Embedding` once; `decode` answers many prompts against it.
A new family is one file in this folder that subclasses `PromptedNetwork`, and one line in `registry.py`.
Networks keep no state between calls, so an embedding may be cached, moved and decoded in any order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import Any

import torch
from torch import Tensor, nn


class PromptKind(Flag):
    """Kinds of prompt; a network states the set it was *trained* for.

    MASK: its own earlier answer on the plane. NEIGHBOUR_MASK: also another plane's, or a rough one, which it corrects.
    """

    NONE = 0
    BOX = auto()
    POINTS = auto()
    MASK = auto()
    NEIGHBOUR_MASK = auto()


class Resize(Enum):
    """How a plane of H x W pixels becomes the network's square input."""

    BILINEAR_LONGEST = "antialiased bilinear to the longest side, then padding right and bottom"
    AREA_LONGEST = "area average to the longest side, then padding right and bottom"
    NEAREST_SQUASH = "nearest neighbour to the full square, aspect not kept"
    BILINEAR_SQUASH = "antialiased bilinear to the full square, aspect not kept"
    BICUBIC_SQUASH = "antialiased bicubic to the full square, aspect not kept"


class Normalisation(Enum):
    """How 8-bit RGB becomes the float32 that the network was trained on (before any padding)."""

    IMAGENET = "(x - mean) / std with SAM's means and deviations on 0..255"
    MIN_MAX = "(x - min) / (max - min) over the resized image, all channels together"
    UNIT = "x / 255"


class CoordinateScale(Enum):
    """How plane coordinates become network coordinates."""

    PER_AXIS = "by the resized size over the plane's size, each axis by itself"
    UNIFORM = "by the input size over the plane's longest side, both axes alike"


@dataclass(frozen=True)
class Preprocessing:
    """What must happen to an 8-bit RGB plane before `PromptedNetwork.encode`.

    input_size: side of the square input in pixels.
    normalise_first: normalise before resizing (SAM-Med2D's predictor) rather than after.
    """

    input_size: int
    resize: Resize
    normalisation: Normalisation
    normalise_first: bool = False
    coordinates: CoordinateScale = CoordinateScale.PER_AXIS


@dataclass(frozen=True)
class NetworkPrompts:
    """B prompts in network input pixels, before the half-pixel shift that SAM's prompt encoder adds.

    points_xy: (B, P, 2) float, or None.  point_labels: (B, P), 1 inside, 0 outside, -1 padding.
    boxes_xyxy: (B, 4) float, half-open (x1 = last pixel + 1), or None.
    mask_logits: (B, 1, S, S) float at the network's `mask_prompt_size`, or None.
    plane_index: (B,) long, the encoded plane each prompt belongs to; None means plane 0 for all.
    """

    points_xy: Tensor | None = None
    point_labels: Tensor | None = None
    boxes_xyxy: Tensor | None = None
    mask_logits: Tensor | None = None
    plane_index: Tensor | None = None

    def __post_init__(self) -> None:
        if (self.points_xy is None) != (self.point_labels is None):
            raise ValueError("points and their labels come together")
        sizes = {len(t) for t in (self.points_xy, self.boxes_xyxy, self.mask_logits, self.plane_index) if t is not None}
        if len(sizes) != 1:
            raise ValueError(f"prompts of one batch need one common length, got {sorted(sizes)}")

    def __len__(self) -> int:
        present = (self.points_xy, self.boxes_xyxy, self.mask_logits, self.plane_index)
        return next(len(t) for t in present if t is not None)

    @property
    def kinds(self) -> PromptKind:
        kinds = PromptKind.NONE
        if self.points_xy is not None:
            kinds |= PromptKind.POINTS
        if self.boxes_xyxy is not None:
            kinds |= PromptKind.BOX
        if self.mask_logits is not None:
            kinds |= PromptKind.MASK
        return kinds

    def planes(self, device: torch.device) -> Tensor:
        """(B,) long: the plane index of each prompt."""
        if self.plane_index is None:
            return torch.zeros(len(self), dtype=torch.long, device=device)
        return self.plane_index.to(device)


@dataclass(frozen=True)
class Embedding:
    """Everything `decode` needs about N encoded planes: named tensors, first axis N."""

    features: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.features.values())))

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in self.features.values())

    @property
    def is_bfloat16(self) -> bool:
        return all(t.dtype is torch.bfloat16 for t in self.features.values())

    def select(self, planes: slice) -> Embedding:
        """Some of the planes, without copying."""
        return Embedding({name: t[planes] for name, t in self.features.items()})

    def separate(self) -> list[Embedding]:
        """The planes one by one; of several, each with memory of its own, so that each can be forgotten."""
        if len(self) == 1:
            return [self]
        return [Embedding({name: t[i : i + 1].clone() for name, t in self.features.items()}) for i in range(len(self))]

    def to(self, *args, **kwargs) -> Embedding:
        """As `torch.Tensor.to`."""
        return Embedding({name: t.to(*args, **kwargs) for name, t in self.features.items()})

    @staticmethod
    def concatenate(embeddings: list[Embedding]) -> Embedding:
        names = embeddings[0].features
        return Embedding({name: torch.cat([e.features[name] for e in embeddings]) for name in names})


@dataclass(frozen=True)
class Decoded:
    """Answers to B prompts.

    logits: (B, C, h, w) mask logits on the network's whole square input, > 0 inside; candidate 0 is the answer. For
        networks that tell classes apart, one channel each (see `NetworkSpec.classes`).
    quality: (B, C) predicted IoU in [0, 1] (unclamped), or None for a network without a quality head.
    """

    logits: Tensor
    quality: Tensor | None


@dataclass(frozen=True)
class NetworkSpec:
    """What the rest of the program needs to know about a network family.

    mask_prompt_size: side of the mask prompt's logits.
    trained_prompts: kinds the published (or shipped) weights were trained for; NONE for a network that segments
        by itself, whatever prompts it is given.
    classes: 0 where each answer is one object; else the number of classes that a network without prompts tells
        apart, and its logits have 1 + classes channels, the background first: the largest one wins.
    stack: how many adjacent planes a network looks at together: the planes given to `encode` are then a multiple of
        it, each stack's planes next to each other in their order in the volume.
    takes_half: whether `decode` also takes embeddings in bfloat16, and computes in it what loses little by it.
    """

    family: str
    preprocessing: Preprocessing
    mask_prompt_size: int
    trained_prompts: PromptKind
    description: str
    classes: int = 0
    stack: int = 1
    takes_half: bool = False


class PromptedNetwork(nn.Module, ABC):
    """A network that segments a plane from prompts."""

    spec: NetworkSpec

    @classmethod
    def settings_of(cls, _tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """Arguments of the constructor that a checkpoint's shapes tell, such as the number of classes."""
        return {}

    @classmethod
    def base_family_of(cls, _tensors: Mapping[str, Tensor]) -> str | None:
        """The family whose checkpoint must be added where the tensors are only what was trained on top of it."""
        return None

    def state_from(self, tensors: Mapping[str, Tensor], _base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The network's state dict from its checkpoint's tensors and those of its base (empty if it has none).

        May raise KeyError or RuntimeError for tensors of another layout.
        """
        return dict(tensors)

    @abstractmethod
    def encode(self, images: Tensor) -> Embedding:
        """Encode (N, 3, S, S) prepared planes (see `spec.preprocessing`)."""

    def encode_steps(self, images: Tensor) -> Generator[None, None, Embedding]:
        """As `encode`, pausing where the network has parts, so that its host can do something else in between."""
        yield
        return self.encode(images)

    @abstractmethod
    def decode(self, embedding: Embedding, prompts: NetworkPrompts) -> Decoded:
        """Answer B prompts against the encoded planes that `prompts.plane_index` names."""

    def decode_steps(self, embedding: Embedding, prompts: NetworkPrompts) -> Generator[None, None, Decoded]:
        """As `decode`, pausing as `encode_steps` does."""
        yield
        return self.decode(embedding, prompts)
