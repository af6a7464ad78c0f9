"""Which planes are meant, in words that survive saving: one text per stack of parallel planes.

Grid planes are named by the voxel axis that they cross ("I", "J", "K"), oblique ones by the directions of the slice
view in the volume's own coordinates (six numbers: right and up). So moving the volume by a transform moves its planes
along. All oblique planes of one direction belong to one stack, which has a plane through the volume's middle voxel:
views that differ in their offset share it, and a slice between two planes counts as the nearer one, as on the voxel
grid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...errors import PromptError
from ...volumes.geometry import GridGeometry, checked_affine
from ...volumes.planes import ObliqueStack, Orientation, PlaneStack, nearest_plane

_AXES = "IJK"
_DECIMALS = 6
# Two views whose directions differ by less than this (cosines) are the same view.
_SAME_DIRECTION = 1e-4

Stack = PlaneStack | ObliqueStack


@dataclass(frozen=True)
class StackKey:
    """The name of a stack: "I", "J", "K", or six comma-separated numbers. Raises PromptError for another text."""

    text: str

    def __post_init__(self) -> None:
        if self.text not in tuple(_AXES) and self.directions is None:
            raise PromptError(f"'{self.text}' names no stack of planes.")

    @property
    def axis(self) -> int | None:
        """The voxel axis (0 = I) that grid planes cross; None for oblique planes."""
        return _AXES.index(self.text) if self.text in tuple(_AXES) else None

    @property
    def directions(self) -> np.ndarray | None:
        """(2, 3) unit vectors right and up of oblique planes, in the volume's own coordinates; None for grid planes."""
        try:
            numbers = np.array([float(n) for n in self.text.split(",")]).reshape(2, 3)
        except ValueError:
            return None
        lengths = np.linalg.norm([*numbers, np.cross(*numbers)], axis=1)
        return numbers if np.allclose(lengths, 1, rtol=0, atol=1e-3) else None

    def is_like(self, other: StackKey) -> bool:
        if self.text == other.text or self.axis is not None or other.axis is not None:
            return self.text == other.text
        return bool(np.abs(self.directions - other.directions).max() < _SAME_DIRECTION)


def orientation_key(orientation: Orientation, geometry: GridGeometry) -> StackKey:
    """The grid planes that show the patient in this orientation."""
    return StackKey(_AXES[PlaneStack(geometry, orientation).axis])


def view_key(
    slice_to_ras: np.ndarray, geometry: GridGeometry, to_world: np.ndarray, known: Iterable[StackKey] = ()
) -> StackKey:
    """The planes parallel to a slice view.

    slice_to_ras: 4 x 4 in world RAS (x right, y up). geometry: the grid in world RAS. to_world: 4 x 4 from the
    volume's own coordinates. known: keys in use, one of which is returned where it means the same view.
    A view that leaves a grid plane by less than half a slice over the whole volume is that grid plane.
    """
    view = checked_affine(slice_to_ras, "slice-to-RAS")
    axis = _grid_axis(view, geometry)
    if axis is not None:
        return StackKey(_AXES[axis])
    key = _oblique_key(np.linalg.inv(to_world)[:3, :3] @ view[:3, :2])
    return next((k for k in known if k.is_like(key)), key)


def moved_key(key: StackKey, move: np.ndarray) -> StackKey:
    """The same planes after the volume's own grid has moved by a 4 x 4 matrix."""
    return key if key.axis is not None else _oblique_key(move[:3, :3] @ key.directions.T)


def _oblique_key(right_up: np.ndarray) -> StackKey:
    """right_up: (3, 2), of any length, in the volume's own coordinates."""
    right = right_up[:, 0] / np.linalg.norm(right_up[:, 0])
    up = right_up[:, 1] - (right_up[:, 1] @ right) * right
    up /= np.linalg.norm(up)
    numbers = np.round([*right, *up], _DECIMALS) + 0.0
    return StackKey(",".join(f"{n:g}" if n == round(n) else f"{n:.{_DECIMALS}f}" for n in numbers))


def _grid_axis(view: np.ndarray, geometry: GridGeometry) -> int | None:
    normal = np.cross(view[:3, 0], view[:3, 1])
    normal /= np.linalg.norm(normal)
    # Millimetres by which each voxel axis leaves the view, over its whole length.
    leaving = np.abs(normal @ geometry.ijk_to_ras[:3, :3]) * geometry.size_ijk
    axis = int(np.argmax(np.abs(normal @ (geometry.ijk_to_ras[:3, :3] / geometry.spacing_ijk))))
    others = [a for a in range(3) if a != axis]
    step = abs(normal @ geometry.ijk_to_ras[:3, axis])
    return axis if leaving[others].sum() < 0.5 * step else None


def build_stack(key: StackKey, geometry: GridGeometry, to_world: np.ndarray) -> Stack:
    """The stack that a key names, of a volume whose grid in world RAS is `geometry`."""
    if key.axis is not None:
        return PlaneStack(geometry, axis_orientation(key.axis, geometry))
    slice_to_ras = np.eye(4)
    slice_to_ras[:3, :2] = to_world[:3, :3] @ key.directions.T
    slice_to_ras[:3, 2] = np.cross(slice_to_ras[:3, 0], slice_to_ras[:3, 1])
    slice_to_ras[:3, 3] = geometry.to_ras(geometry.size_ijk // 2)
    return ObliqueStack(slice_to_ras, geometry)


def axis_orientation(axis: int, geometry: GridGeometry) -> Orientation:
    """The orientation whose planes cross this voxel axis."""
    return next(o for o in Orientation if PlaneStack(geometry, o).axis == axis)


def stack_name(key: StackKey, geometry: GridGeometry) -> str:
    """For people: "axial", "coronal", "sagittal" or "oblique"."""
    return "oblique" if key.axis is None else axis_orientation(key.axis, geometry).value


def nearest_index(stack: Stack, point_ras: np.ndarray) -> int:
    """The plane of a point, or of the middle of a slice view. Raises PromptError where it is off the volume."""
    position = stack.index_of(point_ras)
    if not -0.5 - 1e-6 <= position <= len(stack) - 0.5 + 1e-6:
        raise PromptError("The slice plane does not cross the volume. Move the slice onto the volume.")
    return int(np.clip(nearest_plane(position), 0, len(stack) - 1))
