"""How the mask of a plane becomes the prompts of the plane beside it."""

from __future__ import annotations

from enum import Enum

from ..inference.mask_geometry import deepest_point_xy
from ..inference.predictor import PlaneMask
from ..inference.prompts import PlanePrompts, Sign, bounding_box_xyxy
from ..networks.base import PromptKind

LOOSE_MARGIN = 0.03
# Of the neighbour's box; the last is the widest.
_SIZES = (1.0, 0.9, 1.1)

Box = tuple[float, float, float, float]


class NeighbourRule(Enum):
    """What is carried over."""

    BOX = "bounding box"
    BOX_AND_POINT = "bounding box and the point deepest inside"
    SIZED_BOXES_AND_POINT = "the same with the box in three sizes, their answers averaged"
    BOX_AND_MASK = "bounding box and the mask itself"


def default_rule(trained: PromptKind) -> NeighbourRule:
    """Sized boxes and a point where the model knows points; measured on development cases (docs/evaluation.md)."""
    return NeighbourRule.SIZED_BOXES_AND_POINT if PromptKind.POINTS in trained else NeighbourRule.BOX


def neighbour_prompts(
    answer: PlaneMask, trained: PromptKind, rule: NeighbourRule | None = None, loose_margin: float = LOOSE_MARGIN
) -> tuple[PlanePrompts, ...]:
    """Prompts for the plane beside one with a non-empty mask: alternatives, whose answers make one (`consensus`).

    Their boxes lie inside each other; the last is the widest. Objects grow and shrink from plane to plane, and a model
    that trusts boxes fills what it is given, so the errors of one box would add up.

    trained: what the model was trained for. rule: None for `default_rule`.
    loose_margin: for models trained on boxes alone, which were drawn loosely (LiteMedSAM, MedSAM): share of the box's
        longer side by which it is widened on every side, at least 1 pixel.
    """
    rule = rule or default_rule(trained)
    size_hw = answer.mask.shape
    box = tuple(float(edge) for edge in bounding_box_xyxy(answer.mask))
    if PromptKind.POINTS not in trained:
        box = _widened(box, max(1.0, loose_margin * max(box[2] - box[0], box[3] - box[1])), size_hw)
    if rule is NeighbourRule.BOX:
        return (PlanePrompts(box_xyxy=box),)
    if rule is NeighbourRule.BOX_AND_MASK:
        return (PlanePrompts(box_xyxy=box, mask=answer.logits),)
    sizes = _SIZES if rule is NeighbourRule.SIZED_BOXES_AND_POINT else _SIZES[:1]
    point = deepest_point_xy(answer.mask)
    return tuple(PlanePrompts((point,), (Sign.POSITIVE,), _sized(box, size, size_hw)) for size in sizes)


def _sized(box: Box, size: float, size_hw: tuple[int, int]) -> Box:
    """A box with its centre kept and its sides multiplied, at least a pixel wide, inside the plane."""
    x0, y0, x1, y1 = box
    x, y, half_width, half_height = (x0 + x1) / 2, (y0 + y1) / 2, size * (x1 - x0) / 2, size * (y1 - y0) / 2
    half_width, half_height = max(0.5, half_width), max(0.5, half_height)
    return _widened((x - half_width, y - half_height, x + half_width, y + half_height), 0.0, size_hw)


def _widened(box: Box, margin: float, size_hw: tuple[int, int]) -> Box:
    height, width = size_hw
    x0, y0, x1, y1 = box
    return max(0.0, x0 - margin), max(0.0, y0 - margin), min(width, x1 + margin), min(height, y1 + margin)
