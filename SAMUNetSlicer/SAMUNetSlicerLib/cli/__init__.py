"""The command `samunet`: the same work as in Slicer, without a window."""

from .main import main

__all__ = ["main"]
