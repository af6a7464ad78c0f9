"""Whether BMP, JPEG and TIFF pictures hold all of their pixels: ITK shows what is left of them as if it were all."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import SimpleITK as sitk

from ..itk_names import itk_name

_UNPACKED = (0, 3)  # of a BMP's ways to pack its pixels: none, and none with colours of 5 or 6 bits
_SCAN, _END = 0xDA, b"\xff\xd9"  # a JPEG's markers


def lacks_pixels(path: Path) -> bool:
    """True for a BMP or JPEG file that is cut off and a TIFF file that has lost pages; False for other formats.

    Within a page of a TIFF file ITK itself notices, as it does in PNG. Raises InputError for a name that cannot be
    given to ITK.
    """
    looks = {"BMPImageIO": _is_short_bmp, "JPEGImageIO": _is_endless_jpeg, "TIFFImageIO": _lacks_pages}
    look = looks.get(sitk.ImageFileReader.GetImageIOFromFileName(itk_name(path)))
    if look is None:
        return False
    with path.open("rb") as stream:
        try:
            return look(stream, path.stat().st_size)
        except struct.error:  # the header itself is cut off
            return True


def _is_short_bmp(stream: BinaryIO, size: int) -> bool:
    """By its width and height: the length that the header states is not always true."""
    header = stream.read(54)
    start, header_size = struct.unpack_from("<II", header, 10)
    if header_size == 12:  # that of OS/2
        width, height, _, bits = struct.unpack_from("<HHHH", header, 18)
        return size < start + _row(width, bits) * height
    width, height, _, bits, packing, packed_size = struct.unpack_from("<iiHHII", header, 18)
    return size < start + (_row(width, bits) * abs(height) if packing in _UNPACKED else packed_size)


def _row(width: int, bits: int) -> int:
    """Bytes, filled up to whole groups of four."""
    return (width * bits + 31) // 32 * 4


def _is_endless_jpeg(stream: BinaryIO, _size: int) -> bool:
    """Without the marker of its end behind the first scan; those before it are of pictures within the picture."""
    content, place = stream.read(), 2
    while True:
        mark, marker, length = struct.unpack_from(">BBH", content, place)
        if mark != 0xFF or marker == 0xFF:  # what fills up, which is passed over by ITK as well
            place += 1
            continue
        place += 2 + length
        if marker == _SCAN:
            return content.find(_END, place) < 0


def _lacks_pages(stream: BinaryIO, size: int) -> bool:
    """Where a page's directory lies behind the file's end. Each names the place of the next one."""
    start = stream.read(16)
    order = "<" if start[:2] == b"II" else ">"
    if struct.unpack_from(f"{order}H", start, 2)[0] == 43:  # BigTIFF
        count_form, entry_size, place_form, (place,) = "Q", 20, "Q", struct.unpack_from(f"{order}Q", start, 8)
    else:
        count_form, entry_size, place_form, (place,) = "H", 12, "I", struct.unpack_from(f"{order}I", start, 4)
    count_form, place_form = struct.Struct(order + count_form), struct.Struct(order + place_form)
    seen = {0}
    while place not in seen and place < size:
        seen.add(place)
        stream.seek(place)
        (count,) = count_form.unpack(stream.read(count_form.size))
        stream.seek(place + count_form.size + count * entry_size)
        (place,) = place_form.unpack(stream.read(place_form.size))
    return place >= size
