"""The list of models, and whether each is on this computer. Needs no torch, and reads no more than headers."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ..errors import ModelError
from .catalogue import CatalogueEntry, read_catalogue
from .installed import find_installed, user_models
from .metadata import read_metadata
from .places import user_models_folder

UNKNOWN_LICENCE = "unknown"
PART_SUFFIX = ".part"  # of a download that is not finished


class ModelState(Enum):
    """Whether a model is on this computer, or how it gets there."""

    SHIPPED = "shipped"
    INSTALLED = "installed"
    DAMAGED = "damaged"
    PARTIAL = "partly downloaded"
    DOWNLOADABLE = "can be downloaded"
    FROM_FILE = "can be installed from a file"


@dataclass(frozen=True)
class ListedModel:
    """A line of the list of models.

    entry is None for a file of the user's own; path is None if not installed; partial_bytes: what has arrived of a
    download that is not finished.
    """

    name: str
    state: ModelState
    family: str
    licence: str
    path: Path | None
    entry: CatalogueEntry | None
    partial_bytes: int = 0


def list_models() -> list[ListedModel]:
    """The catalogue's models, then the user's own."""
    catalogue = read_catalogue()
    return [*map(list_entry, catalogue.models), *map(_list_own, user_models(catalogue))]


def list_entry(entry: CatalogueEntry) -> ListedModel:
    """The line of a model of the catalogue."""
    path, part = find_installed(entry), part_of(entry)
    arrived = part.stat().st_size if part.is_file() else 0
    if path is not None:
        if not _is_whole(path, entry):
            state = ModelState.DAMAGED
        else:
            state = ModelState.SHIPPED if entry.file.shipped else ModelState.INSTALLED
    elif entry.file.url:
        state = ModelState.PARTIAL if arrived else ModelState.DOWNLOADABLE
    else:
        state = ModelState.FROM_FILE
    return ListedModel(entry.name, state, entry.family, entry.licence, path, entry, arrived)


def part_of(entry: CatalogueEntry) -> Path:
    """Where a download of the model keeps what has arrived."""
    return user_models_folder() / f"{entry.file.name}{PART_SUFFIX}"


def _list_own(path: Path) -> ListedModel:
    try:
        metadata, state = read_metadata(path), ModelState.INSTALLED
    except ModelError:
        metadata, state = {}, ModelState.DAMAGED
    if not _is_readable(path):
        state = ModelState.DAMAGED
    family, licence = metadata.get("family", "unknown"), metadata.get("licence", UNKNOWN_LICENCE)
    return ListedModel(path.stem, state, family, licence, path, None)


def _is_whole(path: Path, entry: CatalogueEntry) -> bool:
    """As far as can be told at a glance; the whole hash is compared when the model is loaded."""
    if path.name == entry.file.name and entry.file.size is not None:
        return path.stat().st_size == entry.file.size
    return _is_readable(path)


def _is_readable(path: Path) -> bool:
    if path.suffix != ".safetensors":
        return zipfile.is_zipfile(path)
    try:
        read_metadata(path)
    except ModelError:
        return False
    with path.open("rb") as stream:
        return stream.read(9)[8:] == b"{"
