"""Statistics over data seeds, checked by simulation."""

import numpy as np
import pytest
from scipy import stats

from irmbench.analysis import statistics
from irmbench.analysis.statistics import (
    LEVEL,
    geometric_mean,
    iqm,
    mean,
    mean_interval,
    median,
    median_interval,
    performance_profile,
    strata,
    stratified_interval,
    wins,
)


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


def columns(scores):
    """Return scores [S, K] as strata of one dataset each."""
    return [scores[:, [k]] for k in range(scores.shape[1])]


@pytest.fixture
def fewer_resamples(monkeypatch):
    """Enough for a coverage that is right to a quarter of a percent, and five times as fast."""
    monkeypatch.setattr(statistics, "RESAMPLES", 400)


def coverage(statistic, truth, draw, n=100, repetitions=1_000):
    """Return how often an interval of n seeds holds the truth, good to 0.7%; draw(rng, n) returns strata."""
    rng = np.random.default_rng(7)
    intervals = [stratified_interval(draw(rng, n), statistic, seed) for seed in range(repetitions)]
    return np.mean([i.low <= truth <= i.high for i in intervals])


@pytest.mark.parametrize("n", [1, 3, 4, 10, 101])
def test_aggregates_are_scipys_and_numpys(n):
    scores = np.exp(normal(5, n))
    np.testing.assert_allclose(mean(scores), scores.mean(1))
    np.testing.assert_allclose(median(scores), np.median(scores, 1))
    np.testing.assert_allclose(iqm(scores), [stats.trim_mean(row, 0.25) for row in scores])
    np.testing.assert_allclose(geometric_mean(scores), [stats.gmean(row) for row in scores])


def test_the_interquartile_mean_is_the_mean_of_the_middle_half():
    assert iqm(np.array([-np.inf, 1.0, 2.0, 4.0, 5.0, 9.0, 100.0, np.inf])) == 5.0


def test_the_geometric_mean_is_the_mean_on_a_log_scale_and_zero_with_a_zero():
    assert geometric_mean(np.array([1e-4, 1e-2])) == pytest.approx(1e-3)
    assert geometric_mean(np.array([0.0, 1.0])) == 0.0


@pytest.mark.parametrize("statistic", [mean, median, iqm])
def test_the_interval_of_one_stratum_is_scipys_percentile_bootstrap(statistic):
    scores = normal(80)
    ours = stratified_interval([scores[:, None]], statistic)
    theirs = stats.bootstrap((scores,), lambda s, axis: statistic(s), method="percentile", n_resamples=5_000, rng=1)
    assert ours.value == statistic(scores)
    # Bounds of 2,000 resamples are good to a tenth of the standard error.
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.15 * theirs.standard_error)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.15 * theirs.standard_error)


