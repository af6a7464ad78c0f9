"""The files of encodings that are kept on the disk: how much there is, and removing them. Needs neither torch nor
safetensors, so that a panel can show it before anything is loaded. What they are: see `disk_cache`.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ...project import NAME

DEFAULT_LIMIT_BYTES = 2 * 2**30
SUFFIX = ".safetensors"
NEW_SUFFIX = ".new"
_ABANDONED_AFTER_S = 3600  # a file still being written after so long is left over from a process that was killed


def default_folder() -> Path:
    """Where encodings are kept: the platform's folder for caches."""
    return platformdirs.user_cache_path(NAME, appauthor=False) / "encodings"


@dataclass(frozen=True)
class KeptEncodings:
    """The files in one folder. Nothing here fails: what cannot be read or removed stays uncounted, or stays."""

    folder: Path
    limit_bytes: int = DEFAULT_LIMIT_BYTES

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return sum(size for _, size, _ in self._files())

    def __len__(self) -> int:
        return len(self._files())

    def clear(self) -> None:
        """Remove everything."""
        for path, _, _ in self._files():
            remove(path)
        with contextlib.suppress(OSError):
            for path in self.folder.glob(f"*{NEW_SUFFIX}"):
                remove(path)

    def make_room(self, needed: int) -> None:
        """Remove the least recently used until `needed` more bytes fit, and what killed processes left behind."""
        now = time.time()
        with contextlib.suppress(OSError):
            for path in self.folder.glob(f"*{NEW_SUFFIX}"):
                with contextlib.suppress(OSError):
                    if now - path.stat().st_mtime > _ABANDONED_AFTER_S:
                        remove(path)
        files = self._files()
        total = needed + sum(size for _, size, _ in files)
        for path, size, _ in sorted(files, key=lambda file: file[2]):
            if total <= self.limit_bytes:
                return
            remove(path)
            total -= size

    def _files(self) -> list[tuple[Path, int, float]]:
        """Path, bytes and time of last use of each; another process may remove some meanwhile."""
        found = []
        with contextlib.suppress(OSError):
            for path in self.folder.glob(f"*{SUFFIX}"):
                with contextlib.suppress(OSError):
                    facts = path.stat()
                    found.append((path, facts.st_size, facts.st_mtime))
        return found


def remove(path: Path) -> None:
    """Remove a file, where that is possible."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
