"""Means over cases and over sources, with bootstrap intervals."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
_COVERED = (2.5, 97.5)  # percentiles of the resampled means

Values = Sequence[tuple[str, float]]  # of one source: the case that each value is from, and the value


@dataclass(frozen=True)
class Estimate:
    """A mean, its 95 % bootstrap interval, and the number of values behind it."""

    mean: float
    lower: float
    upper: float
    count: int


def source_estimate(source: str, values: Values, seed: int) -> Estimate:
    """The mean of one source's values."""
    return _estimate(_mean(values), _resampled_means(source, values, seed), len(values))


def mean_over_sources(values: Mapping[str, Values], seed: int) -> Estimate:
    """The mean of the sources' means: each source counts the same, however many values it has.

    The interval says how sure the figure is for these sources, not how other sources would do.
    """
    means = [_mean(of_source) for of_source in values.values()]
    resampled = [_resampled_means(source, of_source, seed) for source, of_source in values.items()]
    return _estimate(float(np.mean(means)), np.mean(resampled, axis=0), sum(map(len, values.values())))


def _mean(values: Values) -> float:
    return float(np.mean([value for _, value in values]))


def _resampled_means(source: str, values: Values, seed: int) -> np.ndarray:
    """(RESAMPLES,) means of the source, whole cases drawn with replacement.

    Values of one case (labels and planes of one volume) are not independent, so they are drawn together; values of
    a source of a single case are drawn one by one, and their interval is too narrow. The generator depends on the
    source and the seed only, so that methods are resampled alike.
    """
    cases = sorted({case for case, _ in values})
    if len(cases) == 1:
        sums, counts = np.array([value for _, value in values]), np.ones(len(values))
    else:
        position = {case: index for index, case in enumerate(cases)}
        owners = [position[case] for case, _ in values]
        sums = np.bincount(owners, weights=[value for _, value in values], minlength=len(cases))
        counts = np.bincount(owners, minlength=len(cases))
    rng = np.random.default_rng([seed, zlib.crc32(source.encode())])
    drawn = rng.integers(len(sums), size=(RESAMPLES, len(sums)))
    return sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)


def _estimate(mean: float, resampled: np.ndarray, count: int) -> Estimate:
    lower, upper = np.percentile(resampled, _COVERED)
    return Estimate(mean, float(lower), float(upper), count)
