"""All that is known of the work on one segmentation besides voxels and prompts, and its text in the saved scene.

One JSON text. `schema` counts its versions; a text of another version is set aside unread (see `state_node`), so that
nothing in it is lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from ...errors import InputError
from ...project import NAME, VERSION
from ...volumes.segmentations.provenance import PlaneOrigin
from ...volumes.windows import Window
from .editing_rules import EditingRules

SCHEMA = 1
# Proposals below this confidence are shown as uncertain.
UNCERTAIN_BELOW = 0.5
_CONFIDENCE_DECIMALS = 4


class PlaneStatus(Enum):
    """What the confidence strip shows of a plane."""

    EMPTY = "empty"
    STOPPED = "stopped"
    UNCERTAIN = "uncertain"
    PROPOSED = "proposed"
    ACCEPTED = "accepted"


class PlaneKey(NamedTuple):
    """A plane of a segment. frame: of a sequence, else ""; stack: the text of its `StackKey`."""

    frame: str
    segment_id: str
    stack: str
    index: int


@dataclass(frozen=True)
class PlaneEntry:
    """One mask of a plane. crop_xyxy: where in the plane the network looked; model: number in `Document.models`."""

    confidence: float
    origin: PlaneOrigin
    crop_xyxy: tuple[int, int, int, int] | None = None
    model: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"A confidence lies in 0-1, got {self.confidence}.")
        object.__setattr__(self, "confidence", round(float(self.confidence), _CONFIDENCE_DECIMALS))


@dataclass(frozen=True)
class PlaneState:
    """A plane may be accepted and have a newer proposal. stopped: why propagation ended here, in words."""

    accepted: PlaneEntry | None = None
    proposed: PlaneEntry | None = None
    stopped: str = ""

    @property
    def status(self) -> PlaneStatus:
        if self.proposed is not None:
            return PlaneStatus.UNCERTAIN if self.proposed.confidence < UNCERTAIN_BELOW else PlaneStatus.PROPOSED
        if self.accepted is not None:
            return PlaneStatus.ACCEPTED
        return PlaneStatus.STOPPED if self.stopped else PlaneStatus.EMPTY

    @property
    def confidence(self) -> float | None:
        entry = self.proposed or self.accepted
        return None if entry is None else entry.confidence


NOTHING_KNOWN = PlaneState()


@dataclass(frozen=True)
class ModelIdentity:
    """A network's family, the SHA-256 of its weights, and its name for people."""

    family: str
    sha256: str
    name: str = ""


