"""From scanner intensities to the 8 bits that the networks see."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from .volume import Modality, Volume

_PERCENTILES = (0.5, 99.5)
# Percentiles of larger volumes are taken from every n-th voxel: about this many remain.
_SAMPLE_VOXELS = 2_000_000
# Exact zeros above the minimum count as background from this share of the volume on.
_MASKED_SHARE = 0.1


@dataclass(frozen=True)
class Window:
    """Intensities from `lower` (black) to `upper` (white), in the volume's own units (CT: Hounsfield units).
    Raises ValueError unless both are finite and lower < upper.
    """

    lower: float
    upper: float
    name: str = "custom"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lower) and math.isfinite(self.upper) and self.lower < self.upper):
            raise ValueError(f"A window needs two numbers, the lower one first, got {self.lower} and {self.upper}.")

    @classmethod
    def from_level(cls, level: float, width: float, name: str = "custom") -> Window:
        """From the radiologists' window level (centre) and window width."""
        return cls(level - width / 2, level + width / 2, name)

    def to_dict(self) -> dict:
        return {"lower": self.lower, "upper": self.upper, "name": self.name}

    @classmethod
    def from_dict(cls, values: dict) -> Window:
        """The inverse of `to_dict`. Raises ValueError or KeyError for anything else."""
        return cls(float(values["lower"]), float(values["upper"]), str(values.get("name", "custom")))


CT_PRESETS: dict[str, Window] = {
    name: Window.from_level(level, width, name)
    for name, (level, width) in {
        "abdomen": (40, 400),
        "soft-tissue": (40, 400),
        "mediastinum": (50, 350),
        "liver": (30, 150),
        "brain": (40, 80),
        "lung": (-600, 1500),
        "bone": (400, 1800),
    }.items()
}


def percentile_window(volume: Volume) -> Window:
    """The window between two percentiles (0.5 and 99.5) of the foreground.

    Foreground are the finite voxels above the volume's minimum, without exact zeros where these are many (a masked
    background). Large volumes are thinned evenly to about two million voxels, the same ones each time. Where the
    foreground has one single intensity the window begins at the minimum; without any foreground it is one unit wide.
    Raises ValueError for an RGB volume.
    """
    if volume.is_rgb:
        raise ValueError("An RGB volume has no window: its colours are used as they are.")
    values = thinned(volume.voxels)
    values = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    name = "percentiles {:g}-{:g}".format(*_PERCENTILES)
    if not values.size:
        return Window(0.0, 1.0, name)
    minimum = values.min()
    foreground = values[values > minimum]
    zeros = foreground == 0
    if _MASKED_SHARE * values.size <= np.count_nonzero(zeros) < foreground.size:
        foreground = foreground[~zeros]
    low = high = float(minimum)
    if foreground.size:
        low, high = (float(v) for v in np.percentile(foreground.astype(np.float64), _PERCENTILES))
    if low == high:
        low = float(minimum)
    if low == high:
        # One unit, or one step of floating-point numbers where one unit is too small to count.
        high = max(low + 1.0, float(np.nextafter(low, np.inf)))
    return Window(low, high, name)


def thinned(voxels: np.ndarray) -> np.ndarray:
    """View of every n-th voxel along each axis, n chosen so that about two million or fewer remain."""
    steps = [1, 1, 1]
    counts = list(voxels.shape[:3])
    while math.prod(counts) > _SAMPLE_VOXELS:
        axis = counts.index(max(counts))
        steps[axis] += 1
        counts[axis] = -(-voxels.shape[axis] // steps[axis])
    return voxels[tuple(slice(None, None, step) for step in steps)]


def default_window(volume: Volume) -> Window | None:
    """What is used when the user does not choose: soft tissue for CT, percentiles for other grey volumes, and None
    for RGB, whose colours are used as they are.
    """
    if volume.is_rgb:
        return None
    if volume.modality is Modality.CT:
        return CT_PRESETS["abdomen"]
    return percentile_window(volume)


def parse_window(text: str) -> Window | None:
    """The window that a user wrote: "auto" (None: ask `default_window`), a preset's name, or "LOWER:UPPER".
    Raises UserError naming the choices for anything else.
    """
    word = text.strip().lower().replace(" ", "-").replace("_", "-")
    if word == "auto":
        return None
    if word in CT_PRESETS:
        return CT_PRESETS[word]
    try:
        lower, upper = (float(part) for part in text.split(":"))
        return Window(lower, upper)
    except ValueError:
        choices = ", ".join(["auto", *CT_PRESETS])
        raise UserError(
            f"'{text}' is not a window. Give one of {choices}, or two numbers as LOWER:UPPER, for example -160:240."
        ) from None


def describe_window(window: Window | None) -> str:
    """For example "abdomen -160:240"; "colour" for RGB. To nine digits: a window far from zero shall keep its width."""
    return "colour" if window is None else f"{window.name} {window.lower:.9g}:{window.upper:.9g}"


def to_uint8(image: np.ndarray, window: Window | None) -> np.ndarray:
    """(H, W) intensities, or (H, W, 3) uint8 colours, to (H, W, 3) uint8.

    Grey is repeated three times. Pixels that are NaN or infinite become black. Colours are returned unchanged and
    the window does not apply to them. Raises ValueError for a grey image without a window.
    """
    image = np.asarray(image)
    if image.ndim == 3:
        return image
    if window is None:
        raise ValueError("A grey image needs a window to become 8 bit.")
    # In double precision: windows of large offsets (MR raw data, 32-bit images) would lose steps in single.
    scaled = (image.astype(np.float64) - window.lower) / (window.upper - window.lower) * 255
    grey = np.where(np.isfinite(scaled), np.clip(scaled, 0, 255) + 0.5, 0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
