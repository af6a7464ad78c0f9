"""Which cases belong to a set: a small TOML file names sources, the data folder holds their files.

`sets/development.toml` takes what the training configuration holds back, by that configuration's own split;
`sets/unseen.toml` lists sources that nothing was trained on. A set of one's own is a file of the same form.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ..errors import InputError
from ..learning.data.sources import Objects, Split, find_pairs, sources_in, split_pairs, stem_of
from ..learning.data.windows import Intensity
from ..volumes.windows import parse_window

SETS_FOLDER = Path(__file__).parent / "sets"
_AUTOMATIC = "auto"
_CT_WINDOW = "abdomen"

Item = TypeVar("Item")


@dataclass(frozen=True)
class CaseFiles:
    """An image, volume or DICOM folder, and a file of masks for it. Targets of one `case` are not independent."""

    case: str
    image: Path
    mask: Path

    @property
    def name(self) -> str:
        """The mask's file name up to its first dot."""
        return self.mask.name.partition(".")[0]


@dataclass(frozen=True)
class SourceSettings:
    """How targets are drawn from a source's files.

    objects: what a label's number means (in volumes every number is a label). window: "auto", a preset or
    LOWER:UPPER. planes_per_label: of each label of a volume, this many evenly spaced planes are 2D targets.
    volumes: whether labels are also targets in 3D; volume_labels: only these, if any are named.
    """

    objects: Objects = Objects.COMPONENTS
    window: str = _AUTOMATIC
    planes_per_label: int = 2
    volumes: bool = False
    volume_labels: tuple[int, ...] = ()

    @staticmethod
    def from_mapping(entry: Mapping, source: str) -> SourceSettings:
        """From a table of a set's file. Raises InputError for an unknown key or value."""
        values = dict(entry)
        try:
            values["objects"] = Objects(values.get("objects", Objects.COMPONENTS))
            values["planes_per_label"] = int(values.get("planes_per_label", SourceSettings.planes_per_label))
            values["volume_labels"] = tuple(int(label) for label in values.get("volume_labels", ()))
            settings = SourceSettings(**values)
        except (TypeError, ValueError) as error:
            raise InputError(f"The source '{source}' of the set of cases is wrong: {error}.") from error
        parse_window(str(settings.window))
        return settings


@dataclass(frozen=True)
class CaseSource:
    """The files of one source and how to read them."""

    name: str
    files: tuple[CaseFiles, ...]
    settings: SourceSettings = field(default_factory=SourceSettings)


@dataclass(frozen=True)
class CaseSet:
    """Sources with their cases.

    groups: names of sources that means are also reported without, by the group's name.
    missing: sources that the data folder does not hold.
    """

    name: str
    sources: tuple[CaseSource, ...]
    groups: Mapping[str, tuple[str, ...]]
    missing: tuple[str, ...] = ()


def read_case_set(name_or_path: str | Path, root: Path) -> CaseSet:
    """The set "development" or "unseen", or one of a file's, with what the data folder `root` holds of it.

    Raises InputError where there is no such set, its file is wrong, or `root` holds nothing of it.
    """
    path = _locate(name_or_path)
    try:
        content = tomllib.loads(_text_of(path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"The set of cases {path.name} is not valid TOML: {error}.") from error
    described = [*_held_back(content, path.parent, root), *_listed(content, root)]
    sources = tuple(source for source in described if source.files)
    missing = tuple(source.name for source in described if not source.files)
    if not sources:
        raise InputError(f"The folder {root} holds nothing of the set '{path.stem}'. Name the root of its data.")
    groups = content.get("groups", {})
    if not isinstance(groups, Mapping) or not all(map(_are_texts, groups.values())):
        raise InputError(f"In the set of cases {path.name} each of the [groups] is a list of names of sources.")
    return CaseSet(path.stem, sources, {group: tuple(names) for group, names in groups.items()}, missing)


def spread(items: Sequence[Item], limit: int | None) -> list[Item]:
    """At most `limit` items, evenly spaced from the first to the last; all where it is None."""
    if limit is None or len(items) <= limit:
        return list(items)
    if limit == 1:
        return [items[len(items) // 2]]
    return [items[round(i * (len(items) - 1) / (limit - 1))] for i in range(limit)]


def _locate(name_or_path: str | Path) -> Path:
    shipped = {path.stem: path for path in sorted(SETS_FOLDER.glob("*.toml"))}
    path = shipped.get(str(name_or_path), Path(name_or_path))
    if not path.is_file():
        raise InputError(f"There is no set of cases '{name_or_path}'. Give {', '.join(shipped)} or a TOML file.")
    return path


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}.") from error


def _held_back(content: Mapping, folder: Path, root: Path) -> Iterator[CaseSource]:
    """What the training configuration holds back for development."""
    if "training" not in content:
        return
    tables = content.get("settings", {})
    if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
        raise InputError("The settings of a source of the set of cases begin with the line [settings.NAME].")
    for spec in sources_in(folder / str(content["training"])):
        if not spec.development_fraction and not spec.development_cases:
            continue
        own = {"objects": spec.objects, "window": _CT_WINDOW if spec.intensity is Intensity.CT else _AUTOMATIC}
        settings = SourceSettings.from_mapping({**own, **tables.get(spec.name, {})}, spec.name)
        try:
            pairs = split_pairs(spec, find_pairs(spec, root), Split.DEVELOPMENT)
        except InputError:
            pairs = []  # not in this folder: reported as missing
        yield CaseSource(spec.name, tuple(CaseFiles(p.case, p.image, p.mask) for p in pairs), settings)


def _listed(content: Mapping, root: Path) -> Iterator[CaseSource]:
    entries = content.get("sources", [])
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise InputError("Each source of the set of cases begins with the line [[sources]].")
    for entry in entries:
        values = dict(entry)
        try:
            name, folder, image, masks = (values.pop(key) for key in ("name", "folder", "image", "masks"))
            case_pattern = re.compile(values.pop("case", ".+"))
        except (KeyError, TypeError, re.error) as error:
            raise InputError(f"A source of the set of cases lacks or misspells {error}.") from error
        if not all(isinstance(text, str) for text in (name, folder, image)) or not _are_texts(masks):
            raise InputError(f"In the source '{name}' name, folder and image are texts, masks is a list of patterns.")
        files = []
        for mask in sorted({path for pattern in masks for path in _matching(root / folder, pattern)}):
            stem = stem_of(mask)
            found = case_pattern.search(stem)
            case = found.group(0) if found else stem
            files.append(CaseFiles(case, root / folder / image.replace("{case}", case), mask))
        yield CaseSource(name, tuple(files), SourceSettings.from_mapping(values, name))


def _matching(folder: Path, pattern: str) -> Iterator[Path]:
    if Path(pattern).is_absolute():
        raise InputError(f"'{pattern}' is a whole path. Patterns are those of files in the folder {folder.name}.")
    try:
        yield from folder.glob(pattern)
    except (ValueError, IndexError) as error:  # of an empty pattern, of ** within a name
        raise InputError(f"'{pattern}' is not a pattern of files in the folder {folder.name}.") from error


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
