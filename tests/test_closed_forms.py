"""Closed forms against other libraries, against their own objectives, and against published paths."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from support import batch, dataset, method
from torch.testing import assert_close

from irmbench.engine.risks import environments
from irmbench.engine.solve import closed_form, solve
from irmbench.interface import CLOSED_FORM, Solver
from irmbench.moments import Moments, stack

D = 3
SIZES = (40, 70, 120, 55, 90)  # of five environments: more than the three inputs that their means must span
NEWTON = Solver(optimizer="newton")


def example_sets(sizes=SIZES, seed=0):
    """Return x [n_e, D] and y [n_e] of environments with a hidden confounder, whose means, scales and sizes differ."""
    rng = np.random.default_rng(seed)
    sets = []
    for n in sizes:
        hidden = rng.standard_normal(n)
        x = rng.standard_normal(D) + rng.uniform(0.5, 2) * (rng.standard_normal((n, D)) @ rng.standard_normal((D, D)))
        x += hidden[:, None]
        sets.append((x, x @ np.arange(1.0, D + 1) + 2 * hidden + rng.standard_normal(n) + 3))
    return sets


def moments_of(sets, intercept=False):
    rows = [np.column_stack([x, np.ones(len(y)), y]) for x, y in sets]
    second = torch.from_numpy(np.stack([v.T @ v / len(v) for v in rows]))
    return Moments(second, torch.tensor([len(v) for v in rows], dtype=torch.float64), intercept)


def joined(sets):
    """Return X [N, D], y [N] and the environments' indicators [N, E]."""
    which = np.repeat(np.arange(len(sets)), [len(y) for _, y in sets])
    return np.concatenate([x for x, _ in sets]), np.concatenate([y for _, y in sets]), np.eye(len(sets))[which]


def population(*laws):
    """Return exact moments from every environment's mean [d + 1] and covariance [d + 1, d + 1] of (x, y)."""
    second = []
    for mean, covariance in laws:
        mean, d = np.asarray(mean, dtype=float), len(mean) - 1
        about_zero = np.asarray(covariance) + np.outer(mean, mean)
        v = np.insert(np.insert(about_zero, d, mean, 0), d, np.insert(mean, d, 1.0), 1)
        second.append(v)
    count = torch.full((len(laws),), 1000.0, dtype=torch.float64)
    return Moments(torch.from_numpy(np.stack(second)), count, population=True, gaussian=True)


def fit(name, moments, **params):
    return method(name, **params).fit(moments)


def close(got, expected, atol=1e-9):
    assert_close(got, torch.as_tensor(np.asarray(expected), dtype=torch.float64), rtol=0, atol=atol)


@pytest.fixture(scope="module")
def sets():
    return example_sets()


@pytest.fixture(scope="module")
def linear():
    return pytest.importorskip("sklearn.linear_model")


@pytest.fixture(scope="module")
def k_class():
    return pytest.importorskip("ivmodels").KClass


@pytest.fixture(scope="module")
def anchor():
    return pytest.importorskip("ivmodels.models.anchor_regression").AnchorRegression


