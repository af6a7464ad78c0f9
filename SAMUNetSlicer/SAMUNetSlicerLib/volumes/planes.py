"""Slices of a volume as pixel grids in space: the volume's own axial, coronal, sagittal planes, and oblique ones.

What is right and down in a plane follows Slicer's slice views: axial and coronal planes show patient left on the
right, sagittal planes show posterior on the right; axial planes show posterior below, the others inferior.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import permutations, product

import numpy as np

from ..errors import PromptError
from .geometry import GridGeometry, checked_affine, transform_points

# Longest side of a plane in pixels, unless the volume itself has more voxels along it. It bounds the memory that
# thick slices of a fine grid would take (1000 slices of 5 mm at 0.1 mm are 50000 pixels).
MAX_SIDE_PIXELS = 4096
# Spacings that differ by less than this many voxels over a whole side count as equal: rounded headers.
_SAME_SPACING_DRIFT = 0.01


class Orientation(Enum):
    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


# Per orientation: patient axis (0 = R, 1 = A, 2 = S) along pixel x, pixel y and the normal. In RAS, pixel x and
# pixel y always run towards the negative side: left, posterior, inferior.
_PATIENT_AXES = {
    Orientation.AXIAL: (0, 1, 2),
    Orientation.CORONAL: (0, 2, 1),
    Orientation.SAGITTAL: (1, 2, 0),
}


@dataclass(frozen=True, eq=False)
class Plane:
    """A rectangle of pixels in the patient.

    size_xy: width and height in pixels. pixel_to_ras: 4 x 4; maps (x, y, steps) to RAS mm, where pixel centres have
    integer x (right) and y (down) and `steps` counts slices away from the plane. orientation: of a grid plane, None
    for oblique planes. index: its number in its stack, for grid planes the voxel index along the stack's axis.
    Raises ValueError for a singular or non-finite matrix, or an empty rectangle.
    """

    size_xy: tuple[int, int]
    pixel_to_ras: np.ndarray
    orientation: Orientation | None = None
    index: int | None = None

    def __post_init__(self) -> None:
        if len(self.size_xy) != 2 or min(self.size_xy) < 1:
            raise ValueError(f"A plane needs two positive sizes, got {self.size_xy}.")
        object.__setattr__(self, "pixel_to_ras", checked_affine(self.pixel_to_ras, "pixel-to-RAS"))
        object.__setattr__(self, "size_xy", tuple(int(n) for n in self.size_xy))

    @property
    def shape_yx(self) -> tuple[int, int]:
        """(height, width), the shape of the plane's image."""
        return self.size_xy[::-1]

    @property
    def pixel_size_mm(self) -> float:
        """Side of a pixel. Planes longer than MAX_SIDE_PIXELS have taller or wider pixels: then the shorter side."""
        return float(np.linalg.norm(self.pixel_to_ras[:3, :2], axis=0).min())

    @property
    def normal_ras(self) -> np.ndarray:
        """(3,) unit vector perpendicular to the plane, towards the next slice."""
        x_axis, y_axis, step = self.pixel_to_ras[:3, :3].T
        normal = np.cross(x_axis, y_axis)
        return normal / np.linalg.norm(normal) * np.sign(normal @ step)

    @property
    def thickness_mm(self) -> float:
        """Distance to the next parallel slice."""
        return float(self.normal_ras @ self.pixel_to_ras[:3, 2])

    def to_ras(self, points_xy: np.ndarray) -> np.ndarray:
        """(..., 2) pixel coordinates, or (..., 3) with steps along the normal, to (..., 3) RAS mm."""
        points = np.asarray(points_xy, dtype=float)
        if points.shape[-1] == 2:
            points = np.concatenate([points, np.zeros((*points.shape[:-1], 1))], axis=-1)
        return transform_points(self.pixel_to_ras, points)

    def to_pixels(self, points_ras: np.ndarray) -> np.ndarray:
        """(..., 3) RAS mm to (..., 3): pixel x, pixel y, and signed distance from the plane in slice steps."""
        return transform_points(np.linalg.inv(self.pixel_to_ras), points_ras)


