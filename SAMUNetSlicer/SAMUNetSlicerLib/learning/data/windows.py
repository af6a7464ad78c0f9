"""From measured intensities to 8 bit, with the variety of windows that users choose."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

# (level, width) in Hounsfield units: soft tissue, abdomen, liver, brain, bone, lung, mediastinum
_CT_WINDOWS = ((40, 400), (60, 400), (80, 180), (40, 90), (400, 1800), (-600, 1500), (50, 350))
_CT_SHARES = (0.28, 0.2, 0.08, 0.04, 0.12, 0.12, 0.16)
_AUTOMATIC_CT_SHARE = 0.35


class Intensity(StrEnum):
    """What an image's numbers mean."""

    PICTURE = "picture"  # 8 bit already
    CT = "ct"  # Hounsfield units
    RELATIVE = "relative"  # MR and others: no unit


def to_eight_bit(plane: np.ndarray, intensity: Intensity, rng: np.random.Generator) -> np.ndarray:
    """(H, W) uint8 of a float plane under a random, plausible window."""
    if intensity is Intensity.PICTURE:
        return np.clip(plane, 0, 255).astype(np.uint8)
    if intensity is Intensity.CT and rng.random() > _AUTOMATIC_CT_SHARE:
        level, width = _CT_WINDOWS[rng.choice(len(_CT_WINDOWS), p=_CT_SHARES)]
        level, width = level + rng.normal(0, 0.08) * width, width * rng.uniform(0.75, 1.35)
        low, high = level - width / 2, level + width / 2
    else:
        low, high = np.percentile(plane, [rng.choice([0.0, 0.5, 2.0]), rng.choice([98.0, 99.5, 100.0])])
    return (np.clip((plane - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)
