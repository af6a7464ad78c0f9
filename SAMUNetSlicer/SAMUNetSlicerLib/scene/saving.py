"""Saving the scene so that a crash, a full disk or a read-only folder never costs what was saved before."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote
from xml.etree import ElementTree

from ..atomic_file import put_in_place
from ..errors import OutputError

_LEFT_OVER_AFTER_S = 3600
# Of the folder in which a scene is written. Without the scene's name, since with it the path may become longer than the
# 260 characters that Windows allows.
_PREFIX = ".saving-"
# In a bundle's name Slicer takes brackets for patterns, and writes the others into its XML as they are.
_UNFIT_FOR_SLICER = re.compile(r"[]\[&<>\"]")
# Attributes of storage nodes in a .mrml file.
_STATED_FILE = re.compile(r"fileName|fileListMember\d+")
_STORAGE = "storage:"


def save_scene(scene, path: str | os.PathLike) -> None:
    """Write the whole scene as a `.mrb` that appears whole or not at all; an earlier file stays until then.

    Raises OutputError where it cannot be written; the scene in memory is untouched.
    """
    path = Path(path).absolute()
    if path.suffix.lower() != ".mrb":
        raise OutputError(f"A saved scene ends in .mrb, not {path.name}. Give it that ending.")
    try:
        if not path.parent.is_dir():
            raise OutputError(f"The folder of {path} does not exist. Create it or choose another place.")
        _remove_left_overs(path.parent)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=path.parent))
    except OSError as error:
        raise _not_written(path, error) from error
    scene.StartState(scene.SaveState)  # as Slicer's dialog does: whoever has something to add to the scene adds it now
    try:
        # The bundle takes its inner name from its file, so the name is right from the start, as far as Slicer knows it.
        bundle = folder / _UNFIT_FOR_SLICER.sub("_", path.name)
        if not scene.WriteToMRB(str(bundle)) or not _is_whole(bundle):
            raise _not_written(path)
        with bundle.open("rb+") as stream:
            # A full network disk may say so only now, and a rename must not overtake the data.
            os.fsync(stream.fileno())
        put_in_place(bundle, path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        scene.EndState(scene.SaveState)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left_overs(place: Path) -> None:
    """Remove what a save that was killed has left, but not what another process may be writing now."""
    with contextlib.suppress(OSError):
        for folder in place.glob(f"{_PREFIX}*"):
            if time.time() - folder.stat().st_mtime > _LEFT_OVER_AFTER_S:
                shutil.rmtree(folder, ignore_errors=True)


def _is_whole(bundle: Path) -> bool:
    """Whether the file can be read back to its last byte and holds every file that its scene names."""
    try:
        with zipfile.ZipFile(bundle) as archive:
            if archive.testzip() is not None:
                return False
            names = {PurePosixPath(name).name for name in archive.namelist()}
            scenes = [name for name in archive.namelist() if name.lower().endswith(".mrml")]
            stated = [file for name in scenes for file in _stated_files(archive.read(name))]
            return bool(scenes) and all(PurePosixPath(unquote(file)).name in names for file in stated)
    except (OSError, zipfile.BadZipFile, ElementTree.ParseError):
        return False


def _stated_files(scene: bytes) -> Iterator[str]:
    """The files of a .mrml file's nodes. Storage nodes that deleted nodes have left behind name some that are not."""
    nodes = list(ElementTree.fromstring(scene))
    references = [part for node in nodes for part in node.get("references", "").split(";")]
    used = {i for part in references if part.startswith(_STORAGE) for i in part.removeprefix(_STORAGE).split()}
    for node in nodes:
        if node.get("id") in used:
            yield from (value for name, value in node.items() if value and _STATED_FILE.fullmatch(name))


def _not_written(path: Path, error: OSError | None = None) -> OutputError:
    reason = f": {error.strerror}" if error is not None and error.strerror else ""
    return OutputError(
        f"The scene could not be saved as {path}{reason}. What was saved there before is untouched, and your work is "
        "still open. Choose another place or free some room."
    )
