"""What this program wrote about the origin of weights into the header of a safetensors file. Needs no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import MemoryShortageError, ModelError, UserError

METADATA_KEY = "samunetslicer"
# Windows' number for it, as Rust, Python and torch write it; the words around it are in the user's language.
_NO_MEMORY_LEFT = re.compile(r"error (code: <)?1455\b", re.IGNORECASE)


def read_metadata(path: str | Path) -> dict[str, str]:
    """Family, licence, hash of the source, as far as they were written; empty for other files.

    Raises ModelError for a file that cannot be read, or a damaged safetensors file.
    """
    path = Path(path)
    with open_checkpoint(path) as stream:
        if stream.read(9)[8:] != b"{":
            return {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as opened:
            text = (opened.metadata() or {}).get(METADATA_KEY, "{}")
        entries = json.loads(text)
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise damaged(path) from error
    return {key: value for key, value in entries.items() if isinstance(value, str)} if isinstance(entries, dict) else {}


@contextmanager
def open_checkpoint(path: Path) -> Iterator[BinaryIO]:
    """The file, for reading bytes. Raises ModelError where it may not be read, or its disk is gone in the middle."""
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise ModelError(f"The checkpoint {path} cannot be read: {error.strerror}.") from error


def damaged(path: Path) -> ModelError:
    """What to raise for a file that broke on its way here."""
    return ModelError(f"{path.name} is damaged or incomplete. Download it again.")


def not_mapped(path: Path, error: Exception) -> UserError:
    """What to raise where a file cannot be mapped into memory: on Windows perhaps for want of it, not for damage."""
    if _NO_MEMORY_LEFT.search(str(error)):
        return MemoryShortageError(f"There is not enough memory for {path.name}. Close other programs and try again.")
    return damaged(path)