class TestOtherLibraries:
    """Examples of five unequal environments, fitted by scikit-learn and by ivmodels."""

    @pytest.mark.parametrize("intercept", [False, True])
    def test_ridge(self, sets, linear, intercept):
        X, y, _ = joined(sets)
        other = linear.Ridge(alpha=0.3 * len(y), fit_intercept=intercept).fit(X, y)
        got = fit("ridge", moments_of(sets, intercept), penalty_weight=0.3)
        close(got, [*other.coef_, *([other.intercept_] if intercept else [])])

    @pytest.mark.parametrize("intercept", [False, True])
    def test_mean_of_least_squares(self, sets, linear, intercept):
        each = [linear.LinearRegression(fit_intercept=intercept).fit(x, y) for x, y in sets]
        expected = np.mean([[*e.coef_, *([e.intercept_] if intercept else [])] for e in each], 0)
        close(fit("per_env_ols_mean", moments_of(sets, intercept)), expected)

    @pytest.mark.parametrize("gamma", [0.5, 1.0, 7.0, 1e4])
    def test_anchor_regression(self, sets, anchor, gamma):
        X, y, Z = joined(sets)
        other = anchor(gamma=gamma).fit(X, y, Z=Z[:, 1:])
        close(fit("anchor_regression", moments_of(sets), gamma=gamma), other.coef_, 1e-7)
        got = fit("anchor_regression", moments_of(sets, True), gamma=gamma)
        close(got, [*other.coef_, other.intercept_], 1e-7)

    def test_anchor_regression_with_no_weight_at_all(self, sets, linear):
        X, y, Z = joined(sets)
        within = linear.LinearRegression(fit_intercept=False).fit(np.column_stack([X, Z]), y).coef_[:D]
        got = fit("anchor_regression", moments_of(sets, True), gamma=0.0)
        close(got, [*within, y.mean() - X.mean(0) @ within])

    def test_anchor_regression_without_centring(self, sets, anchor):
        X, y, Z = joined(sets)
        other = anchor(gamma=7.0, fit_intercept=False).fit(X, y, Z=Z)
        close(fit("anchor_regression", moments_of(sets), gamma=7.0, centring="none"), other.coef_)

    def test_anchor_regression_with_only_the_anchors_centred(self, sets, anchor):
        X, y, Z = joined(sets)
        other = anchor(gamma=7.0, fit_intercept=False).fit(X, y, Z=Z[:, 1:] - Z[:, 1:].mean(0))
        close(fit("anchor_regression", moments_of(sets), gamma=7.0, centring="anchors"), other.coef_)

    def test_anchor_regression_is_a_k_class_estimator(self, sets, k_class):
        X, y, Z = joined(sets)
        other = k_class(kappa=(7.0 - 1) / 7.0).fit(X, y, Z=Z[:, 1:])
        close(fit("anchor_regression", moments_of(sets), gamma=7.0), other.coef_)

    @pytest.mark.parametrize(
        ("params", "kappa"),
        [
            ({}, "2sls"),
            ({"variant": "liml"}, "liml"),
            ({"variant": "fuller"}, "fuller(1)"),
            ({"variant": "fuller", "alpha": 4.0}, "fuller(4)"),
        ],
    )
    @pytest.mark.parametrize("count", [D + 1, D + 2])
    def test_instrumental_variables(self, k_class, params, kappa, count):
        sets = example_sets(SIZES[:count])
        X, y, Z = joined(sets)
        other = k_class(kappa=kappa).fit(X, y, Z=Z[:, 1:])
        close(fit("iv_2sls", moments_of(sets, True), **params), [*other.coef_, other.intercept_], 1e-7)
        close(fit("iv_2sls", moments_of(sets), **params), other.coef_, 1e-7)


def anchor_loss(sets, phi, gamma, centring):
    """Return ||(I - P) r||^2 + gamma ||P r||^2, over N, with the projection as a matrix."""
    X, y, Z = joined(sets)
    P = Z @ np.linalg.pinv(Z)
    mean = np.full((len(y), len(y)), 1 / len(y))
    if centring != "none":
        P = P - mean
    residual = y - X @ phi
    if centring == "all":
        residual = residual - residual.mean()
    return (((np.eye(len(y)) - P) @ residual) ** 2).sum() / len(y) + gamma * ((P @ residual) ** 2).sum() / len(y)


def test_fuller_s_correction_vanishes_on_a_population():
    laws = [([a, b], np.eye(2) * scale) for a, b, scale in ((0, 0, 1.0), (1, 1, 2.0), (2, 3, 1.0))]
    moments = population(*laws)
    liml, fuller = (fit("iv_2sls", moments, variant=variant) for variant in ("liml", "fuller"))
    close(fuller, liml)
    assert (liml - fit("iv_2sls", moments)).abs() > 1e-3


@pytest.mark.parametrize("centring", ["all", "anchors", "none"])
def test_the_anchor_objective_is_that_of_projected_residuals(sets, centring):
    m, phi = method("anchor_regression", gamma=7.0, centring=centring), torch.tensor([0.3, -1.0, 2.0]).double()
    got = m.objective(environments(moments_of(sets), m, phi))
    assert got.item() == pytest.approx(anchor_loss(sets, phi.numpy(), 7.0, centring), rel=1e-10)


def test_the_centred_drig_objective_is_that_of_examples_less_the_reference_s_means(sets):
    m, phi = method("drig", gamma=2.0, reference=1, centre=True), torch.tensor([0.3, -1.0, 2.0]).double()
    x0, y0 = sets[1]
    risks = np.array([(((y - y0.mean()) - (x - x0.mean(0)) @ phi.numpy()) ** 2).mean() for x, y in sets])
    weights = np.array(SIZES) / sum(SIZES)
    got = m.objective(environments(moments_of(sets), m, phi))
    assert got.item() == pytest.approx(risks[1] + 2 * weights @ (risks - risks[1]), rel=1e-10)


