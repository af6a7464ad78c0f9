"""Numbers that the options of a command take: others are refused while the command line is read, in plain words."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError


def count(text: str) -> int:
    """A whole number above 0. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) == 0:
        raise ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def whole(text: str) -> int:
    """A whole number of 0 or more. Raises ArgumentTypeError."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"'{text}' is not a whole number of 0 or more")
    return int(text)


def distance(text: str) -> float:
    """A finite number of 0 or more. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ArgumentTypeError(f"'{text}' is not a number of 0 or more")
    return number
