"""Commands whose packages are an optional extra of the installation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import UserError


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """For imports: a missing package is told with the command that installs it. Raises UserError."""
    try:
        yield
    except ModuleNotFoundError as error:
        advice = f"Install what this command needs, in the repository's folder: pip install '.[{extra}]'"
        raise UserError(f"The Python package {error.name} is missing. {advice}") from error