def patient_axes(geometry: GridGeometry) -> tuple[int, int, int]:
    """The grid axes (0 = I, 1 = J, 2 = K) that run along patient R, A and S, in that order.

    Each grid axis is given to one patient axis, such that the angles between them are smallest in all; this is also
    what Slicer's "rotate to volume plane" chooses. Exact ties go to I = R, J = A, K = S.
    """
    alignment = np.abs(geometry.ijk_to_ras[:3, :3] / geometry.spacing_ijk)

    def total(axes: tuple[int, ...]) -> float:
        # Rounded, so that a tie is decided by the order of the permutations and not by floating-point noise.
        return round(sum(alignment[patient, grid] for patient, grid in enumerate(axes)), 6)

    return max(permutations(range(3)), key=total)


def acquisition_orientation(geometry: GridGeometry) -> Orientation:
    """The orientation of the planes that the scanner took: across the only axis of one voxel, else across the
    largest spacing. Ties (within 1 %) go to axial, then coronal.
    """
    normal_axes = {o: patient_axes(geometry)[_PATIENT_AXES[o][2]] for o in Orientation}
    single = [o for o, axis in normal_axes.items() if geometry.size_ijk[axis] == 1]
    if len(single) == 1:
        return single[0]
    spacing = geometry.spacing_ijk
    return next(o for o, axis in normal_axes.items() if spacing[axis] >= 0.99 * spacing.max())


class PlaneStack:
    """All grid planes of one orientation, numbered as the voxels are along the grid axis that they cross.

    Pixels lie on the voxel rows nearest to the orientation's directions, so rotated volumes need no resampling across
    rows. Their size is the smaller in-plane voxel spacing in both directions; the first pixel is the centre of a
    corner voxel. Where that would need more than MAX_SIDE_PIXELS pixels (and more than there are voxels) along the
    coarser direction, pixels are longer in that direction: every voxel keeps a pixel of its own in any case.
    """

    def __init__(self, geometry: GridGeometry, orientation: Orientation) -> None:
        self.geometry = geometry
        self.orientation = orientation
        patient_x, patient_y, patient_normal = _PATIENT_AXES[orientation]
        grid_axes = patient_axes(geometry)
        self.axis = grid_axes[patient_normal]
        in_plane = [(grid_axes[patient_x], patient_x), (grid_axes[patient_y], patient_y)]
        pixel_mm = min(geometry.spacing_ijk[grid] for grid, _ in in_plane)

        self._pixel_to_ijk = np.zeros((4, 4))
        self._pixel_to_ijk[self.axis, 2] = self._pixel_to_ijk[3, 3] = 1
        sizes = []
        for column, (grid, patient) in enumerate(in_plane):
            voxels = int(geometry.size_ijk[grid])
            size, step = _pixels_along(voxels, geometry.spacing_ijk[grid], pixel_mm)
            towards_positive = geometry.ijk_to_ras[patient, grid] > 0
            self._pixel_to_ijk[grid, column] = -step if towards_positive else step
            self._pixel_to_ijk[grid, 3] = voxels - 1 if towards_positive else 0
            sizes.append(size)
        self._size_xy = (sizes[0], sizes[1])

    def __len__(self) -> int:
        return int(self.geometry.size_ijk[self.axis])

    def __getitem__(self, index: int) -> Plane:
        if not 0 <= index < len(self):
            raise IndexError(f"There is no {self.orientation.value} plane {index}; the volume has {len(self)}.")
        pixel_to_ijk = self._pixel_to_ijk.copy()
        pixel_to_ijk[self.axis, 3] = index
        return Plane(self._size_xy, self.geometry.ijk_to_ras @ pixel_to_ijk, self.orientation, int(index))

    def __iter__(self) -> Iterator[Plane]:
        return (self[index] for index in range(len(self)))

    def index_of(self, point_ras: np.ndarray) -> float:
        """Continuous plane number of a (3,) point: an integer in the middle of a plane."""
        return float(self.geometry.to_ijk(point_ras)[self.axis])


