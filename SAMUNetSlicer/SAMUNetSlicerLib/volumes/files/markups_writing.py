"""Prompts as a `.mrk.json` file that Slicer opens and `markups.read_markups` reads back."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence

import numpy as np

from ...atomic_file import written_whole
from ..geometry import LPS_TO_RAS, transform_points
from ..prompts import BoxExtent, BoxPrompt, PointPrompt, SegmentPrompts, Sign

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/"
    "Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#"
)


def write_markups(path: str | os.PathLike, prompts: Sequence[SegmentPrompts]) -> None:
    """Write a point list per segment and an ROI per box, in Slicer's markups schema 1.0.3.

    Each description states segment, sign and planes, so that the file's name and Slicer's own do not matter.
    In LPS: Slicer (5.13) takes an ROI's orientation as LPS whatever the file states.
    Raises ValueError for a segment's name that a description cannot state; OutputError where the file cannot be
    written.
    """
    markups = []
    for of_segment in prompts:
        name = of_segment.segment
        if not name or name != name.strip() or ";" in name or "\n" in name:
            raise ValueError(f"A segment's name holds no ';', line break or outer blanks, got {name!r}.")
        if of_segment.points:
            control_points = [
                _control_point(number, _label(point, name, number), _text(point, name), point.position_ras)
                for number, point in enumerate(of_segment.points, start=1)
            ]
            state = _state("%N-%d", len(control_points))
            markups.append({**_kind("Fiducial", name), **state, "controlPoints": control_points})
        for box in of_segment.boxes:
            markups.append({**_kind("ROI", name), **_roi(name, box)})
    content = json.dumps({"@schema": _SCHEMA, "markups": markups}, indent=1)
    with written_whole(path) as stream:
        stream.write(content.encode())


def _kind(kind: str, name: str) -> dict:
    return {"type": kind, "name": name, "coordinateSystem": "LPS", "coordinateUnits": "mm"}


def _state(label_format: str, last_number: int) -> dict:
    return {
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": label_format,
        "lastUsedControlPointNumber": last_number,
    }


def _label(point: PointPrompt, segment: str, number: int) -> str:
    """The point's label, without a leading sign that would contradict its own."""
    label = point.label.strip() or f"{segment}-{number}"
    contradicting = "+" if point.sign is Sign.NEGATIVE else "-"
    return (re.sub(r"^[\s+-]+", "", label) if label.startswith(contradicting) else label) or str(number)


def _text(point: PointPrompt, segment: str) -> str:
    return f"segment={segment}; sign={'negative' if point.sign is Sign.NEGATIVE else 'positive'}"


def _roi(segment: str, box: BoxPrompt) -> dict:
    planes = "all" if box.extent is BoxExtent.ALL_PLANES else "centre"
    # Slicer states the box's axes as columns, row by row.
    axes_lps = LPS_TO_RAS[:3, :3] @ np.array(box.axes_ras).T
    text = f"segment={segment}; planes={planes}"
    return {
        **_state("%N", 1),
        "roiType": "Box",
        "center": transform_points(LPS_TO_RAS, box.centre_ras).tolist(),
        "orientation": axes_lps.ravel().tolist(),
        "size": list(box.size_mm),
        "insideOut": False,
        "controlPoints": [_control_point(1, box.label or segment, text, box.centre_ras)],
    }


def _control_point(number: int, label: str, description: str, position_ras: Sequence[float]) -> dict:
    return {
        "id": str(number),
        "label": label,
        "description": description,
        "associatedNodeID": "",
        "position": transform_points(LPS_TO_RAS, position_ras).tolist(),
        "orientation": LPS_TO_RAS[:3, :3].ravel().tolist(),
        "selected": True,
        "locked": False,
        "visibility": True,
        "positionStatus": "defined",
    }
