"""The user's models: list, download, install from a file, convert, adapt, delete."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..atomic_file import is_left_over, made_folder, written_whole
from ..errors import ModelError, OutputError
from ..stepwise import run_through
from .catalogue import CatalogueEntry, read_catalogue
from .download import LOCK_SUFFIX, TAG_SUFFIX, Patience, discard_part, download, need_room
from .identity import identify_in_steps
from .installed import ALL_MODELS, SUFFIXES, find_installed, find_user_model, is_file, suggest_name
from .listing import PART_SUFFIX, UNKNOWN_LICENCE, ListedModel, ModelState, list_entry, list_models, part_of
from .loading import assemble, decide_family, find_base, locate
from .metadata import read_metadata
from .places import user_models_folder
from .steps import Phase, Progress, copy_in_steps
from .tensors import read_tensors
from .writing import write_safetensors

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def download_model(name: str, patience: Patience | None = None) -> Iterator[Progress]:
    """Download a model of the catalogue into the user's folder, step by step; closing the generator cancels.

    The user must have been asked before the first step, and shown the licence. Raises ModelError at once where there is
    nothing to download; see `download` for what comes later.
    """
    entry = _entry(name)
    if list_entry(entry).state in (ModelState.SHIPPED, ModelState.INSTALLED):
        raise ModelError(f"The model {name} is installed already.")
    return download(entry.file, user_models_folder(), patience)


def install_model(
    path: Path,
    name: str | None = None,
    family: str | None = None,
    base: str | Path | None = None,
    input_size: int | None = None,
) -> ListedModel:
    """All of `install_in_steps` at once."""
    return run_through(install_in_steps(path, name, family, base, input_size))


def install_in_steps(
    path: Path,
    name: str | None = None,
    family: str | None = None,
    base: str | Path | None = None,
    input_size: int | None = None,
) -> Generator[Progress, None, ListedModel]:
    """Copy a checkpoint that the user has into the user's folder, after making sure that it loads.

    A published file is known by its hash and kept as it is; any other becomes a safetensors file called `name` (by
    default the file's own name). The other arguments are those of `load_network`; family and size are remembered.
    Closing the generator leaves nothing behind. Writing a safetensors file is one step, however large it is.
    Raises ModelError for a file that is not a usable checkpoint (AmbiguousFamilyError where the user must say of
    which family it is), OutputError when it cannot be stored.
    """
    if not is_file(path):
        raise ModelError(f"There is no file {path}.")
    size = path.stat().st_size
    catalogue = read_catalogue()
    identity = yield from identify_in_steps(path, catalogue)
    published = identity.published
    if published is not None:
        if published.file.shipped:
            raise ModelError(f"This file is the model {published.name}, which comes with the program.")
        _check_loads(path, family or published.family, base, input_size)
        folder = _prepared(user_models_folder(), size, published.file.name)
        with written_whole(folder / published.file.name) as target:
            yield from copy_in_steps(path, target)
        return list_entry(published)
    name = catalogue.spelled(name or suggest_name(path))
    entry = catalogue.get(name)
    _check_name(name, entry)
    known_family = entry.family if entry else None
    tensors, family = _check_loads(path, family or known_family, base, input_size)
    if known_family not in (None, family):
        raise ModelError(f"The name {name} is kept for models of the family {known_family}. Choose another name.")
    metadata = {"family": family, "source_sha256": identity.sha256}
    metadata["licence"] = read_metadata(path).get("licence", entry.licence if entry else UNKNOWN_LICENCE)
    if input_size is not None:
        metadata["input_size"] = str(input_size)
    target = _prepared(user_models_folder(), size, name) / f"{name}.safetensors"
    yield Progress(Phase.STORING, 0, size)
    write_safetensors(tensors, target, metadata)
    return next(model for model in list_models() if model.path == target)


def delete_model(name: str) -> Path:
    """Delete an installed model's file, or what a download has left of it; returns where it stood.

    Raises ModelError or OutputError.
    """
    entry = read_catalogue().get(name)
    if entry is not None and entry.file.shipped:
        raise ModelError(f"The model {name} comes with the program and cannot be deleted by itself.")
    path = find_installed(entry) if entry is not None else find_user_model(name)
    part = part_of(entry) if entry is not None and part_of(entry).is_file() else None
    if path is None and part is None:
        raise ModelError(f"The model {name} is not installed.")
    if path is not None:
        _delete(path)
    if part is not None:
        with _told_if_kept(part):
            discard_part(part)
    return path or part


def all_model_files() -> list[Path]:
    """The models in the user's folder, and what unfinished downloads and killed installations left. Other files of that
    folder are not ours.
    """
    folder = user_models_folder()
    return sorted(filter(_is_model_file, folder.iterdir())) if folder.is_dir() else []


def delete_model_files(paths: Sequence[Path]) -> None:
    """Delete what `all_model_files` has found, after the user has seen the list. Raises OutputError."""
    for path in paths:
        _delete(path)


def convert_model(path_or_name: str | Path, output: Path, family: str | None = None, *, half: bool = False) -> Path:
    """Write any checkpoint as a safetensors file that states its family, licence and the hash of its source.

    half: as `write_safetensors` does it. Raises ModelError for an unusable checkpoint, OutputError when the file cannot
    be written.
    """
    catalogue = read_catalogue()
    path = locate(path_or_name, catalogue)
    identity = run_through(identify_in_steps(path, catalogue))
    entry = identity.published
    metadata = read_metadata(path)
    tensors = read_tensors(path)
    known = entry.family if entry else metadata.get("family")
    metadata["family"] = decide_family(path.name, tensors, known, family)
    metadata["licence"] = entry.licence if entry else metadata.get("licence", UNKNOWN_LICENCE)
    metadata.setdefault("source_sha256", identity.sha256)
    write_safetensors(tensors, output, metadata, half=half)
    return output


def _entry(name: str) -> CatalogueEntry:
    catalogue = read_catalogue()
    entry = catalogue.get(name)
    if entry is None:
        known = ", ".join(e.name for e in catalogue.models)
        raise ModelError(f"There is no model named '{name}'. Known models: {known}.")
    return entry


def _check_name(name: str, entry: CatalogueEntry | None) -> None:
    if name == ALL_MODELS or not _NAME.fullmatch(name):
        raise ModelError(
            f"'{name}' cannot be a model's name. Use letters, digits, dots, dashes and underscores; '{ALL_MODELS}' "
            "stands for every model."
        )
    if entry is not None and entry.file.digest is not None:
        raise ModelError(f"This file is not the published {entry.file.name}: its hash differs. Choose another name.")


def _check_loads(path: Path, family: str | None, base: str | Path | None, input_size: int | None):
    tensors = read_tensors(path)
    family = decide_family(path.name, tensors, read_metadata(path).get("family"), family)
    assemble(family, tensors, find_base(family, tensors, base, read_catalogue()), input_size)
    return tensors, family


def _prepared(folder: Path, wanted_bytes: int, what: str) -> Path:
    need_room(made_folder(folder), wanted_bytes, what)
    return folder


def _is_model_file(path: Path) -> bool:
    unfinished = path.suffix in (PART_SUFFIX, TAG_SUFFIX, LOCK_SUFFIX) and Path(path.stem).suffix in SUFFIXES
    return path.is_file() and (path.suffix in SUFFIXES or unfinished or is_left_over(path))


def _delete(path: Path) -> None:
    with _told_if_kept(path):
        path.unlink(missing_ok=True)


@contextmanager
def _told_if_kept(path: Path) -> Iterator[None]:
    """Windows keeps a file that is in use."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path.name} cannot be deleted: {error.strerror}. Close what uses it.") from error
