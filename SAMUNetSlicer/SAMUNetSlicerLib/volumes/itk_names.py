"""File names as SimpleITK takes them, and texts as it gives them."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError


def itk_name(path: str | os.PathLike) -> str:
    """The path as text. Raises InputError for bytes that are no UTF-8, as old archives bring them: SimpleITK would end
    the whole program.
    """
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        name = Path(path).name.encode(errors="backslashreplace").decode()
        raise InputError(f"The name of '{name}', or of its folder, is not valid UTF-8. Rename it.") from error
    return text


def itk_text(text: str) -> str:
    """A text of a file's header; bytes that are no UTF-8 are taken for Latin-1, in which programs on Windows and many
    scanners write names.
    """
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode(errors="surrogateescape").decode("latin-1")
