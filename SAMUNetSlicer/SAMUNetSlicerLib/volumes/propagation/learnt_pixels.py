"""Which pixels are the object's, learnt from the key planes that show it.

A voice beside the network's, where that is unsure: what was settled on key planes tells which grey values and edges,
and where, make this object. Logistic regression on random Fourier features of the pixels (Rahimi and Recht, "Random
features for large-scale kernel machines", NIPS 2007). Chosen on development cases (docs/propagation.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from ...inference.mask_geometry import box_around
from ...inference.predictor import PlaneImage, PlaneMask
from ...inference.preprocessing import grey_of
from ...inference.threads import torch_threads

_SURE_LOGIT = 6.0  # the network is not contradicted where it is surer, nor are the pixels believed more
_SMOOTHINGS = (1.0, 2.0)  # pixels
_SLOPE = (-0.5, 0.0, 0.5)
_LARGEST_SIDE = 400  # pixels of a window: larger ones are looked at in steps, as networks see them
_PIXELS = 3000  # of all key planes together
_PIXELS_AT_ONCE = 10_000
_WAVES = 200
_WAVE_NUMBER = 0.3  # per standard deviation of a feature
_RIDGE = 0.003
_NEWTON_STEPS = 6
_LOUDNESS = 0.7  # as loud as the network they gain little more, and lose more where they are wrong
_REACH = 0.5  # beyond the outermost planes, as a share of the way between them
_Window = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class LearntPixels:
    """Logits of pixels, whatever the network says.

    step: every how many pixels are looked at. first, last: numbers of the outermost planes learnt from. mean,
    deviation: (features,) float32, of the pixels learnt from. waves: (features, n), phases: (n,), weights:
    (1 + features + n,) float32.
    """

    step: int
    first: int
    last: int
    mean: np.ndarray
    deviation: np.ndarray
    waves: np.ndarray
    phases: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, planes: Mapping[int, tuple[PlaneImage, np.ndarray]]) -> LearntPixels | None:
        """planes: pictures and (H, W) bool masks, not empty, by plane number. None for fewer than two.

        From one alone it could not tell what the object is from where it is.
        """
        if len(planes) < 2:
            return None
        rng = np.random.default_rng(0)
        share = _PIXELS // len(planes)
        sides = [side.stop - side.start for _, mask in planes.values() for side in _around(mask)]
        step = int(np.ceil(max(sides) / _LARGEST_SIDE))
        samples = [_sample(image, mask, index, step, share, rng) for index, (image, mask) in sorted(planes.items())]
        features, inside = (np.concatenate(part) for part in zip(*samples, strict=True))
        waves = rng.standard_normal((features.shape[1], _WAVES)).astype(np.float32) * np.float32(_WAVE_NUMBER)
        phases = rng.uniform(0, 2 * np.pi, _WAVES).astype(np.float32)
        mean, deviation = features.mean(axis=0), features.std(axis=0) + np.float32(1e-3)
        untrained = cls(step, min(planes), max(planes), mean, deviation, waves, phases, np.zeros(0, np.float32))
        return replace(untrained, weights=_logistic_regression(untrained._terms(features).numpy(), inside))

    def beside(self, answer: PlaneMask, image: PlaneImage, index: int) -> PlaneMask:
        """The network's answer on plane `index`, with what the pixels tell added to its logits where it is unsure.

        Beyond the planes learnt from they tell less, and soon nothing.
        """
        loudness = self._loudness(index)
        if loudness == 0 or not answer.mask.any():
            return answer
        window = _around(answer.mask)
        unsure = np.abs(answer.logits[window]) < _SURE_LOGIT
        asked = unsure[:: self.step, :: self.step]
        place = min(max(index, self.first), self.last)  # how the object goes on beyond is not known
        told = np.zeros(asked.shape, np.float32)
        features = _features(image, window, self.step, place)[asked]
        # In parts, since the terms of 400 x 400 pixels take 130 MB.
        parts = np.array_split(features, 1 + len(features) // _PIXELS_AT_ONCE)
        logits = np.concatenate([self._logits(part) for part in parts])
        told[asked] = loudness * np.clip(logits, -_SURE_LOGIT, _SURE_LOGIT)
        told = told.repeat(self.step, axis=0).repeat(self.step, axis=1)[: unsure.shape[0], : unsure.shape[1]]
        heard = answer.logits.copy()
        heard[window][unsure] += told[unsure]
        return replace(answer, logits=heard)

    def _loudness(self, index: int) -> float:
        """Even between the planes learnt from, falling to 0 beyond them."""
        beyond = max(self.first - index, index - self.last, 0)
        return _LOUDNESS * max(0.0, 1 - beyond / (_REACH * (self.last - self.first)))

    def _logits(self, features: np.ndarray) -> np.ndarray:
        """(pixels,) float32. On one thread of torch's: numpy's would wait actively for more for a tenth of a second."""
        with torch_threads(1):
            return (self._terms(features) @ torch.from_numpy(self.weights)).numpy()

    def _terms(self, features: np.ndarray) -> torch.Tensor:
        """(pixels, 1 + features + n) float32: what the logits are a weighted sum of."""
        scaled = torch.from_numpy((features - self.mean) / self.deviation)
        waves = torch.cos(torch.addmm(torch.from_numpy(self.phases), scaled, torch.from_numpy(self.waves)))
        return torch.cat([torch.ones(len(scaled), 1), scaled, waves * (2 / len(self.phases)) ** 0.5], dim=1)


def _sample(
    image: PlaneImage, mask: np.ndarray, index: int, step: int, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Features and membership of at most `count` pixels in and around a non-empty mask."""
    from scipy import ndimage  # only now: see `mask_geometry`

    window = _around(mask)
    inside = mask[window][::step, ::step]
    near = ndimage.distance_transform_edt(~inside) <= _margin(mask) / step
    chosen = rng.permutation(np.flatnonzero(near))[:count]
    features = _features(image, window, step, index).reshape(near.size, -1)
    return features[chosen], inside.ravel()[chosen]


