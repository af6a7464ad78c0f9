import numpy as np
import pytest
import SimpleITK as sitk

from example_grids import random_geometry
from SAMUNetSlicerLib.errors import InputError
from SAMUNetSlicerLib.volumes.geometry import LPS_TO_RAS, GridGeometry
from SAMUNetSlicerLib.volumes.segmentations.label_images import read_labels_on_grid


def write(path, labels_kji, geometry):
    image = sitk.GetImageFromArray(labels_kji)
    to_lps = LPS_TO_RAS @ geometry.ijk_to_ras
    image.SetOrigin(to_lps[:3, 3].tolist())
    image.SetSpacing(geometry.spacing_ijk.tolist())
    image.SetDirection((to_lps[:3, :3] / geometry.spacing_ijk).ravel().tolist())
    sitk.WriteImage(image, str(path))


@pytest.fixture
def labels():
    return np.random.default_rng(0).integers(0, 300, (5, 6, 7), dtype=np.uint16)


def test_labels_on_the_same_grid_are_unchanged(tmp_path, labels):
    geometry = random_geometry(2, shape_kji=labels.shape)
    write(tmp_path / "labels.nrrd", labels, geometry)
    np.testing.assert_array_equal(read_labels_on_grid(tmp_path / "labels.nrrd", geometry), labels)


def test_a_grid_that_runs_the_other_way_is_turned_round(tmp_path, labels):
    geometry = random_geometry(2, shape_kji=labels.shape)
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])
    flip[0, 3], flip[2, 3] = labels.shape[2] - 1, labels.shape[0] - 1
    flipped = GridGeometry(labels.shape, geometry.ijk_to_ras @ flip)
    write(tmp_path / "labels.nrrd", labels[::-1, :, ::-1], flipped)
    np.testing.assert_array_equal(read_labels_on_grid(tmp_path / "labels.nrrd", geometry), labels)


def test_outside_the_image_there_is_no_label(tmp_path, labels):
    geometry = random_geometry(2, shape_kji=labels.shape)
    shift = np.eye(4)
    shift[0, 3] = 1000
    write(tmp_path / "labels.nrrd", labels + 1, geometry)
    assert not read_labels_on_grid(tmp_path / "labels.nrrd", geometry.transformed(shift)).any()


def test_other_files_are_refused_in_plain_words(tmp_path):
    (tmp_path / "text.nrrd").write_text("hello")
    with pytest.raises(InputError, match="cannot be read"):
        read_labels_on_grid(tmp_path / "text.nrrd", random_geometry(1))
    sitk.WriteImage(sitk.Image([4, 4], sitk.sitkUInt8), str(tmp_path / "flat.png"))
    with pytest.raises(InputError, match="not a 3D"):
        read_labels_on_grid(tmp_path / "flat.png", random_geometry(1))
