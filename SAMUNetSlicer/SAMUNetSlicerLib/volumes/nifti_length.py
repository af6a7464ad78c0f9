"""Whether NIfTI and Analyze files hold all of their voxels: ITK fills in what is missing, and says nothing."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from pathlib import Path

import SimpleITK as sitk

from .itk_names import itk_name

_GZIP = b"\x1f\x8b"
_BLOCK = 1 << 24
_SINGLE_FILE = "1"


def lacks_voxels(path: Path) -> bool:
    """True for a NIfTI or Analyze file that is cut off or, where it is compressed, damaged; False for other formats.

    Raises InputError for a name that cannot be given to ITK, and SimpleITK's RuntimeError for a damaged header.
    """
    reader = sitk.ImageFileReader()
    if reader.GetImageIOFromFileName(itk_name(path)) != "NiftiImageIO":
        return False
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    sizes = [int(reader.GetMetaData(f"dim[{n}]")) for n in range(1, 8)][: int(reader.GetMetaData("dim[0]"))]
    voxels = math.prod(max(size, 1) for size in sizes)
    expected = float(reader.GetMetaData("vox_offset")) + voxels * int(reader.GetMetaData("bitpix")) / 8
    data = path if reader.GetMetaData("nifti_type") == _SINGLE_FILE else _data_beside(path)
    return data.is_file() and _length(data) < expected


def _data_beside(header: Path) -> Path:
    """Where the voxels of a file are whose header is a file of its own."""
    stem = re.sub(r"\.(hdr|img)(\.gz)?$", "", header.name, flags=re.IGNORECASE)
    beside = [header.with_name(stem + ending) for ending in (".img", ".img.gz")]
    return next((path for path in beside if path.is_file()), header)


def _length(path: Path) -> int:
    """Bytes, unpacked; 0 for damaged packing, which may unpack to anything."""
    with path.open("rb") as stream:
        if stream.read(2) != _GZIP:
            return path.stat().st_size
    length = 0
    try:
        with gzip.open(path) as stream:
            while block := stream.read(_BLOCK):
                length += len(block)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return 0
    return length
