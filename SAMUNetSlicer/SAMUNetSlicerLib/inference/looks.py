"""Pictures of planes, and prompts to be answered from one crop of one: what a batch for the decoder is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import PromptError
from ..networks.base import NetworkPrompts
from .preprocessing import InputFrame
from .prompts import PlanePrompts
from .zoom import Crop


@dataclass(frozen=True, eq=False)
class PlaneImage:
    """An 8-bit RGB plane (H, W, 3) and a key that names its content."""

    rgb: np.ndarray
    key: Hashable

    @classmethod
    def of(cls, rgb: np.ndarray) -> PlaneImage:
        """Its key is a hash of the pixels, so that equal pictures share their encoding wherever they come from."""
        digest = hashlib.blake2b(np.ascontiguousarray(rgb).data, digest_size=16)
        return cls(rgb, (rgb.shape, digest.digest()))

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.rgb.shape[:2]


@dataclass(frozen=True, eq=False)
class Look:
    """Prompts to be answered from one crop.

    is_coarse: to find out where to look closer. handicap: off its answer's quality, where several looks compete.
    """

    image: PlaneImage
    prompts: PlanePrompts
    crop: Crop
    is_coarse: bool = False
    handicap: float = 0.0


def check_inside(prompts: PlanePrompts, size_hw: tuple[int, int]) -> None:
    """Raise PromptError where a prompt lies outside the plane."""
    height, width = size_hw
    for x, y in prompts.points_xy:
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise PromptError("A point lies outside the image. Move it onto the object.")
    if prompts.box_xyxy is not None:
        x0, y0, x1, y1 = prompts.box_xyxy
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            raise PromptError("The box lies outside the image. Draw it around the object.")
    if prompts.mask is not None and prompts.mask.shape != tuple(size_hw):
        raise ValueError(f"a mask prompt must have the plane's size {size_hw}, got {prompts.mask.shape}")


def to_network_prompts(
    looks: Sequence[Look], frames: Sequence[InputFrame], planes: Sequence[int], mask_prompt_size: int
) -> NetworkPrompts:
    """Prompts that all have the same kinds and number of points, as one batch in network coordinates.

    frames: how each look's crop lies in the network's input; planes: the number of each look's encoded plane.
    """
    first = looks[0].prompts
    points = labels = boxes = masks = None
    if first.points_xy:
        points = _on_input(looks, frames, [look.prompts.points_xy for look in looks])
        labels = torch.tensor([[sign.value for sign in look.prompts.signs] for look in looks], dtype=torch.float32)
    if first.box_xyxy is not None:
        corners = [np.reshape(look.prompts.box_xyxy, (2, 2)) for look in looks]
        boxes = _on_input(looks, frames, corners).flatten(1)
    if first.mask is not None:
        cut = [look.prompts.mask[look.crop.slices_yx] for look in looks]
        masks = torch.cat([f.mask_to_prompt(mask, mask_prompt_size) for f, mask in zip(frames, cut, strict=True)])
    return NetworkPrompts(points, labels, boxes, masks, torch.tensor(planes))


def _on_input(looks: Sequence[Look], frames: Sequence[InputFrame], xy: Sequence[Any]) -> torch.Tensor:
    """(B, n, 2) coordinates on the looks' planes to the network's."""
    moved = [np.asarray(p, dtype=np.float32) - (look.crop.x0, look.crop.y0) for look, p in zip(looks, xy, strict=True)]
    return torch.from_numpy(np.stack([frame.to_input(p) for frame, p in zip(frames, moved, strict=True)]))


def groups_of_like_shape(looks: Sequence[Look], size: int) -> list[list[int]]:
    """Numbers of the looks that one call of the decoder can answer, at most `size` a call."""
    groups: dict[tuple, list[int]] = {}
    for i, look in enumerate(looks):
        p = look.prompts
        groups.setdefault((len(p.points_xy), p.box_xyxy is None, p.mask is None), []).append(i)
    return [group[i : i + size] for group in groups.values() for i in range(0, len(group), size)]


def points_only(prompts: PlanePrompts) -> bool:
    return prompts.box_xyxy is None and prompts.mask is None
