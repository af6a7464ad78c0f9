"""A sphere is found where it lies, from planes of any direction: nothing moved, nothing mirrored."""

from __future__ import annotations

import numpy as np
import pytest

from example_grids import affine, centres_ras, random_direction, random_geometry, sphere
from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.planes import ObliqueStack, Orientation, PlaneStack
from SAMUNetSlicerLib.volumes.sampling import (
    mask_to_voxels,
    sample_plane,
)
from SAMUNetSlicerLib.volumes.volume import Volume

SPACINGS = [(1.0, 1.0, 1.0), (0.7, 0.7, 3.0), (2.5, 0.8, 1.1)]


def sphere_in(geometry: GridGeometry) -> tuple[Volume, np.ndarray]:
    """A sphere well off the volume's centre in every direction, so that any mirroring moves it."""
    extent = geometry.size_ijk * geometry.spacing_ijk
    radius = 0.2 * extent.min()
    centre = geometry.to_ras((np.array([0.36, 0.66, 0.38]) * extent) / geometry.spacing_ijk)
    return sphere(geometry, centre, radius), centre


def recovered(volume: Volume, planes, shown=lambda image: image) -> np.ndarray:
    """Threshold each plane's image as it is shown and write it back."""
    mask = np.zeros(volume.geometry.shape_kji, dtype=bool)
    for plane in planes:
        mask_to_voxels(shown(sample_plane(volume, plane)) > 0, plane, volume.geometry).write_into(mask)
    return mask


def centroid_error_voxels(mask: np.ndarray, geometry: GridGeometry, centre_ras: np.ndarray) -> float:
    found = centres_ras(geometry)[mask].mean(axis=0)
    direction = geometry.ijk_to_ras[:3, :3] / geometry.spacing_ijk
    return float(np.abs(direction.T @ (found - centre_ras) / geometry.spacing_ijk).max())


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    return 2 * np.count_nonzero(mask & truth) / (np.count_nonzero(mask) + np.count_nonzero(truth))


@pytest.mark.parametrize("orientation", Orientation)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_a_sphere_is_found_where_it_is_in_every_orientation(seed, spacing, orientation):
    geometry = random_geometry(seed, (34, 37, 41), spacing)
    volume, centre = sphere_in(geometry)
    mask = recovered(volume, PlaneStack(geometry, orientation))
    assert centroid_error_voxels(mask, geometry, centre) < 0.5
    assert dice(mask, volume.voxels > 0) > 0.88


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_a_sphere_is_found_on_oblique_planes(seed, spacing):
    geometry = random_geometry(seed, (34, 37, 41), spacing)
    volume, centre = sphere_in(geometry)
    stack = ObliqueStack(affine(random_direction(seed + 50), (1, 1, 1), centre), geometry)
    mask = recovered(volume, stack)
    assert centroid_error_voxels(mask, geometry, centre) < 0.5

    assert dice(mask, volume.voxels > 0) > 0.88


@pytest.mark.parametrize("seed", range(4))
def test_a_sphere_is_found_under_a_shearing_transform(seed):
    """A tilted gantry, or a linear transform of the scene."""
    shear = np.eye(4)
    shear[0, 1], shear[1, 2] = 0.2, -0.3
    geometry = random_geometry(seed, (34, 37, 41), SPACINGS[1]).transformed(shear)
    volume, centre = sphere_in(geometry)
    for planes in [
        *(PlaneStack(geometry, orientation) for orientation in Orientation),
        ObliqueStack(affine(random_direction(seed), (1, 1, 1), centre), geometry),
    ]:
        mask = recovered(volume, planes)
        error_ijk = geometry.to_ijk(centres_ras(geometry)[mask].mean(axis=0)) - geometry.to_ijk(centre)
        assert np.abs(error_ijk).max() < 0.5


@pytest.mark.parametrize("orientation", Orientation)
@pytest.mark.parametrize("seed", range(4))
def test_the_sphere_lies_at_its_own_ras_position_on_the_planes(seed, orientation):
    """What the planes show and where they say it is, without going back to voxels."""
    geometry = random_geometry(seed, (34, 37, 41), (0.7, 1.3, 2.0))
    volume, centre = sphere_in(geometry)
    positions = []
    for plane in PlaneStack(geometry, orientation):
        y, x = np.nonzero(sample_plane(volume, plane) > 0)
        positions.append(plane.to_ras(np.stack([x, y], axis=-1)))
    found = np.concatenate(positions).mean(axis=0)
    assert np.abs(found - centre).max() < 0.5 * geometry.spacing_ijk.min()


@pytest.mark.parametrize("mirror", [np.fliplr, np.flipud], ids=["left-right", "up-down"])
@pytest.mark.parametrize("orientation", Orientation)
def test_a_mirror_applied_to_every_plane_would_be_noticed(orientation, mirror):
    geometry = random_geometry(2, (34, 37, 41), SPACINGS[1])
    volume, centre = sphere_in(geometry)
    mask = recovered(volume, PlaneStack(geometry, orientation), shown=mirror)
    assert centroid_error_voxels(mask, geometry, centre) > 2
