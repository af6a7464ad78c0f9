"""The zip archives that `torch.save` writes: checked, memory-mapped, read without executing anything."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from .metadata import damaged, not_mapped
from .restricted_unpickler import RestrictedUnpickler

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, length of the name, length of the extra field
_MAX_PICKLE_BYTES = 64 * 2**20  # a published 1.2 GB checkpoint's pickle has .2 MB


class TorchArchive:
    """One checkpoint file. Raises ModelError where the archive is damaged, deceptive or not a checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file_size = path.stat().st_size
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
                self._check(entries)
                pickles = [e for e in entries if e.filename.count("/") == 1 and e.filename.endswith("/data.pkl")]
                if len(pickles) != 1:
                    raise ModelError(f"{path.name} is a zip archive, but not one that torch.save wrote.")
                self.root = pickles[0].filename.removesuffix("data.pkl")
                names = {entry.filename: entry for entry in entries}
                if f"{self.root}constants.pkl" in names:
                    raise ModelError(f"{path.name} holds a compiled program (TorchScript), not weights alone.")
                if pickles[0].file_size > _MAX_PICKLE_BYTES:
                    raise ModelError(f"{path.name} is refused: its list of contents is too large to be honest.")
                self._pickle = archive.read(pickles[0])
                if f"{self.root}byteorder" in names and archive.read(f"{self.root}byteorder") != b"little":
                    raise ModelError(f"{path.name} was written on a big-endian machine and cannot be read here.")
                self._spans = self._locate(entries)
        # zipfile itself raises RuntimeError and its kin for what it does not know, ValueError for names.
        except (zipfile.BadZipFile, OSError, struct.error, RuntimeError, EOFError, ValueError) as error:
            raise damaged(path) from error

    def _check(self, entries: list[zipfile.ZipInfo]) -> None:
        """torch stores its entries unpacked and side by side: anything else is an attempt to swell in memory."""
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ModelError(f"{self.path.name} is refused: it is packed, which torch.save never does.")
        if sum(entry.file_size for entry in entries) > self.file_size:
            raise ModelError(f"{self.path.name} is refused: it claims to hold more than its own size.")
        if len({entry.filename for entry in entries}) != len(entries):
            raise ModelError(f"{self.path.name} is refused: it holds several entries of one name.")

    def _locate(self, entries: list[zipfile.ZipInfo]) -> dict[str, tuple[int, int]]:
        """Where each storage's bytes begin and end in the file."""
        spans = {}
        prefix = f"{self.root}data/"
        with self.path.open("rb") as stream:
            for entry in entries:
                if not entry.filename.startswith(prefix):
                    continue
                stream.seek(entry.header_offset)
                signature, name_length, extra_length = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
                start = entry.header_offset + _LOCAL_HEADER.size + name_length + extra_length
                if signature != b"PK\x03\x04" or start + entry.file_size > self.file_size:
                    raise zipfile.BadZipFile("an entry lies beyond the end of the file")
                spans[entry.filename.removeprefix(prefix)] = (start, start + entry.file_size)
        return spans

    def load(self) -> Any:
        """The pickled object, with tensors that are views of the memory-mapped file and nothing else alive in it."""
        # A private mapping: writing to a tensor would not reach the file.
        try:
            storage = torch.UntypedStorage.from_file(str(self.path), shared=False, nbytes=self.file_size)
        except RuntimeError as error:
            raise not_mapped(self.path, error) from error
        mapped = torch.empty(0, dtype=torch.uint8).set_(storage)

        def read_storage(number: str, dtype: torch.dtype, elements: int) -> Tensor:
            start, end = self._spans[number]
            if end - start < elements * dtype.itemsize:
                raise ValueError("a storage is shorter than its pickle says")
            content = mapped[start : start + elements * dtype.itemsize]
            if start % dtype.itemsize:  # torch aligns to 64 bytes; files made by others may not
                content = content.clone()
            return content.view(dtype)

        try:
            return RestrictedUnpickler(self._pickle, read_storage).load()
        except Exception as error:  # a pickle is a program: a hostile one may fail in any way
            raise ModelError(f"{self.path.name} is refused: it is not a checkpoint that can be read safely.") from error
