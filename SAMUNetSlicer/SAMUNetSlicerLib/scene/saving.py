"""Saving the scene so that a crash, a full disk or a read-only folder never costs what was saved before."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import zipfile
from pathlib import Path

from ..errors import OutputError

_LEFT_OVER_AFTER_S = 3600


def save_scene(scene, path: str | os.PathLike) -> None:
    """Write the whole scene as a `.mrb` that appears whole or not at all; an earlier file stays until then.

    Raises OutputError where it cannot be written; the scene in memory is untouched.
    """
    path = Path(path).absolute()
    if path.suffix.lower() != ".mrb":
        raise OutputError(f"A saved scene ends in .mrb, not {path.name}. Give it that ending.")
    if not path.parent.is_dir():
        raise OutputError(f"The folder of {path} does not exist. Create it or choose another place.")
    _remove_left_overs(path)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_prefix(path), dir=path.parent))
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        # The bundle takes its inner name from its file, so the name is right from the start.
        bundle = folder / path.name
        if not scene.WriteToMRB(str(bundle)) or not _is_whole(bundle, scene):
            raise _not_written(path)
        with bundle.open("rb+") as stream:
            # A full network disk may say so only now, and a rename must not overtake the data.
            os.fsync(stream.fileno())
        bundle.replace(path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prefix(path: Path) -> str:
    return f".{path.name}.saving-"


def _remove_left_overs(path: Path) -> None:
    """Remove what a save that was killed has left, but not what another process may be writing now."""
    with contextlib.suppress(OSError):
        for folder in path.parent.glob(f"{_prefix(path)}*"):
            if time.time() - folder.stat().st_mtime > _LEFT_OVER_AFTER_S:
                shutil.rmtree(folder, ignore_errors=True)


def _is_whole(bundle: Path, scene) -> bool:
    """Whether the file can be read back to its last byte and holds every node that is stored in a file of its own."""
    try:
        with zipfile.ZipFile(bundle) as archive:
            names = archive.namelist()
            return archive.testzip() is None and len(names) > _stored_nodes(scene)
    except (OSError, zipfile.BadZipFile):
        return False


def _stored_nodes(scene) -> int:
    """How many nodes have a file of their own in a bundle."""
    count = 0
    for class_name in ("vtkMRMLVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLMarkupsNode"):
        nodes = scene.GetNodesByClass(class_name)
        nodes.UnRegister(None)
        count += sum(bool(nodes.GetItemAsObject(n).GetSaveWithScene()) for n in range(nodes.GetNumberOfItems()))
    return count


def _not_written(path: Path, error: OSError | None = None) -> OutputError:
    reason = f": {error.strerror}" if error is not None and error.strerror else ""
    return OutputError(
        f"The scene could not be saved as {path}{reason}. What was saved there before is untouched, and your work is "
        "still open. Choose another place or free some room."
    )
