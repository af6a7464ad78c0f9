"""Users simulated: a first prompt for an object, then corrections where the answer is wrong.

All coordinates are pixels of the network's input; pixel centres are integers, boxes are half-open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from ..inference.mask_geometry import deepest_point_xy, depth_inside
from ..inference.prompts import bounding_box_xyxy
from ..networks.base import NetworkPrompts
from .data.crops import SIZE

MASK_SIZE = 128  # side of the network's logits and mask prompts
_STEP = SIZE // MASK_SIZE


class FirstPrompt(Enum):
    """How a simulated user begins."""

    BOX = "box"
    POINTS = "points"
    BOX_AND_POINTS = "box and points"
    MASK = "an earlier or neighbouring mask"
    MASK_AND_BOX = "mask and box"


@dataclass(frozen=True)
class Habits:
    """Shares of the first prompts, and how careless users are."""

    shares: tuple[float, ...] = (0.42, 0.34, 0.06, 0.1, 0.08)  # in the order of FirstPrompt
    exact_boxes: float = 0.35
    jitter: float = 0.1  # of a box's side, for each edge
    negative_points: float = 0.25  # of first prompts with points
    shift: float = 0.0  # pixels by which boxes are moved as a whole, at most, instead of being jittered


@dataclass(frozen=True)
class Prompt:
    """points: (x, y, 1 inside or 0 outside); box: half-open xyxy; mask_logits: (128, 128) float32."""

    points: tuple[tuple[float, float, int], ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask_logits: np.ndarray | None = None


def coarse(mask: np.ndarray, side: int = MASK_SIZE) -> np.ndarray:
    """(256, 256) bool to the share of each (side, side) pixel that it covers, float32."""
    step = SIZE // side
    return mask.reshape(side, step, side, step).mean(axis=(1, 3), dtype=np.float32)


def coarse_mask(mask: np.ndarray) -> np.ndarray:
    """(256, 256) bool to (128, 128) bool: the pixels that it mostly covers; where there are none, all it touches."""
    return _mostly(coarse(mask))


def _mostly(shares: np.ndarray) -> np.ndarray:
    return shares > 0.5 if (shares > 0.5).any() else shares > 0


def first_prompt(mask: np.ndarray, habits: Habits, rng: np.random.Generator) -> Prompt:
    """A first prompt for a (256, 256) bool mask that is not empty."""
    kind = list(FirstPrompt)[rng.choice(len(habits.shares), p=habits.shares)]
    prompt = Prompt()
    if kind in (FirstPrompt.BOX, FirstPrompt.BOX_AND_POINTS, FirstPrompt.MASK_AND_BOX):
        prompt = replace(prompt, box=_first_box(mask, habits, rng))
    if kind in (FirstPrompt.POINTS, FirstPrompt.BOX_AND_POINTS):
        prompt = replace(prompt, points=_first_points(mask, habits, rng))
    if kind in (FirstPrompt.MASK, FirstPrompt.MASK_AND_BOX):
        prompt = replace(prompt, mask_logits=neighbouring_mask(mask, rng))
    return prompt


def jittered(
    box: tuple[float, float, float, float], jitter: float, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Each edge moved by up to `jitter` of the box's side, kept inside the input and at least 2 px wide."""
    x0, y0, x1, y1 = box
    moves = rng.uniform(-jitter, jitter, 4) * np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0])
    return _inside(np.add(box, moves))


def _inside(box: np.ndarray) -> tuple[float, float, float, float]:
    """Cut to the input, and at least 2 px wide."""
    x0, y0, x1, y1 = np.clip(box, 0, SIZE)
    x0, y0 = min(x0, SIZE - 2), min(y0, SIZE - 2)
    return float(x0), float(y0), float(max(x1, x0 + 2)), float(max(y1, y0 + 2))


def deepest_point(mask: np.ndarray) -> tuple[float, float]:
    """(x, y) in input pixels: the point deepest inside a (128, 128) bool mask that is not empty."""
    column, row = deepest_point_xy(mask)
    return _to_input(row, column)


def correct(prompt: Prompt, logits: np.ndarray, target: np.ndarray) -> Prompt:
    """Add a point in the middle of the largest error, and the answer itself as mask prompt.

    logits, target: (128, 128) float32. Where the answer is perfect, only the mask is added.
    """
    answer, truth = logits > 0, _mostly(target)
    best_size, best = 0, None
    for error, sign in ((truth & ~answer, 1), (answer & ~truth, 0)):
        regions, count = ndimage.label(error)
        if count:
            sizes = np.bincount(regions.ravel())[1:]
            if sizes.max() > best_size:
                best_size, best = int(sizes.max()), (regions == sizes.argmax() + 1, sign)
    points = prompt.points
    if best is not None:
        points = (*points, (*deepest_point(best[0]), best[1]))
    return replace(prompt, points=points, mask_logits=logits)


