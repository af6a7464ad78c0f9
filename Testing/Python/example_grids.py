"""Grids and volumes for the tests: any direction (rotated, flipped, permuted), spacing and place."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from SAMUNetSlicerLib.volumes.geometry import GridGeometry
from SAMUNetSlicerLib.volumes.volume import Volume


def affine(rotation, spacing, origin_ras) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(rotation) * spacing
    matrix[:3, 3] = origin_ras
    return matrix


def random_direction(seed: int) -> np.ndarray:
    """(3, 3) columns: a random rotation whose axes are then permuted and flipped at random (left-handed too)."""
    chance = np.random.default_rng(seed)
    rotation = Rotation.random(random_state=seed).as_matrix()
    return rotation[:, chance.permutation(3)] * chance.choice([-1, 1], 3)


def random_geometry(seed: int, shape_kji=(30, 40, 50), spacing=(0.8, 1.1, 2.7)) -> GridGeometry:
    chance = np.random.default_rng(seed)
    return GridGeometry(shape_kji, affine(random_direction(seed), spacing, chance.uniform(-300, 300, 3)))


@st.composite
def grid_geometries(draw, longest_side=9) -> GridGeometry:
    shape = draw(st.tuples(*[st.integers(1, longest_side)] * 3))
    spacing = draw(st.tuples(*[st.sampled_from([0.3, 0.5, 0.7, 0.75, 1.0, 1.1, 1.5, 2.5, 6.0])] * 3))
    if draw(st.booleans()):
        direction = random_direction(draw(st.integers(0, 10_000)))
    else:
        order = draw(st.permutations(range(3)))
        signs = draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
        direction = np.eye(3)[:, order] * signs
    origin = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    return GridGeometry(shape, affine(direction, spacing, origin))


def centres_ras(geometry: GridGeometry) -> np.ndarray:
    """(K, J, I, 3) voxel centres, written out rather than through the class under test."""
    k, j, i = np.indices(geometry.shape_kji)
    matrix = geometry.ijk_to_ras
    return np.stack([m[0] * i + m[1] * j + m[2] * k + m[3] for m in matrix[:3]], axis=-1)


def sphere(geometry: GridGeometry, centre_ras, radius_mm: float) -> Volume:
    """Intensity = depth below the sphere's surface in mm: above 0 inside."""
    distance = np.linalg.norm(centres_ras(geometry) - centre_ras, axis=-1)
    return Volume((radius_mm - distance).astype(np.float32), geometry)


def ramp(geometry: GridGeometry, slope_ras, offset: float) -> Volume:
    """Intensity = slope . RAS + offset: linear interpolation is exact everywhere between the voxel centres."""
    return Volume(centres_ras(geometry) @ np.asarray(slope_ras) + offset, geometry)
