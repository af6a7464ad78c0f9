"""What scanners, cameras and users do to a picture, at random."""

from __future__ import annotations

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrast,
    RandBiasField,
    RandGaussianNoise,
    RandGaussianSmooth,
    RandHistogramShift,
    RandSimulateLowResolution,
)

_INVERT_SHARE = 0.15
_GREY_SHARE = 0.35
_SHUFFLE_SHARE = 0.2
_TINT_SHARE = 0.06
_SPECKLE_SHARE = 0.1


class Augmentation:
    """Random intensities, blur, noise, resolution and colours. Geometry is the crops' affair.

    Call with a (3, h, w) float32 image in 0..255 and a generator; gives the same shape and range.
    """

    def __init__(self) -> None:
        self._transforms = Compose(
            [
                RandHistogramShift(num_control_points=(4, 9), prob=0.2),
                RandAdjustContrast(prob=0.4, gamma=(0.5, 2.0)),
                RandBiasField(prob=0.2, coeff_range=(0.0, 0.35)),
                RandGaussianSmooth(prob=0.2, sigma_x=(0.3, 1.6), sigma_y=(0.3, 1.6)),
                RandSimulateLowResolution(prob=0.2, zoom_range=(0.35, 0.9), upsample_mode="bicubic"),
                RandGaussianNoise(prob=0.3, std=0.08),
            ]
        )

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        self._transforms.set_random_state(seed=int(rng.integers(2**31)))
        image = _recolour(image / 255.0, rng)  # one channel where all are alike
        if rng.random() < _INVERT_SHARE:
            image = image.max() - image
        if rng.random() < _SPECKLE_SHARE:
            image = image * (1 + rng.normal(0, rng.uniform(0.05, 0.3), image.shape[1:]))
        image = np.asarray(self._transforms(torch.from_numpy(np.ascontiguousarray(image, np.float32))))
        if len(image) == 1:
            image = np.repeat(image, 3, axis=0)
            if rng.random() < _TINT_SHARE:
                image = image * rng.uniform(0.4, 1.0, (3, 1, 1))
        return np.clip(image, 0, 1).astype(np.float32) * 255


def _recolour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(3, h, w) in [0, 1] to one grey channel, or three in a random order."""
    if np.array_equal(image[0], image[1]) and np.array_equal(image[1], image[2]):
        return image[:1]
    draw = rng.random()
    if draw < _GREY_SHARE:
        return np.tensordot(rng.dirichlet((3, 3, 3)), image, axes=1)[None]
    if draw < _GREY_SHARE + _SHUFFLE_SHARE:
        return image[rng.permutation(3)]
    return image