WITH_OBJECTIVE = [
    ("ridge", {"penalty_weight": 0.3}),
    *[("anchor_regression", {"gamma": 7.0, "centring": c}) for c in ("all", "anchors", "none")],
    ("anchor_regression", {"gamma": 0.3}),
    *[
        ("drig", {"gamma": 0.4, "reference": 2, "weighting": w, "centre": c})
        for w in ("pooled", "balanced")
        for c in (False, True)
    ],
]


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(("name", "params"), WITH_OBJECTIVE, ids=str)
def test_the_closed_form_is_the_minimum_of_the_objective(sets, name, params, intercept):
    m, moments = method(name, **params), moments_of(sets, intercept)

    def objective(phi):
        return m.objective(environments(moments, m, phi))

    at = m.fit(moments)
    assert torch.func.grad(objective)(at).abs().max() < 1e-8
    assert torch.linalg.eigvalsh(torch.func.hessian(objective)(at))[0] > 1e-3


@pytest.mark.parametrize("name", ["ridge", "anchor_regression", "drig"])
def test_gradient_descent_finds_the_closed_form(name):
    data = dataset("irm_appendix_d", d=1, n=200)
    descent = Solver(optimizer="sgd", learning_rate=0.1, steps=300)
    pair = [
        solve(batch(data, method(name, **({} if name == "ridge" else {"gamma": 2.0})), s)) for s in (descent, NEWTON)
    ]
    assert_close(pair[0].coefficients, pair[1].coefficients, rtol=0, atol=1e-6)


class TestAnchorLimits:
    def test_a_weight_of_one_is_least_squares_with_an_intercept(self, sets):
        moments = moments_of(sets, True)
        close(fit("anchor_regression", moments, gamma=1.0), fit("erm", moments))
        close(fit("anchor_regression", moments_of(sets), gamma=1.0), fit("erm", moments)[:-1])

    def test_a_weight_of_one_without_centring_is_least_squares_without_an_intercept(self, sets):
        for centring in ("none", "anchors"):
            got = fit("anchor_regression", moments_of(sets), gamma=1.0, centring=centring)
            close(got, fit("erm", moments_of(sets)))

    def test_the_limit_is_two_stage_least_squares(self, sets):
        m = method("anchor_regression")
        got = dataclasses.replace(m, **m.limit).fit(moments_of(sets, True))
        close(got, fit("iv_2sls", moments_of(sets, True)), 1e-6)

    def test_the_limit_with_few_environments_is_the_best_of_the_two_stage_solutions(self):
        # Of all phi that explain the means of two environments, that of least risk within them; not of least norm.
        sets = example_sets(SIZES[:2])
        (x1, y1), (x2, y2) = sets
        direction = np.linalg.svd((x1.mean(0) - x2.mean(0))[None])[2]
        particular = direction[0] * (y1.mean() - y2.mean()) / (direction[0] @ (x1.mean(0) - x2.mean(0)))
        X, y = (np.concatenate([v - v.mean(0) for v in pair]) for pair in ((x1, x2), (y1, y2)))
        free = np.linalg.lstsq(X @ direction[1:].T, y - X @ particular)[0]
        m = method("anchor_regression")
        got = dataclasses.replace(m, **m.limit).fit(moments_of(sets))
        close(got, particular + direction[1:].T @ free, 1e-5)

    def test_conventions_coincide_where_predictors_have_an_intercept(self, sets):
        moments = moments_of(sets, True)
        fits = [fit("anchor_regression", moments, centring=c) for c in ("all", "anchors", "none")]
        close(fits[1], fits[0])
        close(fits[2], fits[0])