def _pixels_along(voxels: int, spacing_mm: float, pixel_mm: float) -> tuple[int, float]:
    """How many pixels cover a row of voxels, first centre on first centre, and one pixel's length in voxels."""
    step = pixel_mm / spacing_mm
    if voxels == 1:
        return 1, step
    if (voxels - 1) * (1 - step) < _SAME_SPACING_DRIFT:
        return voxels, 1.0
    limit = max(MAX_SIDE_PIXELS, voxels)
    # The last voxel's centre is within half a pixel of the last pixel's.
    size = int(np.floor((voxels - 1) / step + 0.5)) + 1
    return (size, step) if size <= limit else (limit, (voxels - 1) / (limit - 1))


def oblique_plane(slice_to_ras: np.ndarray, geometry: GridGeometry) -> Plane:
    """The plane of a slice view, wide enough for everything that it cuts of the volume.

    slice_to_ras: 4 x 4 as vtkMRMLSliceNode's SliceToRAS: x right, y UP, z the normal, translation any point on the
    plane. Lengths do not matter and y is made perpendicular to x. The step to the next slice is the extent of one
    voxel along the normal, so that the voxels within half a step of the plane are those that the plane cuts.
    Pixels have the finer of the voxel sizes along x and y, and are coarser if a side were longer than
    MAX_SIDE_PIXELS. Raises PromptError where the plane misses the volume, ValueError for a degenerate matrix.
    """
    axes, origin = _slice_frame(slice_to_ras)
    step = _extent_along(geometry, axes[2])
    depth = origin @ axes[2]
    _plane_numbers(geometry, axes[2], depth, step)
    corners = _box_between(geometry, axes[2], depth - step / 2, depth + step / 2)
    return _covering_plane(axes, step, depth, corners, geometry)


class ObliqueStack:
    """Parallel oblique planes over the whole volume, all with the same pixel frame; one of them is the given slice.

    Arguments as for `oblique_plane`. Plane numbers rise along the slice's normal; `home` is the given slice's
    number. Every voxel belongs to exactly one plane. Raises as `oblique_plane`.
    """

    def __init__(self, slice_to_ras: np.ndarray, geometry: GridGeometry) -> None:
        axes, origin = _slice_frame(slice_to_ras)
        step = _extent_along(geometry, axes[2])
        depth = origin @ axes[2]
        first, last = _plane_numbers(geometry, axes[2], depth, step)
        self.geometry = geometry
        self.home = -first
        self._length = last - first + 1
        corners = _box_corners(geometry)
        self._first = _covering_plane(axes, step, depth + first * step, corners, geometry)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Plane:
        if not 0 <= index < len(self):
            raise IndexError(f"There is no oblique plane {index}; the stack has {len(self)}.")
        matrix = self._first.pixel_to_ras.copy()
        matrix[:3, 3] += index * matrix[:3, 2]
        return Plane(self._first.size_xy, matrix, None, int(index))

    def __iter__(self) -> Iterator[Plane]:
        return (self[index] for index in range(len(self)))

    def index_of(self, point_ras: np.ndarray) -> float:
        """Continuous plane number of a (3,) point."""
        return float(self._first.to_pixels(point_ras)[2])


def nearest_plane(steps: np.ndarray) -> np.ndarray:
    """To which of a row of parallel planes a point belongs, given its distance from plane 0 in slice steps.

    The nearest one; exactly between two planes, the later. Rounding first makes that rule hold for each of the
    planes in spite of floating-point noise, so that a stack holds every voxel exactly once.
    """
    return np.floor(np.round(np.asarray(steps) + 0.5, 6)).astype(int)


