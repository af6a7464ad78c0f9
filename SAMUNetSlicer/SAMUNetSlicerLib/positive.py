"""Options of the command line that count something."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """A type for argparse: a whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number
