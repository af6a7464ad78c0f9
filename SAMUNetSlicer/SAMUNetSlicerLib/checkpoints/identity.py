"""What a checkpoint file is: its hash, and the published model that it is byte for byte."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from ..stepwise import run_through
from .catalogue import Catalogue, CatalogueEntry
from .steps import Progress, hash_in_steps


@dataclass(frozen=True)
class FileIdentity:
    """published: the model of the catalogue that the file is, None for any other file."""

    sha256: str
    published: CatalogueEntry | None


def identify_in_steps(path: Path, catalogue: Catalogue) -> Generator[Progress, None, FileIdentity]:
    """Hash the file and look it up. Raises ModelError where it cannot be read."""
    sha256 = (yield from hash_in_steps(path, "sha256"))["sha256"]
    published = catalogue.by_digest("sha256", sha256)
    if published is None:  # of some models the authors state an MD5 alone
        published = catalogue.by_digest("md5", (yield from hash_in_steps(path, "md5"))["md5"])
    return FileIdentity(sha256, published)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content. Raises ModelError where it cannot be read."""
    return run_through(hash_in_steps(path, "sha256"))["sha256"]
