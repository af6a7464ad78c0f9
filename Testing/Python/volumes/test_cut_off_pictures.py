"""Pictures of which the end is missing are refused rather than shown with a grey or repeated end."""

import struct

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.volumes.files.reading import read_volume

GREY = np.random.default_rng(0).integers(0, 255, (61, 83), dtype=np.uint8)  # rows that need filling in a BMP
COLOUR = np.stack([GREY, GREY.T.reshape(GREY.shape), 255 - GREY], axis=-1)


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.bmp", {}),
        ("a.jpg", {"quality": 90}),
        ("a.jpg", {"progressive": True}),
        ("a.jpg", {"exif": b"Exif\0\0 \xff\xd8 a picture in the picture \xff\xd9"}),
        ("a.png", {}),
        ("a.tif", {}),
    ],
)
def test_a_picture_that_is_cut_off_is_refused(tmp_path, name, how, pixels, share):
    path = tmp_path / name
    Image.fromarray(pixels).save(path, **how)
    assert read_volume(path).voxels.shape[1:3] == GREY.shape
    cut(path, share)
    with pytest.raises(InputError, match="cut off|damaged"):
        read_volume(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_tiff_file_that_has_lost_pages_is_refused(tmp_path, share):
    pages, path = np.stack([GREY] * 5), tmp_path / "a.tif"
    first, *others = [Image.fromarray(page) for page in pages]
    first.save(path, save_all=True, append_images=others)
    np.testing.assert_array_equal(read_volume(path).voxels, pages)
    cut(path, share)
    with pytest.raises(InputError, match="cut off|damaged"):
        read_volume(path)


def old_bmp():
    """OS/2's header; 24 bits."""
    height, width = GREY.shape
    rows = bytes((3 * width + 3) // 4 * 4 * height)
    return struct.pack("<2sIIIIHHHH", b"BM", 26 + len(rows), 0, 26, 12, width, height, 1, 24) + rows


def packed_bmp():
    """Runs of equal pixels (RLE8)."""
    height, width = GREY.shape
    rows = bytes([width, 7, 0, 0]) * height + b"\0\1"
    start = 54 + 1024
    header = struct.pack("<2sIII", b"BM", start + len(rows), 0, start)
    header += struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    return header + bytes(range(256)) * 4 + rows


@pytest.mark.parametrize("form", [old_bmp, packed_bmp])
def test_rarer_bmp_files_that_are_cut_off_are_refused(tmp_path, form):
    path = tmp_path / "a.bmp"
    path.write_bytes(form())
    cut(path, 0.95)
    with pytest.raises(InputError, match="cut off|damaged"):
        read_volume(path)


def test_whole_pictures_of_rarer_forms_are_read(tmp_path):
    small = Image.fromarray(GREY)
    small.convert("P").save(tmp_path / "palette.bmp")
    (tmp_path / "os2.bmp").write_bytes(old_bmp())
    (tmp_path / "packed.bmp").write_bytes(packed_bmp())
    Image.fromarray(COLOUR).save(tmp_path / "longer.jpg")
    with (tmp_path / "longer.jpg").open("ab") as stream:
        stream.write(b"what a telephone adds")
    pages = sitk.GetImageFromArray(np.stack([GREY] * 3).astype(np.float32))
    sitk.WriteImage(pages, str(tmp_path / "pages.tif"))
    small.save(tmp_path / "big.tif", big_tiff=True)
    Image.fromarray(GREY.astype(">u2")).save(tmp_path / "big_endian.tif")
    for path in tmp_path.iterdir():
        assert read_volume(path).voxels.shape[1:3] == GREY.shape