class TestDRIGLimits:
    @pytest.mark.parametrize("intercept", [False, True])
    def test_a_weight_of_zero_is_least_squares_on_the_reference(self, sets, intercept):
        expected = fit("erm", moments_of(sets[3:4], intercept))
        close(fit("drig", moments_of(sets, intercept), gamma=0.0, reference=3), expected)

    @pytest.mark.parametrize("intercept", [False, True])
    @pytest.mark.parametrize("weighting", ["pooled", "balanced"])
    def test_a_weight_of_one_is_least_squares(self, sets, weighting, intercept):
        moments = moments_of(sets, intercept)
        for reference in (0, 3):
            got = fit("drig", moments, gamma=1.0, reference=reference, weighting=weighting)
            close(got, fit("erm", moments, weighting=weighting))

    def test_the_limit_is_the_dantzig_of_the_mean_contrast(self, sets):
        m, moments = method("drig"), moments_of(sets)
        A = sum(s * (a - moments.gram[0]) for s, a in zip(moments.share, moments.gram, strict=True))
        b = sum(s * (c - moments.cross[0]) for s, c in zip(moments.share, moments.cross, strict=True))
        got = dataclasses.replace(m, **m.limit).fit(moments)
        close(got, torch.linalg.solve(A, b), 1e-5)

    def test_with_two_environments_the_limit_is_causal_dantzig(self):
        m, moments = method("drig", gamma=1e9), moments_of(example_sets(SIZES[:2]))
        close(m.fit(moments), fit("causal_dantzig", moments), 1e-5)

    def test_centring_is_that_of_the_reference(self, sets):
        x0, y0 = sets[1]
        moved = moments_of([(x - x0.mean(0), y - y0.mean()) for x, y in sets])
        expected = fit("drig", moved, gamma=2.0, reference=1)
        close(fit("drig", moments_of(sets), gamma=2.0, reference=1, centre=True), expected)
        with_intercept = fit("drig", moments_of(sets, True), gamma=2.0, reference=1, centre=True)
        close(with_intercept, [*expected, y0.mean() - x0.mean(0) @ expected.numpy()])


class TestCausalDantzig:
    def test_of_two_environments_is_one_contrast(self):
        moments = moments_of(example_sets(SIZES[:2]))
        A, b = moments.gram[0] - moments.gram[1], moments.cross[0] - moments.cross[1]
        for variant in ("gmm", "one_vs_rest"):
            close(fit("causal_dantzig", moments, variant=variant), torch.linalg.solve(A, b), 1e-8)

    def test_gmm_is_least_squares_on_all_contrasts(self, sets):
        A = np.stack([x.T @ x / len(y) for x, y in sets])
        b = np.stack([x.T @ y / len(y) for x, y in sets])
        expected = np.linalg.lstsq((A - A.mean(0)).reshape(-1, D), (b - b.mean(0)).reshape(-1))[0]
        close(fit("causal_dantzig", moments_of(sets)), expected)

    def test_gmm_is_the_limit_of_iga(self, sets):
        # A quadratic, so that one Newton step from anywhere minimises it; lambda = 1e9 leaves the risk without a say.
        m, at = method("iga", penalty_weight=1e9), torch.zeros(D, dtype=torch.float64)

        def objective(phi):
            return m.objective(environments(moments_of(sets), m, phi))

        minimum = -torch.linalg.solve(torch.func.hessian(objective)(at), torch.func.grad(objective)(at))
        close(fit("causal_dantzig", moments_of(sets)), minimum, 1e-7)

    def test_one_vs_rest_is_the_mean_of_contrasts_with_the_other_examples(self, sets):
        each = []
        for e, (x, y) in enumerate(sets):
            others = [pair for i, pair in enumerate(sets) if i != e]
            X, Y = (np.concatenate(part) for part in zip(*others, strict=True))
            each.append(np.linalg.solve(x.T @ x / len(y) - X.T @ X / len(Y), x.T @ y / len(y) - X.T @ Y / len(Y)))
        close(fit("causal_dantzig", moments_of(sets), variant="one_vs_rest"), np.mean(each, 0))

    @pytest.mark.parametrize("variant", ["gmm", "one_vs_rest"])
    def test_an_intercept_leads_through_the_pooled_means(self, sets, variant):
        X, y, _ = joined(sets)
        moved = moments_of([(x - X.mean(0), t - y.mean()) for x, t in sets])
        slopes = fit("causal_dantzig", moved, variant=variant)
        expected = [*slopes, y.mean() - X.mean(0) @ slopes.numpy()]
        close(fit("causal_dantzig", moments_of(sets, True), variant=variant), expected)