def _plane_numbers(geometry: GridGeometry, normal: np.ndarray, depth_mm: float, step_mm: float) -> tuple[int, int]:
    """First and last plane that voxels belong to, plane 0 being at normal . point = depth_mm. PromptError if plane 0
    is not among them.
    """
    depths = (_box_corners(geometry) @ normal - depth_mm) / step_mm
    # The outermost voxel centres lie half a step inside the box.
    first, last = int(nearest_plane(depths.min() + 0.5)), int(nearest_plane(depths.max() - 0.5))
    if not first <= 0 <= last:
        raise PromptError("The slice plane does not cross the volume. Move the slice onto the volume.")
    return first, last


def _slice_frame(slice_to_ras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (rows: right, down, normal) and a point of the slice."""
    matrix = checked_affine(slice_to_ras, "slice-to-RAS")
    right = matrix[:3, 0] / np.linalg.norm(matrix[:3, 0])
    up = matrix[:3, 1] - (matrix[:3, 1] @ right) * right
    up /= np.linalg.norm(up)
    normal = np.cross(right, up)
    return np.stack([right, -up, normal * np.sign(normal @ matrix[:3, 2])]), matrix[:3, 3]


def _extent_along(geometry: GridGeometry, direction_ras: np.ndarray) -> float:
    """Width of one voxel's shadow on a line along the direction, in mm."""
    return float(np.abs(direction_ras @ geometry.ijk_to_ras[:3, :3]).sum())


def _voxel_size_along(geometry: GridGeometry, direction_ras: np.ndarray) -> float:
    """Millimetres that make one unit of length in voxel coordinates: an axis's spacing along that axis."""
    return float(1 / np.linalg.norm(geometry.ras_to_ijk[:3, :3] @ direction_ras))


def _box_corners(geometry: GridGeometry) -> np.ndarray:
    """(8, 3) outer corners of the volume in RAS."""
    return geometry.to_ras(np.array(list(product((0, 1), repeat=3))) * geometry.size_ijk - 0.5)


def _box_between(geometry: GridGeometry, normal: np.ndarray, lower: float, upper: float) -> np.ndarray:
    """(n, 3) corners of the part of the volume's box with lower <= normal . point <= upper; none if it is empty."""
    corners = _box_corners(geometry)
    depths = corners @ normal
    points = [corners[(depths >= lower) & (depths <= upper)]]
    # Corner numbers of `product` differ by one bit along an edge.
    starts, ends = zip(*[(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit], strict=True)
    start, end = corners[list(starts)], corners[list(ends)]
    start_depth, end_depth = depths[list(starts)], depths[list(ends)]
    for depth in (lower, upper):
        cut = (start_depth - depth) * (end_depth - depth) < 0
        fraction = (depth - start_depth[cut]) / (end_depth[cut] - start_depth[cut])
        points.append(start[cut] + fraction[:, None] * (end[cut] - start[cut]))
    return np.concatenate(points)


def _covering_plane(
    axes: np.ndarray, step_mm: float, depth_mm: float, points_ras: np.ndarray, geometry: GridGeometry
) -> Plane:
    """The plane at normal . point = depth_mm whose pixels cover the points' shadows on it."""
    shadows = points_ras @ axes[:2].T
    lower, extent = shadows.min(axis=0), np.ptp(shadows, axis=0)
    pixel = min(_voxel_size_along(geometry, axes[0]), _voxel_size_along(geometry, axes[1]))
    pixel = max(pixel, extent.max() / MAX_SIDE_PIXELS)
    size = np.maximum(np.ceil(extent / pixel - 1e-6).astype(int), 1)
    matrix = np.eye(4)
    matrix[:3, :3] = axes.T * [pixel, pixel, step_mm]
    matrix[:3, 3] = np.append(lower + pixel / 2, depth_mm) @ axes
    return Plane((int(size[0]), int(size[1])), matrix)