def neighbouring_mask(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(128, 128) logits of a mask as the next plane or a hasty user would have it: moved, grown, shrunk, bent."""
    small = coarse_mask(mask)
    size = np.sqrt(small.sum())
    distance = ndimage.distance_transform_edt(small) - ndimage.distance_transform_edt(~small)
    bend = ndimage.gaussian_filter(rng.standard_normal(small.shape), rng.uniform(3, 12))
    distance = distance + rng.uniform(0, 0.12) * size * bend / bend.std() + rng.uniform(-0.12, 0.12) * size
    distance = ndimage.shift(distance, rng.uniform(-0.1, 0.1, 2) * size, order=1, mode="nearest")
    if not (distance > 0).any():
        distance = distance - distance.max() + 1
    limit = rng.uniform(3, 12)
    return np.clip(distance * rng.uniform(0.7, 6), -limit, limit).astype(np.float32)


def group(
    prompts: list[Prompt], planes: list[int], mask_side: int = MASK_SIZE
) -> Iterator[tuple[list[int], NetworkPrompts]]:
    """Batches of prompts of the same kinds, with their positions in the list.

    planes: the image of each prompt. mask_side: of the mask prompts that the network takes.
    """
    kinds: dict[tuple[bool, bool, bool], list[int]] = {}
    for index, p in enumerate(prompts):
        kinds.setdefault((bool(p.points), p.box is not None, p.mask_logits is not None), []).append(index)
    for (with_points, with_box, with_mask), indices in kinds.items():
        chosen = [prompts[i] for i in indices]
        points = labels = None
        if with_points:
            longest = max(len(p.points) for p in chosen)
            padded = np.array([[*p.points, *[(0.0, 0.0, -1)] * (longest - len(p.points))] for p in chosen])
            points = torch.from_numpy(padded[..., :2]).float()
            labels = torch.from_numpy(padded[..., 2]).long()
        masks = None
        if with_mask:
            masks = torch.from_numpy(np.stack([p.mask_logits for p in chosen]))[:, None]
            if mask_side != MASK_SIZE:
                masks = F.interpolate(masks, (mask_side, mask_side), mode="bilinear", antialias=True)
        yield (
            indices,
            NetworkPrompts(
                points_xy=points,
                point_labels=labels,
                boxes_xyxy=torch.tensor([p.box for p in chosen], dtype=torch.float32) if with_box else None,
                mask_logits=masks,
                plane_index=torch.tensor([planes[i] for i in indices]),
            ),
        )


def _first_box(mask: np.ndarray, habits: Habits, rng: np.random.Generator) -> tuple[float, float, float, float]:
    box = bounding_box_xyxy(mask)
    if habits.shift:
        x, y = rng.uniform(-habits.shift, habits.shift, 2)
        return _inside(np.add(box, (x, y, x, y)))
    return box if rng.random() < habits.exact_boxes else jittered(box, habits.jitter, rng)


def _first_points(mask: np.ndarray, habits: Habits, rng: np.random.Generator) -> tuple[tuple[float, float, int], ...]:
    small = coarse_mask(mask)
    points = [(*_inner_point(small, rng), 1) for _ in range(int(rng.choice([1, 1, 1, 2, 3])))]
    if rng.random() < habits.negative_points:
        near = ndimage.binary_dilation(small, iterations=max(2, round(0.4 * np.sqrt(small.sum()))))
        outside = np.argwhere(near & ~ndimage.binary_dilation(coarse(mask) > 0))  # not on a thin branch either
        if len(outside):
            points.append((*_to_input(*outside[rng.integers(len(outside))]), 0))
    return tuple(points)


def _inner_point(small: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    if rng.random() < 0.4:
        return deepest_point(small)
    depth = depth_inside(small)
    return _to_input(*np.unravel_index(rng.choice(depth.size, p=(depth / depth.sum()).ravel()), depth.shape))


def _to_input(row: float, column: float) -> tuple[float, float]:
    return float((column + 0.5) * _STEP - 0.5), float((row + 0.5) * _STEP - 0.5)
