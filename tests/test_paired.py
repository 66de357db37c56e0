"""Tests of paired differences, against SciPy, definitions and simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats

from irmbench.analysis.paired import advantages, holm, signed_rank


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("n", [2, 5, 20, 60])
def test_the_test_is_scipys(n):
    differences = normal(n) + 0.3
    assert signed_rank(differences).p == pytest.approx(stats.wilcoxon(differences).pvalue, rel=1e-12)


def test_the_p_value_of_few_differences_is_exact():
    """Of n differences of one sign, 2 of 2^n assignments of signs are as extreme."""
    assert signed_rank(np.array([1.0, 2.0, 3.0, 4.0, 5.0])).p == pytest.approx(2 / 2**5)


def test_the_p_value_is_that_of_all_assignments_of_signs():
    differences = np.array([0.5, -1.0, 2.0, 3.0, -4.0, 6.0, 7.0])
    sums = [np.dot(signs, range(1, 8)) for signs in itertools.product([-1, 1], repeat=7)]
    observed = np.sign(differences) @ np.arange(1, 8)
    assert signed_rank(differences).p == pytest.approx(np.mean(np.abs(sums) >= abs(observed)))


def test_the_test_keeps_its_size():
    p = [signed_rank(row).p for row in normal(400, 20)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_the_effect_is_the_difference_of_the_favourable_and_unfavourable_rank_sums():
    """Kerby's (2014) simple difference: ranks 1 + 3 + 4 for, 2 against, of 10."""
    assert signed_rank(np.array([0.1, -0.2, 0.3, 0.4])).effect == pytest.approx((8 - 2) / 10)


def test_the_effect_is_signed_and_reaches_one():
    assert signed_rank(np.array([1.0, 2.0, 3.0])).effect == 1.0
    assert signed_rank(np.array([-1.0, -2.0, -3.0])).effect == -1.0


def test_zeros_are_left_out():
    assert signed_rank(np.array([0.0, 1.0, 2.0, -3.0, 0.0])) == signed_rank(np.array([1.0, 2.0, -3.0]))


def test_differences_that_are_all_zero_show_nothing():
    assert signed_rank(np.zeros(4)) == (1.0, 0.0)


def test_infinite_differences_rank_highest():
    found = signed_rank(np.array([1.0, 2.0, 3.0, -np.inf]))
    assert found == signed_rank(np.array([1.0, 2.0, 3.0, -9.0]))


@pytest.mark.parametrize("n", [0, 1])
def test_of_fewer_than_two_differences_there_is_no_test(n):
    assert np.isnan(signed_rank(np.ones(n))).all()


def test_an_advantage_is_a_seeds_median_over_datasets():
    nan, inf = np.nan, np.inf
    own = np.array([[1.0, 2.0, 3.0], [1.0, nan, inf], [nan, nan, nan], [inf, 1.0, 1.0], [inf, 0.0, 9.0]])
    other = np.array([[2.0, 2.0, 9.0], [4.0, 5.0, inf], [1.0, 1.0, 1.0], [1.0, inf, 3.0], [1.0, nan, 9.0]])
    np.testing.assert_array_equal(advantages(own, other), [1.0, 1.5, 2.0, -inf])


def test_a_failure_here_and_one_there_tie():
    assert advantages(np.array([[np.inf, 1.0]]), np.array([[1.0, np.inf]])) == [0.0]


def by_definition(p):
    """Return Holm's adjusted p-values: p_(i) becomes max over j <= i of min(1, (m - j + 1) p_(j))."""
    ordered = sorted(p)
    steps = [max(min(1.0, (len(p) - j) * ordered[j]) for j in range(i + 1)) for i in range(len(p))]
    return [steps[ordered.index(value)] for value in p]


def test_holms_adjustment_is_its_definition():
    for p in np.random.default_rng(3).uniform(0, 0.3, (50, 6)):
        np.testing.assert_allclose(holm(p), by_definition(p.tolist()))


def test_holms_published_rule_rejects_the_same():
    """Step down while p_(i) <= level / (m - i + 1)."""
    p = np.array([0.011, 0.02, 0.022, 0.3])
    np.testing.assert_array_equal(holm(p) < 0.05, [True, False, False, False])


def test_what_is_no_hypothesis_stays_and_does_not_count():
    np.testing.assert_allclose(holm(np.array([0.02, np.nan, 0.03])), [0.04, np.nan, 0.04])


def test_no_hypotheses_have_no_p_values():
    assert np.isnan(holm(np.array([np.nan, np.nan]))).all()


def test_of_more_hypotheses_the_known_count_as_the_smallest():
    np.testing.assert_allclose(holm(np.array([0.01, 0.002]), 6), [0.05, 0.012])


def test_holm_keeps_the_family_wise_error():
    """Ten hypotheses, all true; their tests depend on one another, as those against one reference do."""
    rng = np.random.default_rng(0)
    z = (rng.standard_normal((4_000, 10)) + rng.standard_normal((4_000, 1))) / np.sqrt(2)
    p = 2 * stats.norm.sf(np.abs(z))
    errors = np.array([(holm(row) < 0.05).any() for row in p])
    assert 0.02 <= errors.mean() <= 0.058
    assert (p < 0.05).any(1).mean() > 0.2  # without adjustment


def test_of_equal_methods_the_best_by_chance_is_rarely_significantly_so():
    """It is, too often, if its selection is not accounted for: hence all pairs as hypotheses."""
    of_all_pairs, of_rivals = [], []
    for scores in normal(150, 20, 12):
        best = np.median(scores, axis=0).argmin()
        p = np.array([signed_rank(column).p for column in np.delete(scores, best, 1).T - scores[:, best]])
        of_all_pairs.append((holm(p, 12 * 11 // 2) < 0.05).any())
        of_rivals.append((holm(p) < 0.05).any())
    assert np.mean(of_all_pairs) <= 0.05
    assert np.mean(of_rivals) > 0.07
