"""Where a grid of voxels lies in the patient: one matrix, in RAS millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# LPS (SimpleITK, DICOM, the default .mrk.json) and RAS (MRML) differ by the sign of the first two axes.
# Every conversion between them goes through this matrix, which is its own inverse.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a 4 x 4 matrix to (..., 3) points."""
    points = np.asarray(points, dtype=float)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def checked_affine(matrix: np.ndarray, what: str) -> np.ndarray:
    """A read-only float copy of an invertible 4 x 4 affine matrix; ValueError naming `what` for anything else.

    The test is free of scale: voxels may be nanometres or metres wide.
    """
    affine = np.array(matrix, dtype=float)
    lengths = np.linalg.norm(affine[:3, :3], axis=0) if affine.shape == (4, 4) else np.zeros(3)
    if not np.isfinite(affine).all() or not (lengths > 0).all():
        raise ValueError(f"The {what} matrix must be an invertible 4 x 4 matrix of finite numbers.")
    if abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-6 or not np.array_equal(affine[3], (0, 0, 0, 1)):
        raise ValueError(f"The {what} matrix must be an invertible 4 x 4 affine matrix.")
    affine.setflags(write=False)
    return affine


@dataclass(frozen=True)
class GridGeometry:
    """A voxel grid: its shape (K, J, I), as numpy arrays of volumes are ordered, and its 4 x 4 IJK-to-RAS matrix.

    Voxel centres have integer IJK; the matrix maps them to RAS in mm. Directions may be oblique or left-handed and
    the spacing anisotropic. Raises ValueError for a singular or non-finite matrix, or a shape that is not positive.
    """

    shape_kji: tuple[int, int, int]
    ijk_to_ras: np.ndarray

    def __post_init__(self) -> None:
        if len(self.shape_kji) != 3 or min(self.shape_kji) < 1:
            raise ValueError(f"A grid needs three positive sizes, got {self.shape_kji}.")
        object.__setattr__(self, "ijk_to_ras", checked_affine(self.ijk_to_ras, "IJK-to-RAS"))
        object.__setattr__(self, "shape_kji", tuple(int(n) for n in self.shape_kji))

    @property
    def ras_to_ijk(self) -> np.ndarray:
        return np.linalg.inv(self.ijk_to_ras)

    @property
    def spacing_ijk(self) -> np.ndarray:
        """Voxel size in mm along I, J and K."""
        return np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)

    @property
    def size_ijk(self) -> np.ndarray:
        return np.array(self.shape_kji[::-1])

    def to_ras(self, points_ijk: np.ndarray) -> np.ndarray:
        """(..., 3) voxel coordinates to RAS mm."""
        return transform_points(self.ijk_to_ras, points_ijk)

    def to_ijk(self, points_ras: np.ndarray) -> np.ndarray:
        """(..., 3) RAS mm to continuous voxel coordinates."""
        return transform_points(self.ras_to_ijk, points_ras)

    def contains(self, points_ras: np.ndarray) -> np.ndarray:
        """(...) bool: inside the volume, that is within half a voxel of a voxel centre."""
        ijk = self.to_ijk(points_ras)
        return ((ijk >= -0.5 - 1e-6) & (ijk <= self.size_ijk - 0.5 + 1e-6)).all(axis=-1)

    def transformed(self, world_to_world: np.ndarray) -> GridGeometry:
        """The same grid under a linear 4 x 4 RAS-to-RAS transform."""
        return GridGeometry(self.shape_kji, np.asarray(world_to_world, dtype=float) @ self.ijk_to_ras)

    def matches(self, other: GridGeometry, tolerance_mm: float = 1e-3) -> bool:
        """True where both grids have the same shape and their corner voxels coincide: to a hundredth of a voxel at
        least, since those of a microscope may be smaller than the tolerance.
        """
        if self.shape_kji != other.shape_kji:
            return False
        corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * (self.size_ijk - 1)
        return bool(np.abs(self.to_ras(corners) - other.to_ras(corners)).max() <= self.rounding(tolerance_mm))

    def rounding(self, most_mm: float) -> float:
        """By how many mm two statements of this grid may differ: `most_mm`, but no more than 0.01 voxels."""
        return min(most_mm, 0.01 * float(self.spacing_ijk.min()))
