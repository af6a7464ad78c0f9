"""File names as SimpleITK takes them."""

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
