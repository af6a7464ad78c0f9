"""Planes of volumes and the windows that they come in."""

import numpy as np
import pytest
import SimpleITK as sitk

from SAMUNetSlicerLib.learning.data.volume_planes import Labelled, LabelledVolumes, random_plane
from SAMUNetSlicerLib.learning.data.windows import Intensity, to_eight_bit


def volume(spacing=(3.0, 1.0, 1.0)) -> Labelled:
    """A block of label 9, and single voxels beside it."""
    labels = np.zeros((12, 30, 40), np.uint8)
    labels[3:9, 8:22, 10:30] = 9
    labels[0, 0, 0] = labels[11, 29, 39] = 9
    return Labelled(labels.astype(np.int16) * 100, labels, spacing)


@pytest.mark.parametrize("seed", range(20))
def test_planes_show_their_object_where_the_image_does(seed):
    plane, labels = random_plane(volume(), Intensity.RELATIVE, 30, np.random.default_rng(seed))
    assert set(np.unique(labels)) <= {0, 9}
    assert np.count_nonzero(labels) >= 30
    assert np.mean((plane > 127) != (labels > 0)) < 0.02


def test_a_volume_without_a_large_object_has_no_plane():
    assert random_plane(volume(), Intensity.RELATIVE, 1000, np.random.default_rng(0)) is None


def test_a_mask_on_another_grid_is_put_on_the_images(tmp_path):
    labels = np.zeros((6, 20, 20), np.uint8)
    labels[2:5, 4:12, 6:14] = 7
    coarse = sitk.GetImageFromArray(labels[:, ::2, ::2])
    coarse.SetSpacing((2.0, 2.0, 1.0))
    coarse.SetOrigin((0.5, 0.5, 0.0))
    sitk.WriteImage(coarse, str(tmp_path / "mask.nii.gz"))
    sitk.WriteImage(sitk.GetImageFromArray(labels.astype(np.int16)), str(tmp_path / "image.nii.gz"))
    found = LabelledVolumes().read(tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(found.labels, labels)


HOUNSFIELD = np.arange(-3000, 4000, dtype=np.float32)[None]


def windows() -> np.ndarray:
    """(n, 2): level and width of random windows of CT, as they are seen in the grey values."""
    found = []
    for seed in range(600):
        grey = to_eight_bit(HOUNSFIELD, Intensity.CT, np.random.default_rng(seed))[0]
        low, high = HOUNSFIELD[0, np.flatnonzero(grey == 0)[-1]], HOUNSFIELD[0, grey.argmax()]
        found.append(((low + high) / 2, high - low))
    return np.array(found)


def test_windows_of_ct_are_those_of_soft_tissue_mostly_and_of_all_values_at_times():
    levels, widths = windows().T
    is_soft = (widths > 260) & (widths < 545)
    assert np.mean(levels[is_soft]) == pytest.approx(50, abs=8)
    assert 0.28 < np.mean(is_soft) < 0.45  # 56 of 65 hundredths
    assert 0.28 < np.mean(widths > 6000) < 0.42
    assert np.mean(levels[(widths > 1100) & (widths < 2100)] < -300) > 0.3  # lung; the others are bone


@pytest.mark.parametrize("intensity", [Intensity.CT, Intensity.RELATIVE])
def test_windows_use_all_eight_bits(intensity):
    grey = to_eight_bit(HOUNSFIELD, intensity, np.random.default_rng(0))
    assert (grey.min(), grey.max()) == (0, 255)
    assert (np.diff(grey[0].astype(int)) >= 0).all()
