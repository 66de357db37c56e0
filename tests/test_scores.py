"""Scores, against numbers worked out by hand and against Monte Carlo."""

import math

import pytest
import torch
from support import dataset

from irmbench.interface import Truth
from irmbench.moments import Examples, compress
from irmbench.runs import scores
from irmbench.runs.scores import invariance_residual, score, score_coefficients, unscramble, zero_one_risk

MASK = torch.tensor([True, True, False])


def vector(*values):
    return torch.tensor(values, dtype=torch.float64)


def plain(*coefficients, mask=MASK):
    return Truth(vector(*coefficients), mask, torch.eye(len(coefficients), dtype=torch.float64))


def rotation(d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]


def test_scores_are_as_worked_out_by_hand():
    found = score_coefficients(vector(1.0, 3.0, 2.0), plain(3.0, 4.0, 0.0))
    assert found.error_causal == pytest.approx((2**2 + 1**2) / 2)
    assert found.error_noncausal == pytest.approx(2**2)
    assert found.distance == pytest.approx(math.sqrt(4 + 1 + 4) / 5)
    assert found.cosine == pytest.approx((1 * 3 + 3 * 4) / (math.sqrt(14) * 5))


def test_the_truth_has_no_error():
    truth = plain(3.0, 4.0, 0.0)
    found = score_coefficients(truth.coefficients, truth)
    assert (found.error_causal, found.error_noncausal, found.distance) == (0.0, 0.0, 0.0)
    assert found.cosine == pytest.approx(1.0)


def test_zero_has_distance_one_and_cosine_zero():
    found = score_coefficients(torch.zeros(3, dtype=torch.float64), plain(3.0, 4.0, 0.0))
    assert (found.distance, found.cosine) == (1.0, 0.0)
    assert found.error_causal == pytest.approx((9 + 16) / 2)


def test_the_opposite_has_cosine_minus_one():
    truth = plain(3.0, 4.0, 0.0)
    assert score_coefficients(-2 * truth.coefficients, truth).cosine == pytest.approx(-1.0)


def test_the_mask_and_not_the_value_says_what_is_causal():
    found = score_coefficients(vector(1.0, 1.0, 1.0), plain(3.0, 0.0, 0.0))
    assert found.error_causal == pytest.approx((4 + 1) / 2)
    assert found.error_noncausal == pytest.approx(1.0)


def test_without_other_coordinates_their_error_is_zero():
    truth = plain(3.0, 4.0, mask=torch.tensor([True, True]))
    assert score_coefficients(vector(0.0, 0.0), truth).error_noncausal == 0.0


@pytest.mark.parametrize("factor", [1e-6, 0.5, 1.0, 300.0])
def test_scale_free_scores_do_not_see_a_positive_factor(factor):
    truth, estimate = plain(3.0, 4.0, 0.0), vector(1.0, 3.0, 2.0)
    expected = score_coefficients(estimate, truth, scale_free=True)
    found = score_coefficients(factor * estimate, truth, scale_free=True)
    assert found.distance == pytest.approx(expected.distance)
    assert found.error_causal == pytest.approx(expected.error_causal)
    assert found.cosine == pytest.approx(expected.cosine)


def test_the_scale_free_distance_is_the_sine_of_the_angle():
    found = score_coefficients(vector(1.0, 3.0, 2.0), plain(3.0, 4.0, 0.0), scale_free=True)
    assert found.distance == pytest.approx(math.sqrt(1 - found.cosine**2))


def test_no_positive_factor_mends_the_wrong_sign():
    truth = plain(3.0, 4.0, 0.0)
    found = score_coefficients(-truth.coefficients, truth, scale_free=True)
    assert found.distance == 1.0
    assert found.cosine == pytest.approx(-1.0)


def test_scale_matters_otherwise():
    truth = plain(3.0, 4.0, 0.0)
    assert score_coefficients(2 * truth.coefficients, truth).distance == pytest.approx(1.0)


def test_unscrambling_is_multiplication_by_the_matrix():
    S, observed = rotation(3), vector(0.5, -1.0, 2.0)
    truth = Truth(vector(1.0, 1.0, 0.0), MASK, S)
    torch.testing.assert_close(unscramble(observed, truth), S @ observed)


def test_unscrambling_undoes_the_observation_of_the_truth():
    truth = Truth(vector(3.0, 4.0, 0.0), MASK, rotation(3))
    for parameters in (3, 4):
        torch.testing.assert_close(
            unscramble(truth.observed(truth.coefficients, parameters), truth), truth.coefficients
        )


def test_unscrambling_takes_leading_dimensions_and_leaves_out_the_intercept():
    truth = Truth(vector(3.0, 4.0, 0.0), MASK, rotation(3))
    observed = torch.arange(16, dtype=torch.float64).reshape(2, 2, 4)
    found = unscramble(observed, truth)
    assert found.shape == (2, 2, 3)
    torch.testing.assert_close(found[1, 0], truth.unscramble @ observed[1, 0, :3])