def drig_toy(identifiable):
    """y = 2 x + eps_y, Cov eps = [[1, .5], [.5, 1]]; shifted by N(mu, S) in the second of two environments."""
    C = np.linalg.inv(np.eye(2) - np.array([[0, 0], [2, 0]]))
    noise = np.array([[1, 0.5], [0.5, 1]])
    mu, S = ([0.5, 0], [[1, 0], [0, 0]]) if identifiable else ([0.5, 0.1], [[1, 0.1], [0.1, 0.05]])
    return population(([0, 0], C @ noise @ C.T), (C @ np.array(mu), C @ (noise + np.array(S)) @ C.T))


def anchor_toy(on_hidden):
    """h ~ N(0, 1), x = h + N(0, 1), y = x + 2 h + N(0, 1); an anchor of -1 or 1 is added to x, or to h."""
    x, h = np.array([1.0, 1, 0]), np.array([1.0, 0, 0])  # in terms of h and the noises of x and y
    mixing = np.stack([x, x + 2 * h + np.array([0.0, 0, 1])])
    shift = mixing[:, 0] if on_hidden else np.array([1.0, 1.0])
    return population((-shift, mixing @ mixing.T), (shift, mixing @ mixing.T))


def dantzig_example():
    """h hidden, x2 = h + s N, y = x2 + h + N, x1 = y + x2 + s N, x3 = x1 + h + s N, with s = 1 and 2."""
    laws = []
    for s in (1, 2):
        h, n1, n2, n3, ny = np.eye(5)
        x2 = h + s * n2
        y = x2 + h + ny
        x1 = y + x2 + s * n1
        mixing = np.stack([x1, x2, x1 + h + s * n3, y])
        laws.append((np.zeros(4), mixing @ mixing.T))
    return population(*laws)


GAMMAS = (0.0, 1.0, 2.0, 5.0, 10.0, 100.0)


class TestPublishedPaths:
    """Exact moments, written as covariance algebra; figures to the digits they are known to."""

    @pytest.mark.parametrize(
        ("identifiable", "name", "params", "path", "limit"),
        [
            (False, "drig", {}, (2.5, 2.3538, 2.2889, 2.2121, 2.1724, 2.1260), 2.12),
            (False, "anchor_regression", {"centring": "none"}, (2.3667, 2.3538, 2.3429, 2.3176, 2.2909, 2.2179), 2.2),
            (True, "drig", {}, (2.5, 2.3077, 2.2222, 2.1212, 2.0690, 2.0079), 2.0),
            (True, "anchor_regression", {"centring": "none"}, (2.3333, 2.3077, 2.2857, 2.2353, 2.1818, 2.0357), 2.0),
        ],
    )
    def test_drig_toy(self, identifiable, name, params, path, limit):
        moments = drig_toy(identifiable)
        for gamma, expected in zip(GAMMAS, path, strict=True):
            close(fit(name, moments, gamma=gamma, **params), [expected], 6e-5)
        m = method(name, **params)
        close(dataclasses.replace(m, **m.limit).fit(moments), [limit], 1e-6)

    @pytest.mark.parametrize(("identifiable", "pooled", "iv"), [(False, 2.3538, 2.2), (True, 2.3077, 2.0)])
    def test_drig_toy_by_least_squares(self, identifiable, pooled, iv):
        close(fit("erm", drig_toy(identifiable)), [pooled], 6e-5)
        close(fit("iv_2sls", drig_toy(identifiable)), [iv])

    @pytest.mark.parametrize(
        ("on_hidden", "path", "limit"),
        [
            (False, (2.0, 1.6667, 1.5, 1.2857, 1.1667, 1.0196), 1.0),
            (True, (2.0, 2.3333, 2.5, 2.7143, 2.8333, 2.9804), 3.0),
        ],
    )
    def test_anchor_toy(self, on_hidden, path, limit):
        moments = anchor_toy(on_hidden)
        for gamma, expected in zip(GAMMAS, path, strict=True):
            close(fit("anchor_regression", moments, gamma=gamma), [expected], 6e-5)
        m = method("anchor_regression")
        close(dataclasses.replace(m, **m.limit).fit(moments), [limit], 1e-6)
        close(fit("iv_2sls", moments), [limit])

    @pytest.mark.parametrize("variant", ["gmm", "one_vs_rest"])
    def test_the_example_of_the_causal_dantzig_package(self, variant):
        close(fit("causal_dantzig", dantzig_example(), variant=variant), [0, 1, 0])
        close(fit("erm", dantzig_example()), [0.2466, 0.3699, 0.1370], 6e-5)

    def test_appendix_d(self):
        moments = dataset("irm_appendix_d").population(0)
        close(fit("causal_dantzig", moments), [0, 0, 1, 1])
        for gamma, x in ((1.0, 0.6645), (2.0, 0.5), (5.0, 0.2869), (100.0, 0.0198)):
            close(fit("drig", moments, gamma=gamma), [x, x, 1 - x, 1 - x], 6e-5)

    @pytest.mark.parametrize(("y_noise", "flip"), [("unit", False), ("environment", True)])
    def test_chain(self, y_noise, flip):
        # With the target's noise varying the causes and the effects change places.
        moments = dataset("irm_chain", y_noise=y_noise).population(0)
        for gamma, x in ((1.0, 0.9064), (5.0, 0.9797), (100.0, 0.9990)):
            z = 1 - x
            expected = [z] * 5 + [x] * 5 if flip else [x] * 5 + [z] * 5
            close(fit("drig", moments, gamma=gamma), expected, 6e-5)
        close(fit("causal_dantzig", moments), [float(not flip)] * 5 + [float(flip)] * 5)