CASES = {
    "median of normals": (median, 0.0, lambda rng, n: [rng.standard_normal((n, 1))]),
    "median of Cauchys": (median, 0.0, lambda rng, n: [rng.standard_cauchy((n, 1))]),
    "interquartile mean of Cauchys": (iqm, 0.0, lambda rng, n: [rng.standard_cauchy((n, 1))]),
    "geometric mean of log-normals": (geometric_mean, np.e, lambda rng, n: [rng.lognormal(1.0, 2.0, (n, 1))]),
    "mean of two strata": (mean, 2.5, lambda rng, n: columns(rng.normal([0.0, 5.0], 1.0, (n, 2)))),
    "seeds of unequal number": (
        *(mean, 20 / 6),
        lambda rng, n: [rng.standard_normal((n, 1)), 5 + rng.standard_normal((2 * n, 1))],
    ),
    "datasets that share draws": (mean, 0.0, lambda rng, n: [np.repeat(rng.standard_normal((n, 1)), 2, axis=1)]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("fewer_resamples")
def test_stratified_intervals_hold_the_truth_about_as_often_as_they_say(case):
    assert 0.93 <= coverage(*CASES[case]) <= 0.97


def test_datasets_that_share_draws_are_no_strata_of_their_own():
    """Their intervals would be too narrow: half as wide for four datasets with the same scores."""
    same = np.repeat(normal(100, 1), 4, axis=1)
    together, apart = stratified_interval([same], mean), stratified_interval(columns(same), mean)
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(2.0, rel=0.1)


def test_strata_keep_their_sizes_in_every_resample():
    """Without them, which of two distant datasets is drawn would make the interval wide."""
    far = np.array([[0.0], [0.0]]), np.array([[9.0], [9.0]])
    assert stratified_interval(far, mean) == (4.5, 4.5, 4.5)


def test_of_a_stratum_of_one_seed_there_is_no_interval():
    interval = stratified_interval([normal(5, 1), np.array([[2.0]])], mean)
    assert np.isfinite(interval.value)
    assert np.isnan(interval[1:]).all()


def test_of_no_strata_there_is_nothing():
    assert np.isnan(stratified_interval([], mean)).all()


def test_an_infinite_score_leaves_a_median_finite_and_reaches_the_interval_if_it_may_be_half():
    assert stratified_interval([np.array([[1.0], [2.0], [3.0], [np.inf]])], median) == (2.5, 1.0, np.inf)


def test_strata_are_the_datasets_of_the_same_seeds():
    nan = np.nan
    scores = np.array([[1.0, nan, 2.0, nan], [3.0, 4.0, 5.0, nan], [nan, 6.0, nan, nan]])
    found = {tuple(map(tuple, stratum)) for stratum in strata(scores)}
    assert found == {((1.0, 2.0), (3.0, 5.0)), ((4.0,), (6.0,))}


def test_of_nothing_there_are_no_strata():
    assert strata(np.zeros((0, 1))) == []


def test_a_win_counts_one_a_tie_half_and_what_is_not_known_nothing():
    own, other = np.array([1.0, 2.0, 3.0, np.inf, np.inf, np.nan]), np.array([2.0, 2.0, 2.0, np.inf, 1.0, 1.0])
    np.testing.assert_array_equal(wins(own, other), [1.0, 0.5, 0.0, 0.5, 0.0, np.nan])


def test_the_probability_of_improvement_is_that_of_the_distributions():
    """Of independent N(0, 1) and N(1, 1) it is Phi(1 / sqrt 2)."""
    first, second = normal(40_000, seed=1), normal(40_000, seed=2) + 1
    assert wins(first, second).mean() == pytest.approx(stats.norm.cdf(1 / np.sqrt(2)), abs=0.007)


@pytest.mark.usefixtures("fewer_resamples")
def test_the_interval_of_an_improvement_holds_its_probability_about_as_often_as_it_says():
    truth = stats.norm.cdf(1 / np.sqrt(2))

    def draw(rng, n):
        return [wins(rng.standard_normal((n, 1)), rng.standard_normal((n, 1)) + 1)]

    assert 0.93 <= coverage(mean, truth, draw) <= 0.97


def test_pairs_that_share_their_noise_show_an_improvement_that_others_hide():
    shared = 10 * normal(500)
    assert wins(shared, shared + 0.1).mean() == 1.0


def test_a_performance_profile_is_the_distribution_function():
    scores = normal(200)
    thresholds = np.array([-1.0, 0.0, scores[3], 9.0])
    found = performance_profile(scores, thresholds)
    np.testing.assert_allclose(found, stats.ecdf(scores).cdf.evaluate(thresholds))


def test_a_failed_run_is_below_no_threshold():
    found = performance_profile(np.array([0.5, np.inf]), np.array([0.4, 0.5, 1e9]))
    np.testing.assert_array_equal(found, [0.0, 0.5, 0.5])


def test_a_profile_of_nothing_is_nothing():
    assert np.isnan(performance_profile(np.zeros(0), np.ones(2))).all()


def test_a_median_has_an_interval_of_its_own():
    values = np.array([1.0, 2.0, 9.0, 3.0, 1e9])
    found = median_interval(values)
    assert found.value == 3.0
    assert found.low in values
    assert found.high in values