@pytest.mark.parametrize("name", ["irm_chain", "unit_test_1"])
def test_scrambled_inputs_predict_as_unscrambled_coefficients_do(name):
    clear, scrambled = dataset(name, n=20), dataset(name, n=20, scrambled=True)
    truth, observed = scrambled.truth(1), vector(*range(1, 11))
    mixed, pure = scrambled.sample(20, 1).inputs, clear.sample(20, 1).inputs
    torch.testing.assert_close(mixed @ observed, pure @ unscramble(observed, truth))


SQUARED = [
    ("irm_appendix_d", {}),
    ("irm_chain", {"hidden": True, "y_noise": "environment", "scrambled": True}),
    ("unit_test_1", {"scrambled": True}),
]


@pytest.mark.parametrize(("name", "params"), SQUARED)
def test_the_worst_test_risk_agrees_with_monte_carlo(name, params):
    data, n = dataset(name, **params), 200_000
    truth, examples = data.truth(0), data.test_sample(n, 0)
    d = examples.inputs.shape[-1]
    coefficients = torch.linspace(-0.5, 1.0, examples.dimension, dtype=torch.float64)
    residual = examples.inputs @ coefficients[:d] + (coefficients[d] if data.intercept else 0.0) - examples.targets
    square = residual**2
    worst = square.mean(-1).argmax()
    error = float(square[worst].std() / math.sqrt(n))
    found = scores.Tester(data, 0, truth)(coefficients)["worst_test_risk"]
    assert found == pytest.approx(float(square.mean(-1)[worst]), abs=5 * error)


@pytest.mark.parametrize("name", ["irm_appendix_d", "irm_chain", "unit_test_1", "unit_test_2", "unit_test_3"])
def test_the_oracles_gap_is_zero(name):
    data = dataset(name, n=100, scrambled=True)
    truth = data.truth(3)
    parameters = data.sample(2, 3).dimension
    assert scores.Tester(data, 3, truth)(truth.observed(truth.coefficients, parameters))["oracle_gap"] == 0.0


def test_the_gap_is_what_the_worst_risk_has_over_the_oracles():
    data = dataset("irm_appendix_d")
    truth = data.truth(0)
    tester = scores.Tester(data, 0, truth)
    oracle, other = tester(truth.coefficients), tester(vector(0.5, 0.5, 0.5, 0.5))
    assert other["oracle_gap"] == pytest.approx(other["worst_test_risk"] - oracle["worst_test_risk"])


def test_the_test_risk_of_the_truth_is_the_noise_of_the_worst_environment():
    data = dataset("irm_appendix_d")
    truth = data.truth(0)
    noise = max(2 * env.e**2 for env in data.testing(0))
    assert scores.Tester(data, 0, truth)(truth.coefficients)["worst_test_risk"] == pytest.approx(noise)


def test_classification_errors_are_counted():
    inputs = vector(-2.0, -1.0, 1.0, 2.0).reshape(1, 4, 1)
    examples = Examples(inputs, torch.tensor([[0.0, 1.0, 1.0, 1.0]], dtype=torch.float64), True, True)
    assert zero_one_risk(examples, vector(1.0, 0.0)).tolist() == [0.25]
    assert zero_one_risk(examples, vector(1.0, 1.5)).tolist() == [0.0]
    assert zero_one_risk(examples, vector(-1.0, 0.0)).tolist() == [0.75]


def test_a_test_risk_under_logistic_loss_is_a_frequency_of_errors():
    data = dataset("unit_test_2", n=1000)
    truth = data.truth(0)
    right = truth.observed(truth.coefficients, 11)
    tester = scores.Tester(data, 0, truth)
    assert tester(right)["worst_test_risk"] == 0.0
    assert tester(-right)["worst_test_risk"] == 1.0


def test_the_invariance_residual_is_as_worked_out_by_hand():
    examples = Examples(vector(1.0, 2.0, 3.0, -1.0).reshape(2, 2, 1), vector(1.0, 1.0, 2.0, 0.0).reshape(2, 2))
    # f = x / 2: 2 E[f (f - y)] = (-1/4 + 0) and (-3/4 + 1/4); mean squared targets are 1 and 2.
    for data in (examples, compress(examples)):
        assert invariance_residual(data, vector(0.5)) == pytest.approx(0.5 / 1.5)


def test_the_residual_is_zero_where_every_environment_is_satisfied():
    data = dataset("irm_chain")
    assert invariance_residual(data.population(0), data.truth(0).coefficients) == pytest.approx(0.0, abs=1e-12)


def test_the_residual_has_no_unit():
    data = dataset("irm_appendix_d", n=50).sample(50, 0)
    doubled = Examples(data.inputs, 2 * data.targets)
    coefficients = vector(1.0, 0.5, 0.2, 0.0)
    assert invariance_residual(doubled, 2 * coefficients) == pytest.approx(invariance_residual(data, coefficients))


def test_every_score_is_a_finite_number():
    data = dataset("irm_chain", n=50, scrambled=True)
    truth = data.truth(0)
    told = [compress(data.sample(50, 0))], [truth], [scores.Tester(data, 0, truth)], [False]
    found = {name: value for name, (value,) in score(vector(*[0.5] * 10)[None], *told).items()}
    assert set(found) == {
        *("error_causal", "error_noncausal", "distance", "cosine"),
        *("worst_test_risk", "oracle_gap", "invariance_residual"),
    }
    assert all(isinstance(value, float) and math.isfinite(value) for value in found.values())
