"""Prompts of one segment as they are kept: in the volume's own coordinates, each with the planes it was placed on.

A prompt with no planes stated serves whichever stack is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...volumes.geometry import transform_points
from ...volumes.prompts import BoxExtent, BoxPrompt, PointPrompt, SegmentPrompts, Sign
from .stacks import StackKey

Vector = tuple[float, float, float]
_SAME_PLACE_MM = 1e-4


@dataclass(frozen=True)
class PlacedPoint:
    position: Vector
    sign: Sign = Sign.POSITIVE
    stack: StackKey | None = None
    label: str = ""


@dataclass(frozen=True)
class PlacedBox:
    """centre, size and axes (rows: unit vectors) as in `BoxPrompt`."""

    centre: Vector
    size: Vector
    axes: tuple[Vector, Vector, Vector]
    extent: BoxExtent = BoxExtent.CENTRE_PLANE
    stack: StackKey | None = None
    label: str = ""


@dataclass(frozen=True)
class PromptSet:
    points: tuple[PlacedPoint, ...] = ()
    boxes: tuple[PlacedBox, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.points or self.boxes)

    def with_new(self, other: PromptSet) -> PromptSet:
        """These and those of `other` that are not among them yet."""
        new = other.without(self)
        return PromptSet((*self.points, *new.points), (*self.boxes, *new.boxes))

    def without(self, other: PromptSet) -> PromptSet:
        """Those of these that are not among `other`."""
        points = [p for p in self.points if not any(_same_point(p, q) for q in other.points)]
        boxes = [b for b in self.boxes if not any(_same_box(b, c) for c in other.boxes)]
        return PromptSet(tuple(points), tuple(boxes))

    def shares_any(self, other: PromptSet) -> bool:
        """Whether any of these is among `other`."""
        new = self.without(other)
        return len(new.points) + len(new.boxes) < len(self.points) + len(self.boxes)

    def on_stack(self, stack: StackKey) -> PromptSet:
        """Those that were placed on planes of this stack, or on none in particular."""

        def belongs(prompt: PlacedPoint | PlacedBox) -> bool:
            return prompt.stack is None or prompt.stack.is_like(stack)

        return PromptSet(tuple(filter(belongs, self.points)), tuple(filter(belongs, self.boxes)))

    def is_close_to(self, other: PromptSet) -> bool:
        """Equal up to order and rounding: nodes keep points sorted by sign, files may change last digits."""
        if len(self.points) != len(other.points) or len(self.boxes) != len(other.boxes):
            return False
        return not self.without(other) and not other.without(self)

    def in_world(self, segment: str, to_world: np.ndarray) -> SegmentPrompts:
        """As the planes want them, in world RAS."""
        return SegmentPrompts(
            segment,
            tuple(PointPrompt(transform_points(to_world, p.position), p.sign, p.label) for p in self.points),
            tuple(_box_in_world(b, to_world) for b in self.boxes),
        )


def from_world(prompts: SegmentPrompts, to_world: np.ndarray, stack: StackKey | None = None) -> PromptSet:
    """Prompts in world RAS, brought into the volume's own coordinates."""
    to_local = np.linalg.inv(to_world)
    boxes = (_box_in_world(_plain(b), to_local) for b in prompts.boxes)
    return PromptSet(
        tuple(PlacedPoint(_vector(transform_points(to_local, p.position_ras)), p.sign, stack, p.label)
              for p in prompts.points),
        tuple(PlacedBox(b.centre_ras, b.size_mm, b.axes_ras, b.extent, stack, b.label) for b in boxes),
    )  # fmt: skip


def _plain(box: BoxPrompt) -> PlacedBox:
    return PlacedBox(box.centre_ras, box.size_mm, box.axes_ras, box.extent, None, box.label)


def _box_in_world(box: PlacedBox, matrix: np.ndarray) -> BoxPrompt:
    """The box under a linear transform; under one that is not rigid its sides change, under shear also its angles."""
    sides = (np.array(box.axes) * np.array(box.size)[:, None]) @ matrix[:3, :3].T
    lengths = np.linalg.norm(sides, axis=1)
    axes = np.array(box.axes) @ matrix[:3, :3].T
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return BoxPrompt(
        _vector(transform_points(matrix, box.centre)),
        _vector(lengths),
        tuple(_vector(axis) for axis in axes),
        box.extent,
        box.label,
    )


def _vector(values: Iterable[float]) -> Vector:
    return tuple(float(v) for v in values)


def _same_point(a: PlacedPoint, b: PlacedPoint) -> bool:
    return a.sign is b.sign and _near(a.position, b.position) and _same_stack(a.stack, b.stack)


def _same_box(a: PlacedBox, b: PlacedBox) -> bool:
    return (
        a.extent is b.extent
        and _near(a.centre, b.centre)
        and _near(a.size, b.size)
        and all(map(_near, a.axes, b.axes))
        and _same_stack(a.stack, b.stack)
    )


def _same_stack(a: StackKey | None, b: StackKey | None) -> bool:
    return a is b if a is None or b is None else a.is_like(b)


def _near(a: Vector, b: Vector) -> bool:
    return math.dist(a, b) < _SAME_PLACE_MM
