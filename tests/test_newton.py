"""The converged solver against optima known in closed form or computed independently at the population level."""

import dataclasses
import itertools

import pytest
import torch
from support import batch, dataset, method

from irmbench.engine import newton
from irmbench.engine.batch import Batch
from irmbench.engine.newton import newton_step
from irmbench.engine.solve import resolve_solver, solve
from irmbench.moments import Moments, compress, stack

# Appendix D with equal weights: (x coefficient, z coefficient) by value of the one float, exact or to printed digits.
APPENDIX_D = {
    "irmv1": {1.0: (0.8507, 0.2523), 1e2: (0.9840, 0.0778), 1e4: (0.9990, 0.0182), 1e5: (0.9998, 0.0085)},
    "vrex": {1.0: (0.5538, 0.4462), 10.0: (0.3602, 0.6398), 1e2: (0.1934, 0.8066), 1e4: (0.0456, 0.9544)},
    "iga": {1.0: (0.5556, 0.6149), 1e3: (0.0015, 0.9990), 1e5: (0.0, 1.0)},
    "mm_rex": {0.0: (0.5, 0.5)},
    "group_dro": {0.01: (0.5, 0.5)},
}
# The chain with its three environments, by the scale of the target's noise.
CHAIN = {
    ("unit", "irmv1"): {1.0: (0.9506, 0.0492), 1e2: (0.9991, 0.0009), 1e4: (1.0, 0.0)},
    ("unit", "vrex"): {1.0: (0.9359, 0.0641), 1e2: (0.9812, 0.0188), 1e4: (0.9957, 0.0043)},
    ("unit", "iga"): {0.01: (0.9358, 0.0529), 1.0: (0.9983, 0.0014), 1e3: (1.0, 0.0)},
    ("environment", "irmv1"): {1.0: (0.5486, 0.5566), 1e2: (0.9091, 0.1509), 1e4: (0.9819, 0.0344)},
    ("environment", "vrex"): {1.0: (0.0641, 0.9359), 1e2: (0.0188, 0.9812), 1e4: (0.0043, 0.9957)},
    ("environment", "iga"): {0.01: (0.0642, 0.9471), 1.0: (0.0017, 0.9986), 1e3: (0.0, 1.0)},
}
FIELD = {"mm_rex": "beta", "group_dro": "eta"}


def converged(data, name, **params):
    return solve(batch(data, method(name, **params), "population"))


def check(data, name, optima):
    """Compare the converged population coefficients of several hyper-parameters, in one batch, to four digits."""
    methods = [method(name, **{FIELD.get(name, "penalty_weight"): value}) for value in optima]
    got = solve(batch(data, methods, "population")).coefficients[0]
    expected = torch.tensor([[x] * data.d + [z] * data.d for x, z in optima.values()]).double()
    torch.testing.assert_close(got, expected, rtol=0, atol=6e-5)


@pytest.mark.parametrize("name", APPENDIX_D)
def test_population_optima_of_appendix_d(name):
    check(dataset("irm_appendix_d"), name, APPENDIX_D[name])


def test_population_least_squares_of_appendix_d():
    coefficients = converged(dataset("irm_appendix_d"), "erm", weighting="balanced").coefficients[0, 0]
    expected = torch.tensor([0.66445, 0.66445, 0.33555, 0.33555]).double()
    torch.testing.assert_close(coefficients, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("noise", "name"), CHAIN)
def test_population_optima_of_the_chain(noise, name):
    check(dataset("irm_chain", y_noise=noise), name, CHAIN[noise, name])


@pytest.mark.parametrize(("name", "params"), [("irmv1", {"penalty_weight": 1e5}), ("vrex", {}), ("iga", {})])
def test_gradient_vanishes_at_the_optimum(name, params):
    fit = converged(dataset("irm_appendix_d"), name, **params)
    assert fit.gradient_norm.item() < 1e-8 * (1 + params.get("penalty_weight", 1e4))


def test_a_matrix_dummy_is_a_weaker_scale_dummy():
    # (1/P) ||Phi'g||^2 with Phi 1 = phi is least at Phi = phi 1'/P, by Cauchy and Schwarz, where it is (phi'g)^2 / P^2.
    data, weight = dataset("irm_appendix_d"), 100.0
    matrix = converged(data, "irmv1", variant="vector_w", penalty_weight=weight * 16).coefficients
    scale = converged(data, "irmv1", variant="scale_sq", penalty_weight=weight).coefficients
    torch.testing.assert_close(matrix, scale, rtol=0, atol=1e-7)


def test_every_estimator_of_the_penalty_is_the_same_on_a_population():
    data = dataset("irm_appendix_d")
    exact = converged(data, "irmv1", penalty_weight=100.0).coefficients
    for variant in ("split", "ustat"):
        got = converged(data, "irmv1", variant=variant, penalty_weight=100.0).coefficients
        torch.testing.assert_close(got, exact, rtol=0, atol=1e-12)


