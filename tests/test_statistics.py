"""Statistics over data seeds, checked by simulation."""

import numpy as np
import pytest

from irmbench.statistics import LEVEL, mean_interval


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_the_mean_is_the_mean_and_n_its_replicates():
    estimate = mean_interval(np.array([1.0, 2.0, 6.0]))
    assert (estimate.mean, estimate.n) == (3.0, 3)


def test_the_interval_holds_the_mean():
    estimate = mean_interval(normal(20))
    assert estimate.low < estimate.mean < estimate.high


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    simulations = 500
    intervals = [mean_interval(sample, seed) for seed, sample in enumerate(normal(simulations, 50) + 3.0)]
    coverage = np.mean([i.low <= 3.0 <= i.high for i in intervals])
    # At n = 50 a percentile interval of normal data falls short of its level by a percent; 3 standard errors are 0.03.
    assert coverage == pytest.approx(LEVEL - 0.01, abs=0.03)


def test_the_interval_is_as_wide_as_the_standard_error_says():
    sample = normal(400)
    estimate = mean_interval(sample)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * sample.std() / 20, rel=0.1)


def test_the_interval_does_not_leave_the_range_of_the_replicates():
    sample = np.array([0.0, 0.0, 1.0])
    estimate = mean_interval(sample)
    assert estimate.low >= 0
    assert estimate.high <= 1


def test_replicates_that_agree_have_an_interval_of_no_width():
    assert mean_interval(np.full(5, 0.25)) == (0.25, 0.25, 0.25, 5)


def test_a_shift_and_a_scale_carry_over():
    sample = normal(15)
    plain, moved = mean_interval(sample), mean_interval(10 + 2 * sample)
    np.testing.assert_allclose(moved[:3], 10 + 2 * np.array(plain[:3]))


def test_of_one_replicate_there_is_a_mean_and_no_interval():
    estimate = mean_interval(np.array([2.5]))
    assert (estimate.mean, estimate.n) == (2.5, 1)
    assert np.isnan(estimate.low)
    assert np.isnan(estimate.high)


def test_of_no_replicate_there_is_nothing():
    estimate = mean_interval(np.array([]))
    assert estimate.n == 0
    assert np.isnan(estimate[:3]).all()


def test_the_same_replicates_have_the_same_interval():
    sample = normal(10)
    assert mean_interval(sample) == mean_interval(sample.copy())


def test_the_global_random_state_is_neither_used_nor_moved():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first = mean_interval(normal(10))
    assert (np.random.get_state()[1] == before).all()
    np.random.seed(2)
    assert mean_interval(normal(10)) == first
