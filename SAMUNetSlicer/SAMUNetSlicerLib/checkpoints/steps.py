"""Long work on model files in short steps, so that a host can show it, pace it and end it.

The generators of this room yield a `Progress` after each bounded piece of work; closing one cancels it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .metadata import open_checkpoint

_BLOCK_BYTES = 2**22  # hashed or copied in about 10 ms


class Phase(Enum):
    """What is being done."""

    CONNECTING = "connecting"
    RECEIVING = "receiving"
    WAITING = "waiting before another attempt"
    VERIFYING = "verifying"
    STORING = "storing"
    DONE = "done"


@dataclass(frozen=True)
class Progress:
    """One step. total_bytes is None while it is not known."""

    phase: Phase
    done_bytes: int
    total_bytes: int | None


def hash_in_steps(path: Path, *algorithms: str) -> Generator[Progress, None, dict[str, str]]:
    """Returns the hexadecimal hash of a file's content by algorithm (of hashlib). Raises ModelError where it cannot be
    read.
    """
    # MD5 is good against damage, not against an attacker: https must be, and tensors only are read in any case.
    hashers = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    done = 0
    with open_checkpoint(path) as stream:
        total = path.stat().st_size
        while block := stream.read(_BLOCK_BYTES):
            for hasher in hashers.values():
                hasher.update(block)
            done += len(block)
            yield Progress(Phase.VERIFYING, done, total)
    return {name: hasher.hexdigest() for name, hasher in hashers.items()}


def copy_in_steps(path: Path, target) -> Generator[Progress, None, None]:
    """Append a file's content to an open binary file."""
    done, total = 0, path.stat().st_size
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            target.write(block)
            done += len(block)
            yield Progress(Phase.STORING, done, total)
