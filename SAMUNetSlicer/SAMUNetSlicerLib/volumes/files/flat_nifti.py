"""NIfTI files of two dimensions: ITK forgets what their header says of the way out of the plane."""

from __future__ import annotations

import gzip
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HEADER = 348
_DIMENSIONS, _THICKNESS, _MAGIC = 40, 88, slice(344, 348)
_GZIP = b"\x1f\x8b"


@contextmanager
def with_three_dimensions(path: Path) -> Iterator[Path]:
    """The file itself or, of a NIfTI file of two dimensions, a copy of its name that is one voxel thick."""
    content = _thickened(path)
    if content is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(content)
        yield copy


def _thickened(path: Path) -> bytes | None:
    """The file's bytes, unpacked, with a third dimension; None for other files and for what cannot be unpacked."""
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == _GZIP
        with gzip.open(path) if packed else path.open("rb") as stream:
            header = bytearray(stream.read(_HEADER))
            order = next((o for o in "<>" if header[:4] == struct.pack(f"{o}i", _HEADER)), None)
            if order is None or header[_MAGIC] != b"n+1\0":
                return None
            if struct.unpack_from(f"{order}h", header, _DIMENSIONS) != (2,):
                return None
            struct.pack_into(f"{order}h", header, _DIMENSIONS, 3)
            struct.pack_into(f"{order}h", header, _DIMENSIONS + 3 * 2, 1)
            if not struct.unpack_from(f"{order}f", header, _THICKNESS)[0] > 0:
                struct.pack_into(f"{order}f", header, _THICKNESS, 1.0)
            return bytes(header) + stream.read()
    except (OSError, EOFError, zlib.error):
        return None