def test_mm_rex_with_beta_of_minus_one_over_e_is_erm():
    data = dataset("irm_appendix_d")
    erm = converged(data, "erm", weighting="balanced").coefficients
    torch.testing.assert_close(converged(data, "mm_rex", beta=-0.5).coefficients, erm, rtol=0, atol=1e-9)


def two_bit(alpha, betas):
    """Return the moments of Y = +-1, X1 = Y Rad(alpha), X2 = Y Rad(beta_e) (Kamath et al. 2021, arXiv 2101.01134)."""
    second = []
    for beta in betas:
        q = (1 - 2 * alpha) * (1 - 2 * beta)
        v = [[1, q, 0, 1 - 2 * alpha], [q, 1, 0, 1 - 2 * beta], [0, 0, 1, 0], [1 - 2 * alpha, 1 - 2 * beta, 0, 1]]
        second.append(torch.tensor(v, dtype=torch.float64))
    return Moments(torch.stack(second), torch.ones(len(betas), dtype=torch.float64), population=True)


def test_irmv1_prefers_a_spurious_predictor_on_two_bits():
    # Closed form: f(1, 1) = .95572, f(1, -1) = .29428 has zero penalty and less risk than the invariant (.8, .8).
    moments = two_bit(0.1, (0.2, 0.25))
    base = batch(dataset("irm_appendix_d"), method("irmv1", penalty_weight=1e8), "population")
    fit = solve(dataclasses.replace(base, data=stack([moments])))
    w1, w2 = fit.coefficients[0, 0].tolist()
    assert (w1 + w2, w1 - w2) == pytest.approx((0.95572, 0.29428), abs=1e-4)


def valleys(**params):
    """Return a batch whose penalty has several minima, in narrow valleys."""
    data = dataset("irm_chain", y_noise="environment", **params)
    return batch(data, method("irmv1"), "converged", seeds=[8, 17])


@pytest.fixture(scope="module")
def lowest():
    return solve(valleys())


def test_rotated_samples_lead_to_the_same_optimum(lowest):
    rotated = valleys(scrambled=True)
    turns = torch.stack([truth.unscramble for truth in rotated.truths])
    back = (turns @ solve(rotated).coefficients[:, 0, :, None])[..., 0]
    torch.testing.assert_close(back, lowest.coefficients[:, 0], rtol=0, atol=1e-5)


def test_no_start_from_the_truth_leads_lower(lowest, monkeypatch):
    assert (lowest.starts_at_best >= 1).all()
    whole = valleys()
    truth = torch.stack([t.coefficients for t in whole.truths])
    monkeypatch.setattr(
        newton, "starts", lambda b: truth[:, None, None].expand(-1, 1, 1 + newton.COLD, -1).contiguous()
    )
    monkeypatch.setattr(newton, "STAGES", newton.STAGES[-1:])
    monkeypatch.setattr(newton, "SMOOTHING", newton.SMOOTHING[-1:])
    assert (lowest.objective <= solve(whole).objective * (1 + 1e-8)).all()


def test_newton_step_descends_at_a_saddle():
    hessian = torch.diag(torch.tensor([2.0, -4.0], dtype=torch.float64))
    gradient = torch.tensor([2.0, 4.0], dtype=torch.float64)
    torch.testing.assert_close(newton_step(gradient, hessian), torch.tensor([1.0, 1.0]).double())


def test_newton_step_survives_a_hessian_that_is_not_finite():
    hessian = torch.full((2, 2), torch.nan, dtype=torch.float64)
    assert newton_step(torch.ones(2, dtype=torch.float64), hessian).shape == (2,)


def test_newton_solves_a_quadratic_to_rounding():
    data = dataset("irm_chain")
    fit = converged(data, "vrex", penalty_weight=0.0)
    moments = data.population(0)
    exact = torch.linalg.solve(moments.gram.mean(0), moments.cross.mean(0))
    torch.testing.assert_close(fit.coefficients[0, 0], exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["erm", "vrex", "iga", "coral", "irmv1", "mm_rex"])
def test_where_many_coefficients_fit_exactly_the_smallest_of_them_is_found(name):
    data = dataset("ilc_patchwork")
    x, y = data.sample(1, 0).inputs[:, 0], data.sample(1, 0).targets[:, 0]
    smallest = torch.linalg.pinv(x) @ y
    torch.testing.assert_close(converged(data, name).coefficients[0, 0], smallest, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "seed"), [("mean_calibration", 0), ("mm_rex", 1)])
def test_of_several_minima_the_same_is_found_in_every_order_of_the_environments(name, seed):
    data, m = dataset("unit_test_1", causes=2, effects=2, n=60), method(name)
    sample, orders = data.sample(60, seed), list(itertools.permutations(range(3)))
    rows = [compress(sample.with_tensors(*(t[list(order)] for t in sample.tensors))) for order in orders]
    same = Batch([m], stack(rows), [data.truth(seed)] * 6, [resolve_solver(m, "converged")], [seed] * 6)
    objective = solve(same).objective[:, 0]
    torch.testing.assert_close(objective, objective[:1].expand(6), rtol=1e-6, atol=0)