@dataclass
class Document:
    """The state of the work. window: None for the default of the volume. fingerprints: of the volume, by frame.

    planes: changed by `set_plane` and `rename` alone. items: index values of the sequence's items, by whose places
    frames are named.
    """

    models: list[ModelIdentity] = field(default_factory=list)
    window: Window | None = None
    rules: EditingRules = field(default_factory=EditingRules)
    fingerprints: dict[str, str] = field(default_factory=dict)
    planes: dict[PlaneKey, PlaneState] = field(default_factory=dict)
    items: list[str] = field(default_factory=list)
    # Of the planes of a stack, until one of them changes: the record is saved after each plane of a propagation, when
    # it may hold tens of thousands.
    _texts: dict[tuple[str, str, str], str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def plane(self, key: PlaneKey) -> PlaneState:
        return self.planes.get(key, NOTHING_KNOWN)

    def set_plane(self, key: PlaneKey, state: PlaneState) -> None:
        self._texts.pop(key[:3], None)
        if state == NOTHING_KNOWN:
            self.planes.pop(key, None)
        else:
            self.planes[key] = state

    def of_segment(self, frame: str, segment_id: str) -> Iterator[tuple[PlaneKey, PlaneState]]:
        return (
            (key, state) for key, state in self.planes.items() if key.frame == frame and key.segment_id == segment_id
        )

    def stacks(self) -> list[str]:
        """The stacks in use, in the order in which they came."""
        return list(dict.fromkeys(key.stack for key in self.planes))

    def rename(self, frame: Callable[[str], str | None], stack: Callable[[str], str]) -> None:
        """Give planes other names; frame: None for one that is gone, with all that is known of it."""
        self._texts.clear()
        self.planes = {
            key._replace(frame=frame(key.frame), stack=stack(key.stack)): state
            for key, state in self.planes.items()
            if frame(key.frame) is not None
        }
        self.fingerprints = {frame(old): text for old, text in self.fingerprints.items() if frame(old) is not None}

    def number_of(self, model: ModelIdentity | None) -> int | None:
        """Its place in `models`, where it is added if it is new."""
        if model is None:
            return None
        if model not in self.models:
            self.models.append(model)
        return self.models.index(model)

    def to_json(self) -> str:
        """Compact; equal documents give equal texts."""
        fields = json.dumps(
            {
                "schema": SCHEMA,
                "software": f"{NAME} {VERSION}",
                "models": [[m.family, m.sha256, m.name] for m in self.models],
                "window": None if self.window is None else self.window.to_dict(),
                "rules": self.rules.to_dict(),
                "fingerprints": self.fingerprints,
                "items": self.items,
            },
            separators=(",", ":"),
        )
        return f'{fields[:-1]},"planes":[{",".join(self._plane_texts())}]}}'

    def _plane_texts(self) -> list[str]:
        """The JSON of each stack's planes, in the order of their names."""
        places: dict[tuple[str, str, str], dict[int, PlaneState]] = {}
        for key, state in self.planes.items():
            places.setdefault(key[:3], {})[key.index] = state
        for place in places.keys() - self._texts.keys():
            entries = {
                index: [_entry_to_list(state.accepted), _entry_to_list(state.proposed), state.stopped]
                for index, state in sorted(places[place].items())
            }
            self._texts[place] = json.dumps([*place, entries], separators=(",", ":"))
        return [self._texts[place] for place in sorted(places)]

    @classmethod
    def from_json(cls, text: str) -> Document:
        """Raises InputError, in words for the user, for a text of another version or a damaged one."""
        try:
            fields = json.loads(text)
            schema = fields["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError("The record of the work on this segmentation is damaged.") from error
        if schema != SCHEMA:
            age = "a newer" if isinstance(schema, int) and schema > SCHEMA else "an older"
            raise InputError(
                f"The record of the work on this segmentation was written by {age} version "
                f"({fields.get('software', 'unknown')}) and cannot be read by {NAME} {VERSION}."
            )
        try:
            return cls(
                [ModelIdentity(*map(str, m)) for m in fields["models"]],
                None if fields["window"] is None else Window.from_dict(fields["window"]),
                EditingRules.from_dict(fields["rules"]),
                {str(frame): str(value) for frame, value in fields["fingerprints"].items()},
                dict(_planes(fields["planes"])),
                [str(value) for value in fields.get("items", ())],
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise InputError("The record of the work on this segmentation is damaged.") from error


def _planes(listing: list) -> Iterator[tuple[PlaneKey, PlaneState]]:
    for frame, segment_id, stack, entries in listing:
        for index, (accepted, proposed, stopped) in entries.items():
            key = PlaneKey(str(frame), str(segment_id), str(stack), int(index))
            yield key, PlaneState(_entry_from_list(accepted), _entry_from_list(proposed), str(stopped))


def _entry_to_list(entry: PlaneEntry | None) -> list | None:
    return None if entry is None else [entry.confidence, entry.origin.value, entry.crop_xyxy, entry.model]


def _entry_from_list(values: list | None) -> PlaneEntry | None:
    if values is None:
        return None
    confidence, origin, crop, model = values
    crop_xyxy = None if crop is None else tuple(int(n) for n in crop)
    return PlaneEntry(float(confidence), PlaneOrigin(origin), crop_xyxy, None if model is None else int(model))


def changed_planes(
    before: Mapping[PlaneKey, PlaneState], after: Mapping[PlaneKey, PlaneState]
) -> tuple[dict[PlaneKey, PlaneState], dict[PlaneKey, PlaneState]]:
    """The entries in which two records differ, as they stood before and after."""
    differing = [k for k in {**before, **after} if before.get(k, NOTHING_KNOWN) != after.get(k, NOTHING_KNOWN)]
    return {k: before.get(k, NOTHING_KNOWN) for k in differing}, {k: after.get(k, NOTHING_KNOWN) for k in differing}


def renumbered(known: Sequence[str], now: Sequence[str]) -> dict[str, str | None]:
    """Where the items of a sequence have gone: the frames that have changed, by their old name; None for lost ones.

    known, now: the items' index values. Those that were only given other values stay in their places.
    """
    places = [now.index(value) if value in now else None for value in known]
    if len(known) == len(now) and all(place in (None, number) for number, place in enumerate(places)):
        return {}
    return {
        str(number): None if place is None else str(place) for number, place in enumerate(places) if place != number
    }