class TestUndefined:
    def test_anchors_without_a_shift_of_means(self):
        moments = dataset("irm_appendix_d").population(0)
        assert "vanishes" in method("anchor_regression").undefined(moments)
        close(fit("anchor_regression", moments, gamma=50.0), fit("erm", moments))

    def test_anchors_that_shift_all_means_alike(self):
        shifted = population(([1, 2], np.diag([1.0, 1.0])), ([1, 2], np.diag([2.0, 1.0])))
        assert "vanishes" in method("anchor_regression").undefined(shifted)
        assert method("anchor_regression", centring="none").undefined(shifted) is None

    def test_fewer_environments_than_inputs_and_one_do_not_identify(self):
        moments = moments_of(example_sets(SIZES[:3]))
        for variant in ("2sls", "liml", "fuller"):
            assert "span 2 of 3" in method("iv_2sls", variant=variant).undefined(moments)
        assert method("iv_2sls").undefined(moments_of(example_sets(SIZES[:4]))) is None

    def test_two_stage_least_squares_is_then_of_least_norm(self):
        sets = example_sets(SIZES[:3])
        X, y, Z = joined(sets)
        projected = Z @ np.linalg.pinv(Z) @ (X - X.mean(0))
        expected = np.linalg.pinv(projected, rcond=1e-8) @ (y - y.mean())
        for variant in ("2sls", "liml"):
            close(fit("iv_2sls", moments_of(sets), variant=variant), expected, 1e-8)

    def test_dantzig_of_environments_with_the_same_second_moments(self):
        moments = anchor_toy(on_hidden=False)  # means of -1 and 1
        for variant in ("gmm", "one_vs_rest"):
            assert "singular" in method("causal_dantzig", variant=variant).undefined(moments)
        assert torch.isfinite(fit("causal_dantzig", moments)).all()

    def test_one_vs_rest_needs_every_contrast_where_gmm_needs_their_stack(self):
        scales = [np.diag([1.0, 1, 1]), np.diag([2.0, 1, 1]), np.diag([1.0, 2, 1])]
        moments = population(*[(np.zeros(3), scale) for scale in scales])
        assert method("causal_dantzig").undefined(moments) is None
        again = population(*[(np.zeros(3), scale) for scale in (scales[0], scales[0], scales[1])])
        for variant in ("gmm", "one_vs_rest"):
            assert "singular" in method("causal_dantzig", variant=variant).undefined(again)

    def test_drig_with_the_noisier_environment_as_reference(self):
        moments = dataset("irm_appendix_d").population(0)
        assert method("drig", gamma=100.0).undefined(moments) is None
        assert method("drig", gamma=1.0, reference=1).undefined(moments) is None
        assert "no minimum at gamma = 3" in method("drig", gamma=3.0, reference=1).undefined(moments)

    def test_drig_with_an_intercept_needs_centring_where_means_shift(self):
        moments = drig_toy(identifiable=True).augmented
        assert "no minimum" in method("drig", gamma=100.0).undefined(moments)
        centred = method("drig", gamma=100.0, centre=True)
        assert centred.undefined(moments) is None
        close(centred.fit(moments), [2.0079, 0], 6e-5)

    def test_drig_of_environments_with_the_same_second_moments(self):
        moments = anchor_toy(on_hidden=False)
        assert "nothing to weigh" in method("drig").undefined(moments)
        close(fit("drig", moments), fit("erm", moments))

    def test_least_squares_of_an_environment_with_fewer_examples_than_inputs(self):
        assert "collinear" in method("per_env_ols_mean").undefined(moments_of(example_sets((2, 40))))
        assert method("per_env_ols_mean").undefined(moments_of(example_sets((9, 40)))) is None

    @pytest.mark.parametrize("name", ["anchor_regression", "iv_2sls", "causal_dantzig", "drig", "per_env_ols_mean"])
    def test_nothing_is_amiss_with_ordinary_environments(self, sets, name):
        params = {"gamma": 1.0} if name == "drig" else {}
        assert method(name, **params).undefined(moments_of(sets)) is None
        assert method(name, **params).undefined(moments_of(sets, True)) is None


