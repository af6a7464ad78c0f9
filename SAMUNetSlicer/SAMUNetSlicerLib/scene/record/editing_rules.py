"""What an edit may change: overwrite mode, editable area, finished segments, accepted planes. Plain arrays only.

The words are those of Slicer's Segment Editor. A segment that is finished (Slicer's status "completed" or "flagged")
is never written: in the overwriting modes the edited segment yields to it, in the mode "none" both may hold a voxel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np


class Overwrite(Enum):
    """Which other segments lose the voxels that a segment gains."""

    NONE = "none"
    VISIBLE = "visible"
    ALL = "all"


class Area(Enum):
    """Where the segment may change."""

    EVERYWHERE = "everywhere"
    INSIDE_ALL = "inside all segments"
    INSIDE_VISIBLE = "inside all visible segments"
    OUTSIDE_ALL = "outside all segments"
    OUTSIDE_VISIBLE = "outside all visible segments"
    INSIDE_SEGMENT = "inside a segment"


class WriteMode(Enum):
    """How a plane's mask meets what the segment holds there."""

    REPLACE = "replace"
    ADD = "add"
    SUBTRACT = "subtract"


class HeldBack(Enum):
    """Why a voxel of the mask was not written."""

    ACCEPTED = "lie in planes that were accepted"
    AREA = "lie outside the editable area"
    INTENSITY = "lie outside the editable intensity range"
    FINISHED = "belong to finished segments"


@dataclass(frozen=True)
class EditingRules:
    """The user's choice. area_segment_id: of Area.INSIDE_SEGMENT. intensity_range: lowest and highest editable
    intensity of the volume, both included, or None for any.
    """

    overwrite: Overwrite = Overwrite.NONE
    area: Area = Area.EVERYWHERE
    area_segment_id: str = ""
    intensity_range: tuple[float, float] | None = None

    def to_dict(self) -> dict:
        return {
            "overwrite": self.overwrite.value,
            "area": self.area.value,
            "area_segment": self.area_segment_id,
            "intensities": self.intensity_range,
        }

    @classmethod
    def from_dict(cls, values: Mapping) -> EditingRules:
        """The inverse of `to_dict`. Raises ValueError, KeyError or TypeError for anything else."""
        intensities = values["intensities"]
        return cls(
            Overwrite(values["overwrite"]),
            Area(values["area"]),
            str(values["area_segment"]),
            None if intensities is None else (float(intensities[0]), float(intensities[1])),
        )


@dataclass(frozen=True, eq=False)
class OtherSegment:
    """Which of the edited voxels another segment holds: `present`, bool."""

    segment_id: str
    present: np.ndarray
    visible: bool = True
    finished: bool = False


@dataclass(frozen=True, eq=False)
class EditPlan:
    """What an edit comes to, all bool of the edited voxels' shape.

    added, removed: voxels that the edited segment gains and loses. taken: what other segments lose, by segment ID.
    held_back: number of voxels that the mask would have changed but the rules did not let it, by reason.
    refused: those voxels, without the ones in accepted planes, which hold what the user wants already.
    """

    added: np.ndarray
    removed: np.ndarray
    taken: Mapping[str, np.ndarray]
    held_back: Mapping[HeldBack, int]
    refused: np.ndarray


def plan_edit(
    before: np.ndarray,
    mask: np.ndarray,
    others: Sequence[OtherSegment] = (),
    rules: EditingRules | None = None,
    mode: WriteMode = WriteMode.REPLACE,
    intensities: np.ndarray | None = None,
    protected: np.ndarray | None = None,
) -> EditPlan:
    """What writing a mask would change, voxel by voxel.

    before: what the segment holds. mask: the object. others: every other segment of the segmentation. intensities: the
    volume, needed where the rules restrict them. protected: voxels of accepted planes, which stay as they are. All on
    the edited voxels, in arrays of one shape.
    """
    rules = rules or EditingRules()
    wanted = {
        WriteMode.REPLACE: mask,
        WriteMode.ADD: before | mask,
        WriteMode.SUBTRACT: before & ~mask,
    }[mode]
    changing = wanted != before
    overwriting = _overwriting(others, rules)
    # Voxels that the segment holds already may still have to be taken from others.
    claimed = mask if mode is not WriteMode.SUBTRACT else np.zeros_like(mask)
    touched = changing | claimed

    held_back: dict[HeldBack, int] = {}
    refused = np.zeros_like(mask)

    def hold(reason: HeldBack, where: np.ndarray) -> None:
        nonlocal touched, refused
        held = changing & touched & where
        count = int(np.count_nonzero(held))
        touched = touched & ~where
        if reason is not HeldBack.ACCEPTED:
            refused = refused | held
        if count:
            held_back[reason] = held_back.get(reason, 0) + count

    if protected is not None:
        hold(HeldBack.ACCEPTED, protected)
    outside = _outside_area(before, others, rules)
    if outside is not None:
        hold(HeldBack.AREA, outside)
    if rules.intensity_range is not None:
        if intensities is None:
            raise ValueError("an intensity range needs the intensities")
        low, high = rules.intensity_range
        hold(HeldBack.INTENSITY, ~((intensities >= low) & (intensities <= high)))
    for other in overwriting:
        if other.finished:
            hold(HeldBack.FINISHED, other.present & wanted & ~before)
    taken = {
        other.segment_id: lost
        for other in overwriting
        if not other.finished and (lost := other.present & claimed & touched).any()
    }
    return EditPlan(changing & touched & wanted, changing & touched & ~wanted, taken, held_back, refused)


def _overwriting(others: Sequence[OtherSegment], rules: EditingRules) -> list[OtherSegment]:
    """The segments that the edited one shares no voxel with."""
    if rules.overwrite is Overwrite.NONE:
        return []
    return [other for other in others if rules.overwrite is Overwrite.ALL or other.visible]


def _outside_area(before: np.ndarray, others: Sequence[OtherSegment], rules: EditingRules) -> np.ndarray | None:
    """Voxels outside the editable area; None where all is editable. The edited segment never shuts itself out."""
    if rules.area is Area.EVERYWHERE:
        return None
    inwards = rules.area not in (Area.OUTSIDE_ALL, Area.OUTSIDE_VISIBLE)
    if rules.area is Area.INSIDE_SEGMENT:
        chosen = [other for other in others if other.segment_id == rules.area_segment_id]
    elif rules.area in (Area.INSIDE_VISIBLE, Area.OUTSIDE_VISIBLE):
        chosen = [other for other in others if other.visible]
    else:
        chosen = list(others)
    covered = before.copy() if inwards and rules.area is not Area.INSIDE_SEGMENT else np.zeros_like(before)
    for other in chosen:
        covered |= other.present
    return ~covered if inwards else covered
