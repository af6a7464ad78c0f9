"""From an 8-bit RGB plane to the network's square input, and the way back for its logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..networks.base import CoordinateScale, Normalisation, Preprocessing, Resize

# SAM's means and deviations of 0..255 RGB (ImageNet's).
MEAN = np.array([123.675, 116.28, 103.53], dtype=np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], dtype=np.float32)


def grey_of(rgb: np.ndarray) -> np.ndarray:
    """(..., 3) of 8 bit to (...) float32: the mean of the channels, several times as fast as numpy's."""
    red, green, blue = np.moveaxis(rgb, -1, 0)
    return (red.astype(np.float32) + green + blue) / np.float32(3)


@dataclass(frozen=True)
class InputFrame:
    """How a picture of `original_hw` lies in the square network input: top left, resized to `resized_hw`."""

    original_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    preprocessing: Preprocessing

    def to_input(self, xy: np.ndarray) -> np.ndarray:
        """(..., 2) picture coordinates to network coordinates (before SAM's half-pixel shift), float32."""
        height, width = self.original_hw
        if self.preprocessing.coordinates is CoordinateScale.UNIFORM:
            scale = np.float32(self.preprocessing.input_size / max(height, width))
        else:
            scale = np.array([self.resized_hw[1] / width, self.resized_hw[0] / height], dtype=np.float32)
        return np.asarray(xy, dtype=np.float32) * scale

    def logits_to_picture(self, logits: Tensor) -> Tensor:
        """(B, C, h, w) logits on the whole input to (B, C, H, W) on the picture, bilinear, float32."""
        side = self.preprocessing.input_size
        logits = logits.float()
        if logits.shape[-1] != side:
            logits = F.interpolate(logits, size=(side, side), mode="bilinear", align_corners=False)
        height, width = self.resized_hw
        return F.interpolate(logits[..., :height, :width], size=self.original_hw, mode="bilinear", align_corners=False)

    def mask_to_prompt(self, mask_yx: np.ndarray, prompt_size: int) -> Tensor:
        """(H, W) bool or logits on the picture to (1, 1, S, S) logits for the prompt encoder."""
        logits = np.where(mask_yx, PROMPT_LOGIT, -PROMPT_LOGIT) if mask_yx.dtype == bool else mask_yx
        logits = np.clip(logits, -PROMPT_LOGIT, PROMPT_LOGIT).astype(np.float32)
        tensor = torch.from_numpy(np.ascontiguousarray(logits))[None, None]
        resized = F.interpolate(tensor, size=self.resized_hw, mode="bilinear", align_corners=False, antialias=True)
        side = self.preprocessing.input_size
        height, width = self.resized_hw
        padded = F.pad(resized, (0, side - width, 0, side - height), value=-PROMPT_LOGIT)
        if prompt_size == side:
            return padded
        return F.interpolate(
            padded, size=(prompt_size, prompt_size), mode="bilinear", align_corners=False, antialias=True
        )


# A yes/no mask as logits: as sure as the networks' own answers usually are, so that it looks like one of them.
PROMPT_LOGIT = 8.0


def input_frame(original_hw: tuple[int, int], preprocessing: Preprocessing) -> InputFrame:
    """Where a picture of this size comes to lie in the network's input."""
    side = preprocessing.input_size
    if preprocessing.resize in (Resize.NEAREST_SQUASH, Resize.BILINEAR_SQUASH, Resize.BICUBIC_SQUASH):
        return InputFrame(original_hw, (side, side), preprocessing)
    scale = side / max(original_hw)
    resized = tuple(max(1, int(n * scale + 0.5)) for n in original_hw)
    return InputFrame(original_hw, resized, preprocessing)


def prepare(rgb: np.ndarray, preprocessing: Preprocessing) -> tuple[Tensor, InputFrame]:
    """(H, W, 3) uint8 to a (3, S, S) float32 network input.

    Padding comes after normalising and is 0, as all published predictors do.
    """
    frame = input_frame(rgb.shape[:2], preprocessing)
    if preprocessing.normalise_first:
        picture = _resize(_normalise(rgb, preprocessing.normalisation), frame.resized_hw, preprocessing.resize)
    else:
        picture = _normalise(_resize(rgb, frame.resized_hw, preprocessing.resize), preprocessing.normalisation)
    tensor = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
    side = preprocessing.input_size
    return F.pad(tensor, (0, side - tensor.shape[2], 0, side - tensor.shape[1])), frame


def _resize(picture: np.ndarray, size_hw: tuple[int, int], resize: Resize) -> np.ndarray:
    if resize is Resize.AREA_LONGEST:
        return _resize_area(picture, size_hw)
    if resize is Resize.NEAREST_SQUASH:
        rows, columns = (_nearest_index(n, m) for n, m in zip(picture.shape, size_hw, strict=False))
        return picture[rows[:, None], columns]
    # On 8-bit pictures, as the published predictors do: Pillow rounds to whole grey values.
    image = Image.fromarray(picture)
    kernel = Image.Resampling.BICUBIC if resize is Resize.BICUBIC_SQUASH else Image.Resampling.BILINEAR
    return np.asarray(image.resize(size_hw[::-1], kernel))


def _nearest_index(source: int, target: int) -> np.ndarray:
    return np.minimum((np.arange(target) * (source / target)).astype(int), source - 1)


def _resize_area(picture: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Each new pixel is the mean of the old ones under it, weighted by the area covered, rounded to 8 bit."""
    rows, columns = (_coverage(n, m) for n, m in zip(picture.shape, size_hw, strict=False))
    mixed = np.einsum("yh,hwc->ywc", rows, picture.astype(np.float32), optimize=True)
    mixed = np.einsum("xw,ywc->yxc", columns, mixed, optimize=True)
    return np.rint(mixed).clip(0, 255).astype(np.uint8)


def _coverage(source: int, target: int) -> np.ndarray:
    """(target, source) share of each new pixel that each old one covers; rows sum to 1."""
    edges = np.arange(target + 1) * (source / target)
    old = np.arange(source)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return (overlap.clip(min=0) / (source / target)).astype(np.float32)


def _normalise(picture: np.ndarray, normalisation: Normalisation) -> np.ndarray:
    picture = picture.astype(np.float32)
    if normalisation is Normalisation.IMAGENET:
        return (picture - MEAN) / DEVIATION
    if normalisation is Normalisation.UNIT:
        return picture / np.float32(255)
    low, high = picture.min(), picture.max()
    return (picture - low) / max(high - low, np.float32(1e-8))
