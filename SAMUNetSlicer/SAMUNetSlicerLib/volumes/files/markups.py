"""Slicer's markups files as prompts: point lists and ROIs of `.mrk.json`, point lists of the older `.fcsv`.

Coordinates become world RAS, whatever `coordinateSystem` the file states (LPS where it states none). Sign, segment and
planes are read from the texts that a user can type beside a point or ROI in Slicer's Markups module:

| text                                                        | meaning                                            |
|-------------------------------------------------------------|----------------------------------------------------|
| label begins with `-`                                       | negative point                                     |
| label begins with `+`                                       | positive point                                     |
| description `sign=negative` or `sign=-`, or just `negative`, `-` | negative point                                |
| description `sign=positive` or `sign=+`, or just `positive`, `+` | positive point                                |
| description `segment=NAME`                                  | belongs to segment NAME                            |
| description `planes=all` / `planes=centre` (of an ROI)      | prompts every plane it crosses / its centre's only |

Several parts of a description are separated by `;` ("segment=liver; sign=negative"); case does not matter. Any other
text is a label and says nothing. What is not said: the sign is positive; the planes are the caller's choice; the
segment is the markups' name, which is the file's name unless the file states one. Slicer's own names (F, F_1, R,
MarkupsFiducial, ...) name no segment: see `collect_prompts`. A text that contradicts itself, or a known key with an
unknown value, is refused.

Format: Slicer's markups schema, version 1.0.x.
"""

from __future__ import annotations

import csv
import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PromptError
from ..geometry import LPS_TO_RAS, transform_points
from ..prompts import BoxExtent, BoxPrompt, PointPrompt, SegmentPrompts, Sign

DEFAULT_SEGMENT = "Segment_1"

_SCHEMA = re.compile(r"markups-schema-v1\.\d+\.\d+\.json#*$", re.IGNORECASE)
_SLICERS_OWN_NAME = re.compile(r"(F|R|M|(Markups|Annotation)?(Fiducials?|ROI)|Point ?List)([_ -]?\d+)?", re.IGNORECASE)
_POSITION_DEFINED = "defined"
_SIGNS = {"+": Sign.POSITIVE, "positive": Sign.POSITIVE, "-": Sign.NEGATIVE, "negative": Sign.NEGATIVE}
_EXTENTS = {"all": BoxExtent.ALL_PLANES, "centre": BoxExtent.CENTRE_PLANE, "center": BoxExtent.CENTRE_PLANE}
# Names in use and, from Slicer 4, numbers.
_TO_RAS = {"LPS": LPS_TO_RAS, "1": LPS_TO_RAS, "RAS": np.eye(4), "0": np.eye(4)}
# Slicer's fixed column order in .fcsv; its header line is not looked at by Slicer either.
_FCSV_POSITION, _FCSV_LABEL, _FCSV_DESCRIPTION, _FCSV_STATUS = slice(1, 4), 11, 12, 14
_FCSV_DEFINED = "2"


@dataclass(frozen=True)
class MarkupsPrompt:
    """A point or box of a markups file. stated_segment: what its description says; markups_name: the markups' or the
    file's name, None where Slicer chose it. A box's `extent` is the one stated, or None in `stated_extent`.
    """

    prompt: PointPrompt | BoxPrompt
    stated_segment: str | None
    markups_name: str | None
    stated_extent: BoxExtent | None = None


@dataclass(frozen=True)
class PromptTexts:
    """What the texts beside a point or ROI say."""

    sign: Sign | None = None
    segment: str | None = None
    extent: BoxExtent | None = None


