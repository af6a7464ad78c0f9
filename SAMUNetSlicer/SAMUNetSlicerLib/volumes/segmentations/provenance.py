"""How a segment came to be, kept inside its `.seg.nrrd` so that a result can be traced and repeated.

One JSON text per segment, as the Slicer segment tag `SAMUNetSlicer.Provenance`. Slicer writes all tags of a segment
in one line, "key:value|key:value|", and cuts it at `|` and at the first `:` without any escape; NRRD adds backslash
escapes of its own. So the text is percent-encoded as in URLs, which leaves none of these characters and passes
through any number of loads and saves unchanged.

Only what is named below is stored: no patient data, no file paths, and no labels of points, which are free text.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from urllib.parse import quote, unquote

from ...errors import InputError, PromptError
from ...project import NAME, VERSION
from ..prompts import BoxExtent, BoxPrompt, PointPrompt, SegmentPrompts, Sign
from .segmentation_header import read_segment_headers

PROVENANCE_TAG = f"{NAME}.Provenance"
_FORMAT = 1
# A nanometre: microscopy has its spacing in mm too.
_MM_DECIMALS = 6
_DIRECTION_DECIMALS = 9
_CONFIDENCE_DECIMALS = 4
# Readable in a header and safe for Slicer, NRRD and XML; everything else is percent-encoded.
_PLAIN = '{}[]",()/-_.+=@'
_LOOKS_LIKE_A_PATH = re.compile(r"\\|(^|\s)[~/]|[A-Za-z]:/")


class PlaneOrigin(Enum):
    """Where the mask of a plane came from."""

    PROMPTED = "prompted"
    PROPAGATED = "propagated"
    CORRECTED = "corrected"  # propagated, then changed by points
    AUTOMATIC = "automatic"

    @property
    def is_users_own(self) -> bool:
        """Whether prompts on the plane itself made it."""
        return self in (PlaneOrigin.PROMPTED, PlaneOrigin.CORRECTED)


@dataclass(frozen=True)
class PlaneRecord:
    """One plane of the result: its index in the stack and the confidence of its mask, kept to four decimals.

    Networks estimate a quality that may leave 0-1 by a little; it is cut there. Raises ValueError for NaN.
    """

    index: int
    confidence: float
    origin: PlaneOrigin = PlaneOrigin.PROMPTED

    def __post_init__(self) -> None:
        confidence = min(max(float(self.confidence), 0.0), 1.0)
        if math.isnan(self.confidence):
            raise ValueError(f"The confidence of plane {self.index} is not a number.")
        object.__setattr__(self, "index", int(self.index))
        object.__setattr__(self, "confidence", round(confidence, _CONFIDENCE_DECIMALS))


@dataclass(frozen=True)
class Provenance:
    """Software and model (family name and SHA-256 of its weights), intensity window, stack of planes, prompts, result.

    Prompt coordinates are world RAS mm, kept to a nanometre; directions to nine decimals; prompt labels are dropped.
    frame: which volume of a 4D file, time series or sequence, from 0; None where there is one only.
    Raises ValueError for a text that looks like a file path, a hash that is none or a frame that is no such number.
    """

    model_family: str
    model_sha256: str
    window: str
    orientation: str
    points: tuple[PointPrompt, ...] = ()
    boxes: tuple[BoxPrompt, ...] = ()
    planes: tuple[PlaneRecord, ...] = ()
    software: str = f"{NAME} {VERSION}"
    frame: int | None = None

    def __post_init__(self) -> None:
        for text in (self.model_family, self.window, self.orientation, self.software):
            if _LOOKS_LIKE_A_PATH.search(text):
                raise ValueError(f"Provenance holds no file paths, got '{text}'.")
        if not re.fullmatch(r"[0-9a-f]{64}", self.model_sha256):
            raise ValueError("model_sha256 must be 64 lower-case hexadecimal digits.")
        if self.frame is not None and (type(self.frame) is not int or self.frame < 0):
            raise ValueError(f"A frame is a whole number from 0, got {self.frame!r}.")
        points = tuple(replace(p, position_ras=_rounded(p.position_ras), label="") for p in self.points)
        boxes = tuple(
            replace(
                b,
                centre_ras=_rounded(b.centre_ras),
                size_mm=_rounded(b.size_mm),
                axes_ras=tuple(_rounded(axis, _DIRECTION_DECIMALS) for axis in b.axes_ras),
                label="",
            )
            for b in self.boxes
        )
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "planes", tuple(self.planes))

    def of(self, prompts: SegmentPrompts) -> Provenance:
        """The same with the points and boxes of `prompts`."""
        return replace(self, points=prompts.points, boxes=prompts.boxes)

    def to_json(self) -> str:
        """Compact JSON; keys in a fixed order, so that equal provenance is equal text. Without a frame, no such key."""
        return json.dumps(
            {
                "format": _FORMAT,
                "software": self.software,
                "model": self.model_family,
                "sha256": self.model_sha256,
                "window": self.window,
                "orientation": self.orientation,
                **({} if self.frame is None else {"frame": self.frame}),
                "points": [[*p.position_ras, p.sign.name.lower()] for p in self.points],
                "boxes": [
                    {"centre": b.centre_ras, "size": b.size_mm, "axes": b.axes_ras, "extent": b.extent.name.lower()}
                    for b in self.boxes
                ],
                "planes": [[p.index, p.confidence, p.origin.value] for p in self.planes],
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """Raises InputError for a text that `to_json` did not write."""
        try:
            fields = json.loads(text)
            if fields["format"] != _FORMAT:
                raise InputError(f"The provenance was written by a newer version: {fields['software']}.")
            return cls(
                model_family=fields["model"],
                model_sha256=fields["sha256"],
                window=fields["window"],
                orientation=fields["orientation"],
                points=tuple(PointPrompt(p[:3], Sign[p[3].upper()]) for p in fields["points"]),
                boxes=tuple(
                    BoxPrompt(b["centre"], b["size"], b["axes"], BoxExtent[b["extent"].upper()])
                    for b in fields["boxes"]
                ),
                planes=tuple(PlaneRecord(index, c, PlaneOrigin(origin)) for index, c, origin in fields["planes"]),
                software=fields["software"],
                frame=fields.get("frame"),
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, PromptError) as error:
            raise InputError("The provenance in this file is damaged.") from error


def _rounded(values: Sequence[float], decimals: int = _MM_DECIMALS) -> tuple[float, ...]:
    return tuple(round(v, decimals) for v in values)


def encode_tag_value(text: str) -> str:
    """Any text as the value of a Slicer segment tag; `decode_tag_value` gives it back."""
    return quote(text, safe=_PLAIN)


def decode_tag_value(value: str) -> str:
    """The text that `encode_tag_value` encoded. Raises InputError where the value is damaged."""
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        raise InputError("A tag of a segment is damaged.") from error


def provenance_tags(provenance: Provenance) -> dict[str, str]:
    """The segment tags that hold it."""
    return {PROVENANCE_TAG: encode_tag_value(provenance.to_json())}


def provenance_of(tags: Mapping[str, str]) -> Provenance | None:
    """The provenance among a segment's tags, if there is one. Raises InputError where it is damaged."""
    value = tags.get(PROVENANCE_TAG)
    return None if value is None else Provenance.from_json(decode_tag_value(value))


def further_provenance_of(tags: Mapping[str, str]) -> list[Provenance]:
    """What a segment from a scene also says of its other stacks of planes and models: tags of the same name, numbered.
    Raises InputError where it is damaged.
    """
    further = [tag for tag in tags if tag.startswith(f"{PROVENANCE_TAG}.")]
    return [
        Provenance.from_json(decode_tag_value(tags[tag])) for tag in sorted(further, key=lambda tag: (len(tag), tag))
    ]


def read_provenance(path: str | os.PathLike) -> dict[str, Provenance]:
    """Segment name to provenance, for the segments of a `.seg.nrrd` that have one; no voxel is read.

    Raises InputError where the file cannot be read or the provenance is damaged.
    """
    found = {header.name: provenance_of(header.tags) for header in read_segment_headers(path)}
    return {name: provenance for name, provenance in found.items() if provenance is not None}
