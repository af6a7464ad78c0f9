"""Means count sources alike; intervals are repeatable and know which values belong together."""

from __future__ import annotations

import numpy as np
import pytest

from SAMUNetSlicerLib.evaluation.statistics import mean_over_sources, source_estimate

CHANCE = np.random.default_rng(1)
VALUES = [(f"case {i}", float(v)) for i, v in enumerate(CHANCE.normal(0.8, 0.1, 40))]


def test_each_source_counts_the_same():
    estimate = mean_over_sources({"large": [(str(i), 1.0) for i in range(9)], "small": [("a", 0.0)]}, seed=0)
    assert estimate.mean == 0.5
    assert estimate.count == 10


def test_the_same_seed_gives_the_same_interval_and_another_one_nearly_so():
    first, second, other = (source_estimate("s", VALUES, seed) for seed in (0, 0, 1))
    assert first == second
    assert other != first
    assert other.lower == pytest.approx(first.lower, abs=0.01)


def test_the_interval_is_that_of_the_mean():
    estimate = source_estimate("s", VALUES, 0)
    values = np.array([v for _, v in VALUES])
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.lower == pytest.approx(values.mean() - half, abs=0.01)
    assert estimate.upper == pytest.approx(values.mean() + half, abs=0.01)


def test_values_of_one_case_are_drawn_together():
    repeated = [(case, value) for case, value in VALUES[:10] for _ in range(4)]
    as_if_independent = [(str(i), value) for i, (_, value) in enumerate(repeated)]
    together, apart = (source_estimate("s", v, 0) for v in (repeated, as_if_independent))
    assert together.mean == pytest.approx(apart.mean)
    assert together.upper - together.lower > 1.5 * (apart.upper - apart.lower)


def test_a_source_of_one_case_still_has_an_interval():
    estimate = source_estimate("s", [("only", 0.2), ("only", 0.8)], 0)
    assert estimate.lower < estimate.mean < estimate.upper


def test_more_sources_make_the_mean_surer():
    one = mean_over_sources({"a": VALUES[:10]}, 0)
    four = mean_over_sources({name: VALUES[i * 10 : i * 10 + 10] for i, name in enumerate("abcd")}, 0)
    assert four.upper - four.lower < one.upper - one.lower


def test_the_interval_leaves_out_one_resampled_mean_in_forty_on_each_side():
    estimate = source_estimate("s", [(str(i), float(i < 50)) for i in range(100)], 0)
    assert estimate.upper - estimate.lower == pytest.approx(2 * 1.96 * 0.05, abs=0.02)  # of 95 %, where 90 % give .164


def test_a_case_counts_as_often_as_it_has_values():
    large = [(f"large {i}", 1.0) for i in range(20) for _ in range(9)]
    estimate = source_estimate("s", [*large, *((f"small {i}", 0.0) for i in range(20))], 0)
    assert estimate.mean == 0.9
    assert 0.75 < estimate.lower < 0.9 < estimate.upper < 0.97


def test_each_source_is_resampled_by_itself():
    apart = mean_over_sources({"a": VALUES, "b": VALUES}, 0)
    alone = source_estimate("a", VALUES, 0)
    assert apart.upper - apart.lower == pytest.approx((alone.upper - alone.lower) / 2**0.5, rel=0.1)


def test_an_interval_is_the_same_in_every_process():
    """Cases are drawn from a sorted list: sets of texts have another order in each."""
    estimate = source_estimate("s", VALUES, 0)
    assert source_estimate("s", VALUES[::-1], 0).lower == estimate.lower
    assert (estimate.lower, estimate.upper) == pytest.approx((0.770892, 0.828341), abs=1e-6)