def read_markups(path: str | os.PathLike) -> list[MarkupsPrompt]:
    """The placed points and ROIs of a `.mrk.json` or `.fcsv` file, in the file's order.

    Points that are not placed yet (undefined or preview) are left out. Raises PromptError, naming the point or ROI,
    for a file that is missing, broken or no markups file, another type of markups than points and ROIs, a placed point
    without finite coordinates, an ROI without size, and contradictory texts.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise PromptError(f"There is no file {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"{path.name} cannot be read. Save it again from Slicer as .mrk.json.") from error
    # macOS takes accents apart in the names of files that Slicer saves, and nobody types them so.
    file_name = unicodedata.normalize("NFC", path.name)
    file_stem = re.sub(r"(\.mrk)?\.(json|fcsv)$", "", file_name, flags=re.IGNORECASE)
    try:
        if path.suffix.lower() == ".fcsv":
            return _read_fcsv(text, file_stem)
        return [prompt for markup in _markups_in(text) for prompt in _read_markup(markup, file_stem)]
    except PromptError as error:
        raise PromptError(f"{path.name}: {error}") from error


def collect_prompts(
    points_files: Sequence[str | os.PathLike],
    box_files: Sequence[str | os.PathLike],
    segments: Sequence[str] | None = None,
    box_extent: BoxExtent = BoxExtent.CENTRE_PLANE,
) -> list[SegmentPrompts]:
    """The prompts of all files, by segment. A file may hold both kinds and stand in both lists: it is read once.

    segments: the names that the caller allows, which also sets their order and spelling. One name is the segment of
    every prompt whose description states none. With several, the markups' or the file's name must be one of them.
    Without, the markups' names are taken as they are and prompts without one belong to "Segment_1". Names that differ
    in case only are one segment. box_extent: for ROIs whose description does not say which planes they prompt.

    Raises PromptError as `read_markups` does, for a file without prompts, for a prompt whose segment is not among
    `segments` or cannot be told, for what cannot be a segment's name, and for a segment without prompts.
    """
    collected: dict[str, SegmentPrompts] = {
        name.casefold(): SegmentPrompts(_checked_name(name)) for name in segments or ()
    }
    for path in dict.fromkeys(Path(p) for p in [*points_files, *box_files]):
        found = read_markups(path)
        if not found:
            raise PromptError(f"{path.name} holds no placed point and no ROI. Place one and save it again.")
        for item in found:
            name = _segment_name(item, path, segments)
            try:
                _checked_name(name)
            except PromptError as error:
                raise PromptError(f"{path.name}: {error} It stands in the description or the name.") from error
            of_segment = collected.setdefault(name.casefold(), SegmentPrompts(name))
            if isinstance(item.prompt, PointPrompt):
                of_segment = replace(of_segment, points=(*of_segment.points, item.prompt))
            else:
                box = replace(item.prompt, extent=item.stated_extent or box_extent)
                of_segment = replace(of_segment, boxes=(*of_segment.boxes, box))
            collected[name.casefold()] = of_segment
    for of_segment in collected.values():
        if not of_segment.points and not of_segment.boxes:
            raise PromptError(f"There is no prompt for segment '{of_segment.segment}'.")
    return list(collected.values())


def _segment_name(item: MarkupsPrompt, path: Path, segments: Sequence[str] | None) -> str:
    if not segments:
        return item.stated_segment or item.markups_name or DEFAULT_SEGMENT
    allowed = {name.casefold() for name in segments}
    for name in (item.stated_segment, item.markups_name):
        if name is not None and name.casefold() in allowed:
            return name
        if name is not None and name is item.stated_segment:
            raise PromptError(
                f"{path.name}: '{item.prompt.label}' belongs to segment '{name}', which is not among the segments "
                f"asked for: {', '.join(segments)}."
            )
    if len(segments) == 1:
        return segments[0]
    raise PromptError(
        f"{path.name}: it cannot be told to which segment '{item.prompt.label}' belongs: {', '.join(segments)}. "
        "Name the markups or the file after its segment, or write segment=NAME in its description."
    )


def _checked_name(name: str) -> str:
    # Files cannot hold a NUL or half a character, which stands for a byte that is no UTF-8.
    text = name.encode(errors="ignore").decode().replace("\0", "")
    if not name.strip() or text != name.strip() or ";" in name or name.splitlines() != [name]:
        raise PromptError(f"{name!r} cannot be a segment's name. Use one line of text without ';' and outer blanks.")
    return name


def read_texts(label: str, description: str, what: str) -> PromptTexts:
    """What a label and a description state, by the table above. Raises PromptError, naming `what`, where they
    contradict each other or give a known key an unknown value.
    """
    found: dict[str, Any] = {}

    def note(key: str, value: Any) -> None:
        if found.setdefault(key, value) != value:
            raise PromptError(f"The label and description of {what} contradict each other about its {key}.")

    if label.strip()[:1] in ("+", "-"):
        note("sign", _SIGNS[label.strip()[0]])
    for part in description.split(";"):
        key, equals, value = (text.strip() for text in part.partition("="))
        if key.lower() in _SIGNS and not equals:
            note("sign", _SIGNS[key.lower()])
        elif equals and key.lower() == "segment":
            if not value:
                raise PromptError(f"The description of {what} names no segment after 'segment='.")
            note("segment", value)
        elif equals and key.lower() in ("sign", "planes"):
            known = _SIGNS if key.lower() == "sign" else _EXTENTS
            if value.lower() not in known:
                raise PromptError(f"The description of {what} says '{part.strip()}'. Known are: {', '.join(known)}.")
            note(key.lower(), known[value.lower()])
    return PromptTexts(found.get("sign"), found.get("segment"), found.get("planes"))


def _markups_name(name: str) -> str | None:
    return None if not name.strip() or _SLICERS_OWN_NAME.fullmatch(name.strip()) else name.strip()


def _markups_in(text: str) -> list[Mapping]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PromptError("this is not a JSON file, or it is cut off. Save it again from Slicer.") from error
    markups = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(markups, list) or not all(isinstance(markup, dict) for markup in markups):
        raise PromptError("this JSON file holds no markups. Give a file that Slicer saved as .mrk.json.")
    schema = content.get("@schema")
    if schema is not None and not _SCHEMA.search(str(schema)):
        raise PromptError("this markups file has a format that is not known. Save it from Slicer 4.11 to 5.x.")
    return markups


def _read_markup(markup: Mapping, file_stem: str) -> list[MarkupsPrompt]:
    kind = markup.get("type")
    name = str(markup.get("name") or file_stem)
    units = markup.get("coordinateUnits", "mm")
    if (units[0] if isinstance(units, list) and units else units) != "mm":
        raise PromptError(f"the coordinates of '{name}' are in {units}, not mm. Save it again in mm.")
    to_ras = _to_ras(markup.get("coordinateSystem", "LPS"), name)
    control_points = markup.get("controlPoints") or []
    if not isinstance(control_points, list) or not all(isinstance(point, dict) for point in control_points):
        raise PromptError(f"the control points of '{name}' are damaged.")
    if kind == "Fiducial":
        return [
            _point(point.get("position"), to_ras, _text(point, "label"), _text(point, "description"), name, number)
            for number, point in enumerate(control_points, start=1)
            if point.get("positionStatus", _POSITION_DEFINED) == _POSITION_DEFINED
        ]
    if kind == "ROI":
        return [_box(markup, to_ras, name, control_points[0] if control_points else {})]
    raise PromptError(f"'{name}' is of type {kind}, which prompts nothing. Use a point list or an ROI.")


def _text(item: Mapping, key: str) -> str:
    return str(item.get(key) or "")


def _to_ras(coordinate_system: Any, name: str) -> np.ndarray:
    try:
        return _TO_RAS[str(coordinate_system).strip().upper()]
    except KeyError:
        raise PromptError(f"'{name}' is in the coordinate system {coordinate_system}; known are LPS and RAS.") from None


def _numbers(values: Any, count: int, what: str) -> np.ndarray:
    if not isinstance(values, list) or len(values) != count:
        raise PromptError(f"{what} is missing. Place it again.")
    try:
        numbers = np.array([float(value) for value in values])
    except (TypeError, ValueError, OverflowError) as error:
        raise PromptError(f"{what} is not made of numbers. Place it again.") from error
    if not np.isfinite(numbers).all():
        raise PromptError(f"{what} is not finite. Place it again.")
    return numbers


def _point(position: Any, to_ras: np.ndarray, label: str, description: str, name: str, number: int) -> MarkupsPrompt:
    label = label.strip() or f"{name}-{number}"
    position_file = _numbers(position, 3, f"the position of point '{label}'")
    said = read_texts(label, description, f"point '{label}'")
    prompt = PointPrompt(transform_points(to_ras, position_file), said.sign or Sign.POSITIVE, label)
    return MarkupsPrompt(prompt, said.segment, _markups_name(name))


def _box(markup: Mapping, to_ras: np.ndarray, name: str, control_point: Mapping) -> MarkupsPrompt:
    label = _text(control_point, "label").strip() or name
    if markup.get("roiType", "Box") not in ("Box", "BoundingBox") or markup.get("insideOut"):
        raise PromptError(f"ROI '{label}' is not a plain box. Use a box that is not inside out.")
    centre = _numbers(markup.get("center"), 3, f"the centre of ROI '{label}'")
    size_mm = _numbers(markup.get("size"), 3, f"the size of ROI '{label}'")
    # Row by row; its columns are the box's own axes.
    unrotated = np.eye(3).ravel().tolist()
    orientation = _numbers(markup.get("orientation", unrotated), 9, f"the orientation of ROI '{label}'")
    axes = to_ras[:3, :3] @ orientation.reshape(3, 3)
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-3):
        raise PromptError(f"the orientation of ROI '{label}' is not a rotation. Draw it again.")
    said = read_texts("", _text(control_point, "description"), f"ROI '{label}'")
    if said.sign is Sign.NEGATIVE:
        raise PromptError(f"ROI '{label}' is said to be negative; only points can be.")
    prompt = BoxPrompt(transform_points(to_ras, centre), size_mm, axes.T, label=label)
    return MarkupsPrompt(prompt, said.segment, _markups_name(name), said.extent)


def _read_fcsv(text: str, file_stem: str) -> list[MarkupsPrompt]:
    header = dict(re.findall(r"^#\s*(.+?)\s*=\s*(.*?)\s*$", text, flags=re.MULTILINE))
    if "Markups fiducial file version" not in header:
        raise PromptError("this .fcsv is older than Slicer 4. Open it in Slicer and save it as .mrk.json.")
    to_ras = _to_ras(header.get("CoordinateSystem", "LPS"), file_stem)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        rows = list(csv.reader(lines))
    except csv.Error as error:
        raise PromptError("this .fcsv is damaged. Save it again from Slicer as .mrk.json.") from error
    prompts = []
    for number, row in enumerate(rows, start=1):
        status = row[_FCSV_STATUS] if len(row) > _FCSV_STATUS else _FCSV_DEFINED
        if status.strip() != _FCSV_DEFINED:
            continue
        label, description = (*row[_FCSV_LABEL : _FCSV_DESCRIPTION + 1], "", "")[:2]
        prompts.append(_point(row[_FCSV_POSITION], to_ras, label, description, file_stem, number))
    return prompts
