"""A segment: one named object of a volume, as a mask with what Slicer keeps beside it."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .terminology import find_term, terminology_entry

TERMINOLOGY_TAG = "TerminologyEntry"
# Slicer writes tags as "key:value|key:value|" and cuts at these without any escape.
_TAG_END, _TAG_COLON = "|", ":"
_LINE_BREAKS = {"\n", "\r"}
# Successive multiples of the golden ratio spread hues as evenly as any number of colours allows.
_GOLDEN_RATIO = (5**0.5 - 1) / 2

Colour = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Segment:
    """One object: (K, J, I) bool mask on the volume's grid, colour in 0-1, Slicer's TerminologyEntry string, and
    Slicer's other segment tags as they stand in the file (`provenance.encode_tag_value` makes any text fit).

    Raises ValueError for a mask that is not 3D bool, a colour out of range, a line break in the name, or a tag that
    Slicer would cut.
    """

    name: str
    mask_kji: np.ndarray
    colour_rgb: Colour
    terminology: str
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mask_kji.ndim != 3 or self.mask_kji.dtype != bool:
            raise ValueError(
                f"The mask of segment '{self.name}' must be a 3D bool array, got "
                f"{self.mask_kji.ndim}D {self.mask_kji.dtype}."
            )
        colour = tuple(float(c) for c in self.colour_rgb)
        if len(colour) != 3 or not all(0 <= c <= 1 for c in colour):
            raise ValueError(f"The colour of segment '{self.name}' must be three numbers in 0-1, got {colour}.")
        if TERMINOLOGY_TAG in self.tags:
            raise ValueError(f"The terminology of segment '{self.name}' is a field of its own, not a tag.")
        if _LINE_BREAKS & set(self.name):
            raise ValueError(f"The name of a segment is one line, got {self.name!r}.")
        for key, value in [*self.tags.items(), (TERMINOLOGY_TAG, self.terminology)]:
            if not key or _TAG_COLON in key or (_LINE_BREAKS | {_TAG_END}) & set(key + value):
                raise ValueError(
                    f"Tag '{key}' of segment '{self.name}' has no name, a line break, '{_TAG_END}', or "
                    f"'{_TAG_COLON}' in its name: Slicer would cut it. Encode the value."
                )
        object.__setattr__(self, "colour_rgb", colour)
        object.__setattr__(self, "tags", dict(self.tags))


def named_segments(masks_kji: Mapping[str, np.ndarray]) -> list[Segment]:
    """Segments with the default colour and terminology of their names, in the order given."""
    colours = default_colours(list(masks_kji))
    return [
        Segment(name, mask, colour, terminology_entry(name))
        for (name, mask), colour in zip(masks_kji.items(), colours, strict=True)
    ]


def default_colours(names: Sequence[str]) -> list[Colour]:
    """A colour for each name: Slicer's for structures it knows, else from a cycle; no two alike."""
    colours: list[Colour] = []
    cycle_position = 0
    for name in names:
        term = find_term(name)
        colour = term.colour_rgb if term else None
        while colour is None or colour in colours:
            hue = (1 / 3 + cycle_position * _GOLDEN_RATIO) % 1
            colour = colorsys.hsv_to_rgb(hue, 0.65, 0.9)
            cycle_position += 1
        colours.append(colour)
    return colours
