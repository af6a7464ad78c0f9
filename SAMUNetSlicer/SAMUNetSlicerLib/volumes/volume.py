"""A picture in space: voxels, where they lie, and what kind of scanner they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np

from .geometry import GridGeometry

_VOXEL_TYPES = frozenset(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)) | {"f4", "f8"}

_HASHED_AT_ONCE = 4 << 20  # bytes


class Modality(Enum):
    """Kind of image: decides how intensities become 8 bit when the user does not say."""

    CT = "CT"
    MR = "MR"
    PET = "PET"
    US = "US"
    XRAY = "X-ray"
    OTHER = "other"


# By DICOM's code; of others nothing is known.
DICOM_MODALITIES = {
    "CT": Modality.CT,
    "MR": Modality.MR,
    "PT": Modality.PET,
    "NM": Modality.PET,
    "US": Modality.US,
    **dict.fromkeys(("CR", "DX", "MG", "XA", "RF", "PX", "IO"), Modality.XRAY),
}


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels with their place in the patient.

    voxels: (K, J, I) integers or 32/64-bit floats as stored, or (K, J, I, 3) uint8 RGB. They are held as a read-only
    view, not copied; whoever changes the array underneath must make a new Volume, since what is derived from the
    voxels is remembered. NaN and infinite voxels are allowed: they count as the volume's minimum wherever intensities
    become 8 bit. Raises ValueError if voxels and geometry do not fit together.
    """

    voxels: np.ndarray
    geometry: GridGeometry
    modality: Modality = Modality.OTHER
    name: str = ""

    def __post_init__(self) -> None:
        voxels = np.asarray(self.voxels)
        if voxels.dtype == bool:
            voxels = voxels.view(np.uint8)
        if voxels.dtype.str[1:] not in _VOXEL_TYPES:
            raise ValueError(f"Voxels must be integers or 32/64-bit floats, not {voxels.dtype}.")
        if not voxels.dtype.isnative:
            voxels = voxels.astype(voxels.dtype.newbyteorder("="))
        if voxels.ndim == 4 and (voxels.shape[3] != 3 or voxels.dtype != np.uint8):
            raise ValueError(f"Colour voxels must be (K, J, I, 3) uint8, not {voxels.shape} {voxels.dtype}.")
        if voxels.ndim not in (3, 4) or voxels.shape[:3] != self.geometry.shape_kji:
            raise ValueError(f"Voxels of shape {voxels.shape} do not fit a grid of {self.geometry.shape_kji}.")
        voxels = voxels.view()
        voxels.setflags(write=False)
        object.__setattr__(self, "voxels", voxels)

    @property
    def is_rgb(self) -> bool:
        return self.voxels.ndim == 4

    @cached_property
    def intensity_range(self) -> tuple[float, float]:
        """The smallest and largest finite intensity; (0, 0) for volumes without any finite voxel."""
        if self.voxels.dtype.kind != "f":
            return float(self.voxels.min()), float(self.voxels.max())
        # Slice by slice, so that a huge volume needs no mask of its own size.
        lowest, highest = np.inf, -np.inf
        for plane in self.voxels:
            finite = np.isfinite(plane)
            lowest = min(lowest, float(np.min(plane, initial=np.inf, where=finite)))
            highest = max(highest, float(np.max(plane, initial=-np.inf, where=finite)))
        return (lowest, highest) if lowest <= highest else (0.0, 0.0)

    def fingerprint_in_steps(self) -> Generator[None, None, str]:
        """Hexadecimal hash of voxels and geometry: the same content gives the same text in any session.

        A step takes some milliseconds, all of them together seconds for a large volume.
        """
        digest = hashlib.blake2b(digest_size=16)
        digest.update(f"{self.voxels.dtype.str[1:]} {self.voxels.shape}".encode())
        # Adding 0 turns -0.0 into 0.0, which is the same place.
        digest.update((self.geometry.ijk_to_ras + 0.0).astype("<f8").tobytes())
        for plane in self.voxels:
            content = np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
            for start in range(0, len(content), _HASHED_AT_ONCE):
                digest.update(content[start : start + _HASHED_AT_ONCE])
                yield
        return digest.hexdigest()