def test_instruments_need_a_shift_of_means():
    assert "does not shift" in method("iv_2sls").not_applicable(dataset("irm_chain"), CLOSED_FORM)


class TestRandom:
    def test_is_as_long_as_the_causal_coefficients_on_average(self):
        data = dataset("irm_chain", n=20)
        got = solve(batch(data, method("random"), CLOSED_FORM, seeds=400)).coefficients[:, 0]
        square, d = data.truth(0).coefficients.square().sum().item(), 10
        # ||phi||^2 is s^2 chi^2_d: its mean is ||beta*||^2, with a standard error of sqrt(2 / (400 d)) of that.
        assert got.square().sum(1).mean().item() == pytest.approx(square, rel=4 * math.sqrt(2 / (400 * d)))
        assert got.mean(0).abs().max() < 4 * math.sqrt(square / d / 400)

    def test_turns_with_the_inputs(self):
        data = dataset("irm_chain", n=20, scrambled=True)
        plain, turned = (
            solve(batch(other, method("random"), CLOSED_FORM)).coefficients[0, 0]
            for other in (dataset("irm_chain", n=20), data)
        )
        close(data.truth(0).unscramble @ turned, plain)

    def test_has_no_intercept(self):
        got = solve(batch(dataset("unit_test_1", n=20), method("random"), CLOSED_FORM)).coefficients[0, 0]
        assert got[-1] == 0
        assert got.count_nonzero() == 10


EVERY = [
    ("ridge", {}),
    ("per_env_ols_mean", {}),
    ("anchor_regression", {}),
    ("anchor_regression", {"centring": "none"}),
    ("iv_2sls", {}),
    ("iv_2sls", {"variant": "liml"}),
    ("iv_2sls", {"variant": "fuller"}),
    ("causal_dantzig", {}),
    ("causal_dantzig", {"variant": "one_vs_rest"}),
    ("drig", {"gamma": 0.4}),
    ("drig", {"gamma": 0.4, "centre": True}),
]
every = pytest.mark.parametrize(("name", "params"), EVERY, ids=str)


@every
@pytest.mark.parametrize("count", [2, len(SIZES)])
def test_a_rotation_of_the_inputs_rotates_the_coefficients(name, params, count):
    sets = example_sets(SIZES[:count])
    S = np.linalg.qr(np.random.default_rng(1).standard_normal((D, D)))[0]
    turned = fit(name, moments_of([(x @ S, y) for x, y in sets], True), **params)
    plain = fit(name, moments_of(sets, True), **params)
    close(turned, [*(S.T @ plain[:-1].numpy()), plain[-1]], 1e-7)


@every
def test_a_trial_alone_gives_the_numbers_it_gives_in_a_batch(name, params):
    base = batch(dataset("irm_appendix_d", n=100), method(name, **params), CLOSED_FORM)
    alike = [moments_of(example_sets(SIZES, seed), intercept=True) for seed in range(3)]
    floats = [f for f in ("gamma", "penalty_weight", "alpha") if hasattr(base.method, f)]
    methods = [dataclasses.replace(base.method, **dict.fromkeys(floats, value)) for value in (0.2, 0.5)]
    together = closed_form(dataclasses.replace(base, methods=methods, data=stack(alike), solvers=[CLOSED_FORM] * 2))
    for s, moments in enumerate(alike):
        for h, m in enumerate(methods):
            close(together[s, h], m.fit(moments), 1e-9)


def test_drig_says_that_its_reference_is_no_environment():
    reason = method("drig", reference=7).not_applicable(dataset("drig_toy"), CLOSED_FORM)
    assert reason == "reference 7 is none of the 2 environments, counted from 0"
