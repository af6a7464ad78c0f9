"""Which models are on this computer."""

from __future__ import annotations

import re
from pathlib import Path

from .catalogue import Catalogue, CatalogueEntry
from .places import user_models_folder, weights_folder

SUFFIXES = (".safetensors", ".pth", ".pt")
ALL_MODELS = "all"  # `samunet models delete all`, so it is no model's name


def find_installed(entry: CatalogueEntry) -> Path | None:
    """The file of a model of the catalogue, shipped or installed, as published or converted; None if absent."""
    if entry.file.shipped:
        shipped = weights_folder() / entry.file.name
        return shipped if shipped.is_file() else None
    published = user_models_folder() / entry.file.name
    return published if published.is_file() else find_user_model(entry.name)


def find_user_model(name: str) -> Path | None:
    """A file in the user's folder by its name without ending; None if absent."""
    if Path(name).name != name:  # a path, not a name
        return None
    candidates = (user_models_folder() / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in candidates if is_file(path)), None)


def is_file(path: Path) -> bool:
    """Whether there is such a file; also False for a name that the system does not allow or lets nobody look at."""
    try:
        return path.is_file()
    except OSError:
        return False


def file_stamp(name: str, catalogue: Catalogue) -> tuple[Path, int, int] | None:
    """Changes whenever another file comes in the place of a model's: path, time and size. None where there is none.

    name: of the catalogue's or of the user's model, or a checkpoint file.
    """
    entry = catalogue.get(name)
    path = find_installed(entry) if entry is not None else find_user_model(name) or Path(name)
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return None if found is None else (path, found.st_mtime_ns, found.st_size)


def suggest_name(path: Path) -> str:
    """A model's name made from a file's: letters, digits, dots, dashes and underscores."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem).lstrip("_.-")
    return "model" if name in ("", ALL_MODELS) else name


def find_family(family: str, catalogue: Catalogue) -> Path | None:
    """The file of any installed model of the catalogue that is of this family; None if there is none."""
    found = (find_installed(entry) for entry in catalogue.models if entry.family == family)
    return next((path for path in found if path is not None), None)


def user_models(catalogue: Catalogue) -> list[Path]:
    """The user's own models: files in the user's folder that belong to no model of the catalogue. Of files that
    differ in their endings only, the one that the name stands for.
    """
    folder = user_models_folder()
    if not folder.is_dir():
        return []
    known = {path for entry in catalogue.models if (path := find_installed(entry)) is not None}
    names = {path.stem for path in folder.iterdir() if path.suffix in SUFFIXES}
    found = (find_user_model(name) for name in names)
    return sorted(path for path in found if path is not None and path not in known)
