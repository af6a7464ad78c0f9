"""Result files appear whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import OutputError

_WAITS_FOR_SCANNERS_S = (0.05, 0.1, 0.2, 0.4)


def check_destination(path: str | os.PathLike) -> None:
    """Raise OutputError where no file can be written at `path`: to be called before long work, not only after it."""
    path = Path(path)
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}. Choose another name or place.") from error
    if not path.parent.is_dir():
        raise OutputError(f"The folder of {path} does not exist. Create it or choose another place.")
    if is_folder:
        raise OutputError(f"{path} is a folder. Give the name of a file in it.")
    # Windows would write a hidden stream of the file that is called by what stands before the colon.
    if sys.platform == "win32" and ":" in path.name:
        raise OutputError(f"On Windows {path.name} is no name of a file, since it has a colon. Choose another name.")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"The folder of {path} may not be written. Choose another place.")
    # A rename would replace it all the same, or be refused by Windows after the work.
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{path} is protected against writing. Choose another name or lift the protection.")
    # Tried, since on Windows all of this tells neither who may write in a folder nor which names are allowed.
    temporary = _neighbour(path)
    try:
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}. Choose another name or place.") from error


def _neighbour(path: Path) -> Path:
    # Part of the name only: the whole one may be as long as the system allows, in bytes.
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}")


def made_folder(folder: Path) -> Path:
    """The folder, made where it is missing, with those above it. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}. Choose another place.") from error
    return folder


def put_in_place(new: Path, path: Path) -> None:
    """Rename a finished file to `path`. Raises OSError.

    On Windows it is tried again for a moment, in which virus scanners hold fresh files.
    """
    for wait_s in _WAITS_FOR_SCANNERS_S if sys.platform == "win32" else ():
        try:
            new.replace(path)
            return
        except PermissionError:
            time.sleep(wait_s)
    new.replace(path)


def is_left_over(path: Path) -> bool:
    """Whether the name is one that `written_whole` gives to its temporary files, which a killed process leaves."""
    return re.fullmatch(r"\..+\.[0-9a-f]{8}", path.name) is not None


def discard_left_overs(path: Path) -> None:
    """Delete what killed processes have left of attempts to write `path`, which no other process may be writing now."""
    for left in path.parent.glob(f".{glob.escape(path.name[:40])}.*"):
        if is_left_over(left):
            with contextlib.suppress(OSError):
                left.unlink()


@contextlib.contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a temporary neighbour of `path` for writing bytes; it takes the place of `path` once all is on the disk.
    Who rather writes the file called `stream.name` closes the stream first.

    After any error, also an interruption, the neighbour is gone and a file that stood at `path` is untouched.
    Raises OutputError where the folder is missing, may not be written or is full.
    """
    check_destination(path)
    path = Path(path)
    temporary = _neighbour(path)
    try:
        with temporary.open("xb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            yield stream
        # A library that wrote by name may have put another file in its place, which nobody else may read.
        temporary.chmod(stat.S_IMODE(mode))
        with temporary.open("r+b") as stream:
            # A full network disk may say so only now, and a rename must not overtake the data.
            os.fsync(stream.fileno())
        put_in_place(temporary, path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        # Windows keeps a file that a program has open, or that a loaded model is read from.
        remedy = "close what uses it" if isinstance(error, PermissionError) else "free some room"
        raise OutputError(f"{path} could not be written: {reason}. Choose another place or {remedy}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
