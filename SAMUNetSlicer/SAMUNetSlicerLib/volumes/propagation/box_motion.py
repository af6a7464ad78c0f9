"""Where an object's bounding box will lie on the next plane, from the pictures of both and from its motion so far.

A network that trusts boxes fills the box that it gets, so that a box passed on unchanged neither grows nor shrinks with
its object. Half of the answer therefore comes from registering the two planes around the object (demons: Thirion,
"Image matching as a diffusion process", Medical Image Analysis 1998; Vercauteren et al., NeuroImage 2009), which knows
nothing of the network's answer there; and half of the object's last motion is added, or of the way to the next key
plane where there is one. Beyond the outermost key plane it also shrinks half as much as key planes let expect. (How it
changes its size between and beyond key planes: `taper`.) What the answer was unsure of is carried on less. Chosen on
development cases (docs/propagation.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ...inference.preprocessing import PROMPT_LOGIT, grey_of
from ...inference.prompts import bounding_box_xyxy

Box = tuple[float, float, float, float]

_REGISTERED_SHARE = 0.5
_STEP_SHARE = 0.5
_SHRINK_SHARE = 0.5
_LARGEST_STEP = 0.1  # of the box's longer side
_UNSURE_SHARE = 0.05  # of the box's side, at most, is left out at each edge
_MARGIN = 0.5  # of the box's longer side, around it, are registered
_SMALLEST_MARGIN = 8  # pixels
_REGISTERED_SIDE = 64  # pixels, at most
_ITERATIONS = ((2, 8), (1, 5))  # shrunk by, iterations
_FIELD_DEVIATION = 1.5  # pixels; smoothness of the displacements
_SMALLEST_SIDE = 8  # pixels: less is not registered


@dataclass(frozen=True, eq=False)
class Expected:
    """What is expected of a plane before it was answered.

    logits: (H, W) float32, the neighbour's, moved, less the doubt; somewhere above 0.
    """

    box_xyxy: Box
    logits: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        return self.logits > 0


@dataclass(frozen=True, eq=False)
class Course:
    """Where a walk comes from and where it goes to, as far as that is known.

    before: (H, W) bool, the mask of the plane from which it came here. goal: that of the key plane ahead; `share` of
    the way to it leads to the next plane. shrink: where no goal lies ahead, the factor by which key planes let the
    object's sides become shorter to the next plane.
    """

    before: np.ndarray | None = None
    goal: np.ndarray | None = None
    share: float = 1.0
    shrink: float = 1.0

    def step_from(self, box: np.ndarray) -> np.ndarray:
        """(4,) by how much the box moves to the next plane: on the way to the goal, else as it did last."""
        if self.goal is not None:
            return self.share * (np.array(bounding_box_xyxy(self.goal)) - box)
        if self.before is not None:
            return box - np.array(bounding_box_xyxy(self.before))
        return np.zeros(4)


def expect(
    here: np.ndarray, there: np.ndarray, logits_here: np.ndarray, course: Course, doubt: float = 0.0
) -> Expected:
    """From the plane `here` to the one beside it, both (H, W, 3) of 8 bit.

    logits_here: (H, W), its answer, with a non-empty mask. doubt: is taken off the logits, so that what they hardly
    hold does not go on from plane to plane.
    """
    mask_here = logits_here > 0
    moved = moved_logits(here, there, logits_here)
    if not (moved > 0).any():
        moved = bounded(logits_here)
    box = np.array(bounding_box_xyxy(mask_here))
    expected = _sure_box(logits_here, box, doubt)
    expected += _REGISTERED_SHARE * (np.array(bounding_box_xyxy(moved > 0)) - box)
    limit = _LARGEST_STEP * max(box[2] - box[0], box[3] - box[1])
    expected += np.clip(_STEP_SHARE * course.step_from(box), -limit, limit)
    expected = _scaled(expected, course.shrink**_SHRINK_SHARE)
    moved = moved - doubt if (moved > doubt).any() else moved
    height, width = mask_here.shape
    low, high = np.maximum(expected[:2], 0), np.minimum(expected[2:], (width, height))
    if (high - low < 1).any():  # a pixel, at least
        return Expected(tuple(box.tolist()), moved)
    return Expected((*low.tolist(), *high.tolist()), moved)


def _sure_box(logits: np.ndarray, box: np.ndarray, doubt: float) -> np.ndarray:
    """(4,) the mask's box, drawn in to where the answer is sure; hardly, so that an unsure answer does not wither."""
    sure = logits > doubt
    if not sure.any():
        return box.copy()
    limit = _UNSURE_SHARE * np.tile(box[2:] - box[:2], 2)
    return box + np.clip(np.array(bounding_box_xyxy(sure)) - box, -limit, limit)


def _scaled(box: np.ndarray, factor: float) -> np.ndarray:
    """(4,) the box made larger or smaller around its middle."""
    middle = np.tile((box[:2] + box[2:]) / 2, 2)
    return middle + factor * (box - middle)


@contextmanager
def _one_thread() -> Iterator[None]:
    """For all of ITK: several are slower on pictures this small, and wait for one another while planes are encoded."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


@_one_thread()
def moved_logits(here: np.ndarray, there: np.ndarray, logits_here: np.ndarray) -> np.ndarray:
    """(H, W) float32: the answer for the plane `here`, moved as the picture around its mask moves to `there`."""
    window = _window(logits_here > 0)
    logits = bounded(logits_here)
    fixed, moving = (_grey(rgb[window]) for rgb in (there, here))
    shrink = max(1, -(-max(fixed.GetSize()) // _REGISTERED_SIDE))
    if min(fixed.GetSize()) < _SMALLEST_SIDE * shrink:
        return logits
    field = _displacements(sitk.BinShrink(fixed, [shrink] * 2), sitk.BinShrink(moving, [shrink] * 2))
    transform = sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))
    inside = sitk.GetImageFromArray(logits[window])
    moved = np.full_like(logits, -PROMPT_LOGIT)
    moved[window] = sitk.GetArrayFromImage(sitk.Resample(inside, fixed, transform, sitk.sitkLinear, -PROMPT_LOGIT))
    return moved


def bounded(logits: np.ndarray) -> np.ndarray:
    """Logits as sure as a network's answers usually are, at most, float32."""
    return np.clip(logits, -PROMPT_LOGIT, PROMPT_LOGIT).astype(np.float32)


def _displacements(fixed: sitk.Image, moving: sitk.Image) -> sitk.Image:
    """Of each of `fixed`'s pixels to where it lies in `moving`."""
    field = None
    for shrink, iterations in _ITERATIONS:
        here, there = (_shrunk(image, shrink) for image in (fixed, moving))
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(iterations)
        demons.SetSmoothDisplacementField(True)
        demons.SetStandardDeviations(_FIELD_DEVIATION)
        if field is None:
            field = demons.Execute(here, there)
        else:
            field = demons.Execute(here, there, sitk.Resample(field, here))
    return field


def _shrunk(image: sitk.Image, shrink: int) -> sitk.Image:
    if shrink == 1:
        return image
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, shrink / 2 * image.GetSpacing()[0]), [shrink] * 2)


def _window(mask: np.ndarray) -> tuple[slice, slice]:
    x0, y0, x1, y1 = bounding_box_xyxy(mask)
    margin = max(_SMALLEST_MARGIN, _MARGIN * max(x1 - x0, y1 - y0))
    return np.s_[int(max(0, y0 - margin)) : int(y1 + margin), int(max(0, x0 - margin)) : int(x1 + margin)]


def _grey(rgb: np.ndarray) -> sitk.Image:
    return sitk.GetImageFromArray(grey_of(rgb))
