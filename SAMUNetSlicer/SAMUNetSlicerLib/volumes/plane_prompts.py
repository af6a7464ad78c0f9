"""From prompts in the patient to prompts in the pixels of planes.

- A point belongs to the plane nearest to it; exactly between two planes, to the later.
- A box prompts the plane nearest to its centre, with its cross-section through its centre: so a box thinner than a
  slice, or one that merely touches a plane, prompts one plane with its full outline. With `BoxExtent.ALL_PLANES` it
  also prompts every other plane whose middle it reaches, with its cross-section there.
- A cross-section becomes the smallest upright rectangle around it, clipped to the plane. Pixel centres have integer
  coordinates and rectangles are half-open, so the edge at -0.5 becomes 0, and a box drawn exactly around the pixels
  2 .. 5 becomes 2 .. 6.
- One plane takes one box of a segment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import product

import numpy as np

from ..errors import PromptError
from .geometry import GridGeometry
from .planes import ObliqueStack, Plane, PlaneStack
from .prompts import BoxExtent, BoxPrompt, PlanePrompts, PointPrompt, SegmentPrompts

# Prompts drawn on a border lie there up to rounding, in pixels or slice steps.
_TOLERANCE = 1e-6
_DECIMALS = 6
# Pairs of corners that share an edge of a box: numbers whose bits differ in one place, as in `corners_ras`.
_EDGES = np.array([(a, b) for a, b in product(range(8), repeat=2) if a < b and (a ^ b) in (1, 2, 4)])

Rectangle = tuple[float, float, float, float]


def prompts_on_plane(
    prompts: SegmentPrompts, stack: PlaneStack | ObliqueStack, index: int, to_correct: np.ndarray | None = None
) -> PlanePrompts | None:
    """The prompts that lie on one plane of a stack; None where there are none.

    Grid planes whose pixels are finer than the voxels end at the middle of the outermost voxels; a point in their outer
    half counts as on the border pixel. to_correct: (H, W) logits of a non-empty mask that stands there; it goes with
    points, which then may be all negative. A box says all anew. Raises PromptError for a point or box on the plane but
    outside the volume, a box without size there, two boxes, or negative points alone.
    """
    points = [p for p in prompts.points if _nearest(p.position_ras, stack) == index]
    boxes = []
    for box in prompts.boxes:
        rectangle = _rectangle(box, stack, index)
        if rectangle:
            boxes.append((box, rectangle))
        elif _nearest(box.centre_ras, stack) == index:
            raise _unusable(box, prompts.segment)
    if not points and not boxes:
        return None
    return _plane_prompts(prompts.segment, points, boxes, stack, index, None if boxes else to_correct)


def prompted_planes(prompts: SegmentPrompts, stack: PlaneStack | ObliqueStack) -> dict[int, PlanePrompts]:
    """The planes of a stack that have prompts, by rising index.

    Raises PromptError for a segment without prompts, a point or box outside the volume, a box without size on a
    plane, two boxes on a plane, or a plane with negative points alone.
    """
    if not prompts.points and not prompts.boxes:
        raise PromptError(f"Segment '{prompts.segment}' has no prompt. Place a point or a box on the object.")
    points: dict[int, list[PointPrompt]] = defaultdict(list)
    boxes: dict[int, list[tuple[BoxPrompt, Rectangle]]] = defaultdict(list)
    for point in prompts.points:
        _check_inside(point, stack.geometry, prompts.segment)
        points[_nearest(point.position_ras, stack)].append(point)
    for box in prompts.boxes:
        for index, rectangle in _rectangles(box, stack, prompts.segment).items():
            boxes[index].append((box, rectangle))
    return {
        index: _plane_prompts(prompts.segment, points[index], boxes[index], stack, index)
        for index in sorted({*points, *boxes})
    }


def _nearest(point_ras: Sequence[float], stack: PlaneStack | ObliqueStack) -> int | None:
    """The plane that a point belongs to, whatever the rounding of its coordinates; None above and below the volume."""
    position = stack.index_of(point_ras)
    # The volume's corners may lie farther from the outermost planes of an oblique stack than half a step.
    is_between = -0.5 - _TOLERANCE <= position <= len(stack) - 0.5 + _TOLERANCE
    if not is_between and not stack.geometry.contains(np.array(point_ras)):
        return None
    return int(np.clip(np.floor(position + 0.5 + _TOLERANCE), 0, len(stack) - 1))


def _rectangles(box: BoxPrompt, stack: PlaneStack | ObliqueStack, segment: str) -> dict[int, Rectangle]:
    """The planes that a box prompts, with its rectangle on each."""
    indices = {_nearest(box.centre_ras, stack)} - {None}
    if box.extent is BoxExtent.ALL_PLANES:
        depths = [stack.index_of(corner) for corner in box.corners_ras()]
        first = max(int(np.ceil(min(depths) - _TOLERANCE)), 0)
        last = min(int(np.floor(max(depths) + _TOLERANCE)), len(stack) - 1)
        indices.update(range(first, last + 1))
    rectangles = {index: _rectangle(box, stack, index) for index in indices}
    found = {index: rectangle for index, rectangle in rectangles.items() if rectangle}
    if not found:
        raise _unusable(box, segment)
    return found


def _unusable(box: BoxPrompt, segment: str) -> PromptError:
    where = "through its centre" if box.extent is BoxExtent.CENTRE_PLANE else "that it crosses"
    return PromptError(
        f"The box '{box.label}' of segment '{segment}' lies outside the volume or has no size on the plane {where}. "
        "Draw it around the object, and check that the markups belong to this volume."
    )


def _rectangle(box: BoxPrompt, stack: PlaneStack | ObliqueStack, index: int) -> Rectangle | None:
    """Half-open rectangle around a box's cross-section, clipped to the plane's pixels; None where nothing remains.

    The section is with the plane itself, or with the level of the box's centre where this is the nearest plane to it.
    """
    plane = stack[index]
    if _nearest(box.centre_ras, stack) == index:
        depth = plane.to_pixels(box.centre_ras)[2]
    elif box.extent is BoxExtent.ALL_PLANES:
        depth = 0.0
    else:
        return None
    corners = plane.to_pixels(box.corners_ras())
    corners[:, 2] -= depth
    start, end = corners[_EDGES[:, 0]], corners[_EDGES[:, 1]]
    rise = end[:, 2] - start[:, 2]
    level = np.abs(rise) <= _TOLERANCE
    fraction = np.clip(-start[:, 2] / np.where(level, 1, rise), 0, 1)
    points = start + fraction[:, None] * (end - start)
    reached = np.abs(points[:, 2]) <= _TOLERANCE
    on_level = np.concatenate([points[reached], end[reached & level]])[:, :2]
    if not len(on_level):
        return None
    size = np.array(plane.size_xy, dtype=float)
    lower = np.clip(on_level.min(axis=0) + 0.5, 0, size)
    upper = np.clip(on_level.max(axis=0) + 0.5, 0, size)
    if (upper - lower <= _TOLERANCE).any():
        return None
    return tuple(float(n) for n in np.round([*lower, *upper], _DECIMALS))


def _plane_prompts(
    segment: str,
    points: list[PointPrompt],
    boxes: list[tuple[BoxPrompt, Rectangle]],
    stack: PlaneStack | ObliqueStack,
    index: int,
    to_correct: np.ndarray | None = None,
) -> PlanePrompts:
    plane = stack[index]
    if len(boxes) > 1:
        labels = ", ".join(f"'{box.label}'" for box, _ in boxes)
        raise PromptError(
            f"Segment '{segment}' has {len(boxes)} boxes on {_name_of(plane)}: {labels}. Draw one around the whole "
            "object, or give the parts segments of their own."
        )
    try:
        return PlanePrompts(
            points_xy=tuple(_pixel(point, plane, stack.geometry, segment) for point in points),
            signs=tuple(point.sign for point in points),
            box_xyxy=boxes[0][1] if boxes else None,
            mask=to_correct,
        )
    except PromptError as error:
        raise PromptError(f"Segment '{segment}', {_name_of(plane)}: {error}") from error


def _pixel(point: PointPrompt, plane: Plane, geometry: GridGeometry, segment: str) -> tuple[float, float]:
    _check_inside(point, geometry, segment)
    xy = plane.to_pixels(point.position_ras)[:2]
    x, y = np.round(np.clip(xy, -0.5, np.array(plane.size_xy) - 0.5), _DECIMALS)
    return float(x), float(y)


def _check_inside(point: PointPrompt, geometry: GridGeometry, segment: str) -> None:
    if not geometry.contains(np.array(point.position_ras)):
        r, a, s = point.position_ras
        raise PromptError(
            f"Point '{point.label}' of segment '{segment}' at R {r:.1f}, A {a:.1f}, S {s:.1f} mm lies outside the "
            "volume. Move it onto the object, and check that the markups belong to this volume."
        )


def _name_of(plane: Plane) -> str:
    return f"{plane.orientation.value if plane.orientation else 'oblique'} plane {plane.index}"
