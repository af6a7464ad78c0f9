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
    return _between(text, 0, math.inf, "a number of 0 or more")


def share(text: str) -> float:
    """A number from 0 to 1. Raises ArgumentTypeError."""
    return _between(text, 0, 1, "a number from 0 to 1")


def enlargement(text: str) -> float:
    """A finite number of 1 or more. Raises ArgumentTypeError."""
    return _between(text, 1, math.inf, "a number of 1 or more")


def _between(text: str, lowest: float, highest: float, wanted: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not lowest <= number <= highest or math.isinf(number):
        raise ArgumentTypeError(f"'{text}' is not {wanted}")
    return number
