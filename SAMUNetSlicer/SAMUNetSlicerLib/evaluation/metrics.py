"""How well an answer fits its target: overlap and surface distances."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice

from ..inference.mask_geometry import box_around

HAUSDORFF_PERCENTILE = 95


@dataclass(frozen=True)
class Scores:
    """dice, iou: overlap in [0, 1].

    nsd: normalised surface Dice (Nikolov et al. 2018): share of both borders within the tolerance of the other.
    hd95: 95th percentile of the distances between the borders, the larger of both directions, in the unit of the
    spacing; for an empty answer the length of the image's diagonal, which no answer exceeds.
    """

    dice: float
    iou: float
    nsd: float
    hd95: float


def score(answer: np.ndarray, target: np.ndarray, spacing: Sequence[float], tolerance: float) -> Scores:
    """Compare two bool masks of one 2D or 3D shape.

    spacing: size of a pixel or voxel along each array axis. tolerance: of `nsd`, in the same unit.
    Raises ValueError for an empty target or different shapes.
    """
    if answer.shape != target.shape or answer.ndim != len(spacing):
        raise ValueError(f"answer {answer.shape}, target {target.shape} and spacing {tuple(spacing)} do not agree")
    if not target.any():
        raise ValueError("an empty target cannot be scored")
    common = np.count_nonzero(answer & target)
    both = np.count_nonzero(answer) + np.count_nonzero(target)
    dice, iou = 2 * common / both, common / (both - common)
    if not answer.any():
        return Scores(dice, iou, 0.0, float(np.linalg.norm(np.multiply(answer.shape, spacing))))
    if common * 2 == both:
        return Scores(1.0, 1.0, 1.0, 0.0)
    around = box_around(answer | target)  # large volumes with small objects are quick so
    a, t = (torch.from_numpy(np.pad(mask[around], 1))[None, None] for mask in (answer, target))
    steps = [float(s) for s in spacing]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI announces its own deprecations here
        hd95 = compute_hausdorff_distance(a, t, include_background=True, percentile=HAUSDORFF_PERCENTILE, spacing=steps)
        nsd = compute_surface_dice(a, t, [tolerance], include_background=True, spacing=steps)
    return Scores(dice, iou, float(nsd), float(hd95))
