"""Answers without learning, to be beaten: to a box itself, its ellipse and GrabCut, to points region growing."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import SimpleITK as sitk

from ..inference.prompts import PlanePrompts
from ..networks.base import PromptKind
from .methods import PlaneMethod, RuleMethod

GRABCUT_ITERATIONS = 3
# Region growing: SimpleITK's ConfidenceConnected on a smoothed plane.
SMOOTHING_PIXELS = 1.0
GROWING_ITERATIONS = 2
GROWING_DEVIATIONS = 2.5
GROWING_RADIUS = 3


def filled_box(rgb: np.ndarray, prompts: PlanePrompts) -> np.ndarray:
    """The pixels whose middle the box covers."""
    x0, y0, x1, y1 = prompts.box_xyxy
    rows, columns = _pixel_middles(rgb)
    return (rows >= y0) & (rows < y1) & (columns >= x0) & (columns < x1)


def inscribed_ellipse(rgb: np.ndarray, prompts: PlanePrompts) -> np.ndarray:
    """The pixels whose middle lies in the ellipse that fits into the box."""
    x0, y0, x1, y1 = prompts.box_xyxy
    rows, columns = _pixel_middles(rgb)
    across = (columns - (x0 + x1) / 2) / ((x1 - x0) / 2)
    down = (rows - (y0 + y1) / 2) / ((y1 - y0) / 2)
    return across**2 + down**2 <= 1


def grab_cut(rgb: np.ndarray, prompts: PlanePrompts) -> np.ndarray:
    """Rother et al., "GrabCut" (2004), OpenCV's: everything outside the box is background, started from the box."""
    import cv2

    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = np.clip(np.round(prompts.box_xyxy), 0, (width, height, width, height)).astype(int)
    if x1 <= x0 or y1 <= y0:
        return np.zeros((height, width), bool)
    labels = np.zeros((height, width), np.uint8)
    # Its mixtures of Gaussians start from random centres.
    cv2.setRNGSeed(0)
    try:
        models = np.zeros((1, 65)), np.zeros((1, 65))
        box = (int(x0), int(y0), int(x1 - x0), int(y1 - y0))
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        cv2.grabCut(bgr, labels, box, *models, GRABCUT_ITERATIONS, cv2.GC_INIT_WITH_RECT)
    except cv2.error:  # no pixel is outside the box, or all inside look alike: nothing to learn from
        return np.zeros((height, width), bool)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def region_growing(rgb: np.ndarray, prompts: PlanePrompts) -> np.ndarray:
    """What is connected to the positive points and looks like their surroundings."""
    grey = sitk.GetImageFromArray(rgb.mean(axis=2, dtype=np.float32))
    smooth = sitk.SmoothingRecursiveGaussian(grey, SMOOTHING_PIXELS)
    height, width = rgb.shape[:2]
    seeds = np.clip(np.round(prompts.positive_xy), 0, (width - 1, height - 1)).astype(int).tolist()
    grown = sitk.ConfidenceConnected(
        smooth,
        seedList=seeds,
        numberOfIterations=GROWING_ITERATIONS,
        multiplier=GROWING_DEVIATIONS,
        initialNeighborhoodRadius=GROWING_RADIUS,
        replaceValue=1,
    )
    return sitk.GetArrayFromImage(grown) > 0


def rule_methods() -> dict[str, PlaneMethod]:
    """All of them by name; GrabCut only where OpenCV is installed."""
    methods = [
        RuleMethod("filled box", PromptKind.BOX, filled_box),
        RuleMethod("inscribed ellipse", PromptKind.BOX, inscribed_ellipse),
        RuleMethod("region growing", PromptKind.POINTS, region_growing),
    ]
    if find_spec("cv2"):
        methods.insert(2, RuleMethod("GrabCut", PromptKind.BOX, grab_cut))
    return {method.name: method for method in methods}


def _pixel_middles(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (H, 1) and columns (1, W) in a box's coordinates, where pixel n covers n .. n + 1."""
    height, width = rgb.shape[:2]
    return np.arange(height)[:, None] + 0.5, np.arange(width)[None] + 0.5