def _margin(mask: np.ndarray) -> float:
    """Pixels around a mask that tell what it is not: .7 of its radius, were it a circle."""
    return 3 + 0.7 * float(np.sqrt(np.count_nonzero(mask) / np.pi))


def _around(mask: np.ndarray) -> _Window:
    """The part of the plane within that margin of a non-empty mask's box."""
    margin = int(np.ceil(_margin(mask)))
    rows, columns = (
        slice(max(0, side.start - margin), min(length, side.stop + margin))
        for side, length in zip(box_around(mask), mask.shape, strict=True)
    )
    return rows, columns


def _features(image: PlaneImage, window: _Window, step: int, index: int) -> np.ndarray:
    """(h, w, features) float32: grey values from sharp to smooth, edges, and where a pixel lies."""
    from scipy import ndimage

    rows, columns = np.mgrid[tuple(slice(side.start, side.stop, step) for side in window)].astype(np.float32)
    grey = grey_of(image.rgb[window][::step, ::step]) / np.float32(255)
    smooth = [ndimage.gaussian_filter(grey, sigma, truncate=3) for sigma in _SMOOTHINGS]
    # Not np.gradient, which wants two pixels each way: planes may have one.
    edges = [np.hypot(*(ndimage.correlate1d(picture, _SLOPE, axis) for axis in (0, 1))) for picture in smooth]
    return np.stack([grey, *smooth, *edges, rows, columns, np.full_like(grey, index)], axis=2)


def _logistic_regression(terms: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Weights of the terms, by Newton's method with a ridge."""
    terms = terms.astype(float)
    weights = np.zeros(terms.shape[1])
    for _ in range(_NEWTON_STEPS):
        expected = 1 / (1 + np.exp(-np.clip(terms @ weights, -30, 30)))
        slope = terms.T @ (inside - expected) - _RIDGE * weights
        certainty = np.maximum(expected * (1 - expected), 1e-4)
        bend = (terms * certainty[:, None]).T @ terms + _RIDGE * np.eye(len(weights))
        weights += np.linalg.solve(bend, slope)
    return weights.astype(np.float32)
