"""Regularised risks against their formulas written out on examples, and against the published code's figures."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from support import batch, dataset, method
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from irmbench.engine.risks import environments
from irmbench.engine.solve import resolve_solver, solve
from irmbench.interface import Dataset, Moments, Solver, one_minus_log_uniform
from irmbench.moments import Examples, compress, merge
from irmbench.networks import Network

E, N, D = 3, 24, 3
LOSSES = pytest.mark.parametrize("logistic", [False, True], ids=["squared", "logistic"])
ON_MOMENTS = ("sd", "ib_erm", "ib_irm", "irmx", "birm", "mean_calibration", "eqrm")
GENTLE = Solver(optimizer="sgd", learning_rate=1e-3, steps=6)


def examples(logistic=False):
    """Return three environments that differ in scale and mean, with an intercept."""
    generator = torch.Generator().manual_seed(3)
    scale = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)[:, None]
    inputs = torch.randn(E, N, D, generator=generator, dtype=torch.float64) * scale[..., None] + 0.3
    targets = inputs.sum(-1) + scale * torch.randn(E, N, generator=generator, dtype=torch.float64)
    return Examples(inputs, (targets > 0).double() if logistic else targets, intercept=True, logistic=logistic)


PHI = torch.tensor([0.4, -0.3, 0.7, 0.2], dtype=torch.float64)


class Plain:
    """What formulas are made of, from examples and coefficients alone."""

    def __init__(self, data, phi):
        self.inputs = torch.cat([data.inputs, torch.ones(E, N, 1, dtype=torch.float64)], -1)
        self.f, self.y, self.logistic = self.inputs @ phi, data.targets, data.logistic
        self.losses = self.loss(self.f)
        self.R = self.losses.mean(1)
        self.r = (self.f.sigmoid() if self.logistic else self.f) - self.y
        self.G, self.B = self.slope(1.0), self.slope(1.0, "bias")

    def loss(self, f):
        if self.logistic:
            return binary_cross_entropy_with_logits(f, self.y, reduction="none")
        return (f - self.y) ** 2

    def slope(self, at, of="scale"):
        """Return the derivative of every environment's risk in a dummy scale at ``at``, or in a dummy bias at 0."""
        w = torch.full((E, 1), at, dtype=torch.float64, requires_grad=True)
        b = torch.zeros((E, 1), dtype=torch.float64, requires_grad=True)
        risk = self.loss(w * self.f + b).mean(1).sum()
        return torch.autograd.grad(risk, w if of == "scale" else b, create_graph=True)[0][:, 0]

    @property
    def gradients(self):
        """The gradient of every example's loss, [E, N, D + 1]."""
        return ((1 if self.logistic else 2) * self.r)[..., None] * self.inputs

    def over_dummies(self, sd):
        """E of the squared slope at w ~ N(1, sd^2), by the trapezoidal rule."""
        nodes = np.linspace(-9, 9, 181)
        weights = np.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi) * (nodes[1] - nodes[0])
        return sum(p * self.slope(1 + sd * k) ** 2 for k, p in zip(nodes, weights, strict=True))

    def over_pairs(self, width=0.4):
        """(1 / n^2) sum_ij a_i a_j exp(-|p_i - p_j| / width), pair by pair."""
        p, a = self.f, self.r
        if self.logistic:
            p = torch.maximum(self.f.sigmoid(), 1 - self.f.sigmoid())
            a = ((self.f.sigmoid() > 0.5).double() == self.y).double() - p
        each = [a[:, i] * a[:, j] * torch.exp(-(p[:, i] - p[:, j]).abs() / width) for i in range(N) for j in range(N)]
        return torch.stack(each).sum(0) / N**2


def spread(V):
    return sum(((V[e] - V.mean(0)) ** 2).sum() for e in range(E))


FORMULAS = [
    ("sd", {}, lambda s: s.losses.mean() + 0.6 * (s.f**2).mean()),
    ("ib_erm", {}, lambda s: s.losses.mean() + 0.6 * s.f.flatten().var(correction=1)),
    ("ib_erm", {"variant": "domainbed"}, lambda s: s.R.mean() + 0.6 * s.f.var(1, correction=1).mean()),
    (
        "ib_irm",
        {"variance_weight": 0.3},
        lambda s: 0.4 * s.R.mean() + 0.6 * (s.G**2 + s.B**2).sum() + 0.3 * s.f.var(1, correction=1).mean(),
    ),
    (
        "ib_irm",
        {"variance_weight": 0.3, "variant": "domainbed"},
        lambda s: s.R.mean() + 0.6 * (s.G**2).mean() + 0.3 * s.f.var(1, correction=1).mean(),
    ),
    ("irmx", {}, lambda s: s.R.mean() + 0.6 * ((s.G**2).mean() + s.R.var(correction=1))),
    ("irmx", {"ddof": 0}, lambda s: s.R.mean() + 0.6 * ((s.G**2).mean() + s.R.var(correction=0))),
    ("birm", {"prior_sd_coef": 0.1 * E * N}, lambda s: s.R.mean() + 0.6 * s.over_dummies(0.1).mean()),
    ("mean_calibration", {}, lambda s: (s.R + 0.6 * (s.r.mean(1) ** 2 + (s.r * s.f).mean(1) ** 2)).sum()),
    ("mean_calibration", {"variant": "clove"}, lambda s: (s.R + 0.6 * s.over_pairs()).sum()),
    ("mean_calibration", {"variant": "clove", "width": 2.0}, lambda s: (s.R + 0.6 * s.over_pairs(2.0)).sum()),
    ("fishr", {"variant": "cmnist"}, lambda s: s.R.mean() + 0.6 * spread(s.gradients.var(1, correction=0))),
    (
        "fishr",
        {"variant": "cmnist", "centred": False},
        lambda s: s.R.mean() + 0.6 * spread((s.gradients**2).mean(1)),
    ),
    (
        "fishr",
        {"ema": 0.9},
        lambda s: s.R.mean() + 10 * 0.6 * spread(s.gradients.var(1, correction=0)) / (E * (D + 1)),
    ),
]


@LOSSES
@pytest.mark.parametrize(("name", "params", "formula"), FORMULAS, ids=[f"{n}-{p}" for n, p, _ in FORMULAS])
def test_objectives_and_their_gradients_are_those_of_the_formula(name, params, formula, logistic):
    data, m = examples(logistic), method(name, **{"penalty_weight": 0.6, **params})
    phi = PHI.clone().requires_grad_()
    expected = formula(Plain(data, phi))
    (slope,) = torch.autograd.grad(expected, phi)
    assert_close(m.objective(environments(data, m, PHI)), expected.detach(), rtol=1e-8, atol=0)
    gradient = torch.func.grad(lambda at: m.objective(environments(data, m, at)))(PHI)
    assert_close(gradient, slope, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ON_MOMENTS)
def test_moments_give_the_objective_of_their_examples(name):
    data, m = examples(), method(name)
    plain = m.objective(environments(data, m, PHI))
    assert_close(m.objective(environments(compress(data), m, PHI)), plain, rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", ["sd", "ib_erm"])
def test_pooled_objectives_weigh_environments_by_size(name):
    data, m = examples(), method(name, penalty_weight=0.6)
    parts = [Examples(data.inputs[e, None, :n], data.targets[e, None, :n], True) for e, n in enumerate((6, 12, 24))]
    moments = Moments(*(torch.cat(t) for t in zip(*(compress(part).tensors for part in parts), strict=True)), True)
    f = torch.cat([part.predict(PHI)[0] for part in parts])
    y = torch.cat([part.targets[0] for part in parts])
    penalty = (f**2).mean() if name == "sd" else f.var(correction=1)
    assert_close(m.objective(environments(moments, m, PHI)), ((f - y) ** 2).mean() + 0.6 * penalty)


class TestShrinkage:
    def test_sd_is_least_squares_divided(self):
        data = compress(examples())
        pooled = method("erm").fit(data)
        assert_close(method("sd", penalty_weight=0.25).fit(data), pooled / 1.25, rtol=1e-10, atol=1e-12)

    def test_sd_s_closed_form_has_no_gradient(self):
        data, m = compress(examples()), method("sd", penalty_weight=0.25)
        assert m.direction(environments(data, m, m.fit(data))).abs().max() < 1e-12

    @LOSSES
    def test_sd_converges(self, logistic):
        data = dataset("unit_test_3", n=100) if logistic else dataset("irm_chain", n=100)
        fit = solve(batch(data, method("sd"), "converged"))
        assert torch.isfinite(fit.coefficients).all()
        assert fit.gradient_norm is None if not logistic else fit.gradient_norm.max() < 1e-8

    @pytest.mark.parametrize("name", ["sd", "ib_erm"])
    def test_on_a_centred_population_it_is_least_squares_divided(self, name):
        data = dataset("irm_chain")
        pooled = solve(batch(data, method("erm"), "population")).coefficients
        shrunk = solve(batch(data, method(name, penalty_weight=0.6), "population")).coefficients
        assert_close(shrunk, pooled / 1.6, rtol=1e-8, atol=1e-10)

    def test_ib_erm_on_centred_data_is_least_squares_divided(self):
        data = dataset("irm_chain", n=100)
        pooled = batch(data, method("erm"), "converged")
        whole = merge(Moments(second[None], torch.tensor([100.0])) for second in pooled.data.second[0])
        mean = whole.second[0, -2, :].clone()
        mean[-2] = 0
        centred = pooled.data.second - (mean[:, None] * pooled.data.second[..., -2, None, :])
        centred = centred - centred[..., :, -2, None] * mean  # of every environment, about the pooled mean
        at = dataclasses.replace(pooled, data=pooled.data.with_tensors(centred, pooled.data.count))
        shrunk = dataclasses.replace(at, methods=[method("ib_erm", penalty_weight=0.6)])
        factor = 1 + 0.6 * 300 / 299
        assert_close(solve(shrunk).coefficients, solve(at).coefficients / factor, rtol=1e-8, atol=1e-10)


class TestIBIRM:
    def test_a_small_variance_weight_ends_where_irmv1_does_at_the_causes_and_a_large_one_at_zero(self):
        data = dataset("irm_chain", d=2)
        limit = {"variant": "domainbed", "penalty_weight": 1e6}
        small, large = (
            solve(batch(data, method("ib_irm", variance_weight=weight, **limit), "population")).coefficients[0, 0]
            for weight in (0.5, 2.0)
        )
        assert_close(small, torch.tensor([1.0, 1.0, 0.0, 0.0]).double(), rtol=0, atol=1e-5)
        assert large.norm() < 1e-3

    @pytest.mark.parametrize("params", [{"penalty_weight": 2.0}, {"anneal": 5}])
    def test_mixing_refuses_weights_that_leave_no_risk(self, params):
        assert "unit_tests" in method("ib_irm", **params).problem
        assert method("ib_irm", variant="domainbed", **params).problem is None


class TestBIRM:
    def test_a_large_weight_divides_the_objective(self):
        data = examples()
        plain, env = Plain(data, PHI), environments(data, method("zero"), PHI)
        m = method("birm", penalty_weight=3.0, prior_sd_coef=0.2 * E * N)
        square = (plain.f**2).mean(1)
        expected = (plain.R.mean() + 3 * (plain.G**2 + 4 * 0.2**2 * square**2).mean()).detach() / 4
        assert_close(m.objective(env), expected)

    @LOSSES
    def test_the_expectation_is_the_mean_over_random_dummies(self, logistic):
        data, draws = examples(logistic), 20_000
        plain = Plain(data, PHI)
        w = 1 + 0.5 * torch.randn(draws, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        slope = (w * plain.f).sigmoid() - plain.y if logistic else 2 * (w * plain.f - plain.y)
        squares = (slope * plain.f).mean(-1) ** 2
        m = method("birm", prior_sd_coef=0.5 * E * N)
        error = (squares.mean(0) - m.penalty(environments(data, m, PHI))).abs()
        assert (error < 4 * squares.std(0) / math.sqrt(draws)).all()

    def test_a_population_leaves_no_doubt_of_the_dummy(self):
        moments = dataset("irm_chain").population(0)
        phi = torch.linspace(-1, 1, 10, dtype=torch.float64)
        birm, irm = method("birm", penalty_weight=5.0), method("irmv1", penalty_weight=5.0)
        expected = irm.objective(environments(moments, irm, phi)) / 6
        assert_close(birm.objective(environments(moments, birm, phi)), expected)


class TestMeanCalibration:
    def test_it_is_a_quarter_of_irmv1_with_dummy_scale_and_bias(self):
        data, m = examples(), method("mean_calibration", penalty_weight=8.0)
        irm = method("irmv1", variant="scale_bias", penalty_weight=2.0)
        env = environments(data, m, PHI)
        assert_close(m.objective(env), E * irm.objective(env))

    def test_the_kernel_stands_predictions_far_apart(self):
        data = examples()
        data = data.with_tensors(100 * data.inputs, data.targets)
        m = method("mean_calibration", variant="clove", penalty_weight=1.0)
        plain = Plain(data, PHI)
        assert plain.f.max() - plain.f.min() > 400
        expected = (plain.R + plain.over_pairs()).sum().detach()
        assert_close(m.objective(environments(data, m, PHI)), expected, rtol=1e-10, atol=0)

    def test_official_solvers_alone_run_the_kernel(self):
        m, data = method("mean_calibration", variant="clove"), dataset("irm_chain")
        assert "population" in m.not_applicable(data, resolve_solver(m, "population"))
        assert "kink" in m.not_applicable(data, resolve_solver(m, "converged"))
        assert m.not_applicable(data, resolve_solver(m, "official")) is None
        assert method("mean_calibration").not_applicable(data, resolve_solver(m, "converged")) is None


class Risks:
    """Environments whose parameters are their risks."""

    def __init__(self, risk, smoothing=None):
        self.parameters = self.risk = risk
        self.step, self.smoothing = torch.zeros(()), smoothing

    def at(self, parameters):
        return Risks(parameters, self.smoothing)


class TestEQRM:
    R = torch.tensor([1, 1.5, 2, 2.2, 3, 4, 4.1, 5], dtype=torch.float64)
    h = 1.06 * R.std(correction=1) * 8**-0.2

    def test_the_quantile_is_that_of_the_kernel_density(self):
        q = method("eqrm").objective(Risks(self.R))
        normal = torch.distributions.Normal(self.R, self.h)
        assert_close(normal.cdf(q).mean(), torch.tensor(0.75).double(), rtol=0, atol=1e-14)
        assert q.item() == pytest.approx(4.0717, abs=5e-5)

    def test_the_official_gradient_is_that_of_the_bisection_s_ends(self):
        gradient = method("eqrm").direction(Risks(self.R))
        published = torch.tensor([0.310, -0.065, -0.041, -0.031, 0.007, 0.055, 0.060, 0.704]).double()
        assert_close(gradient, published, rtol=0, atol=6e-4)

    def test_the_implicit_gradient_at_a_fixed_bandwidth(self, monkeypatch):
        m = method("eqrm", gradient="implicit")
        monkeypatch.setattr(type(m), "_bandwidth", lambda self, env: type(self).h)
        monkeypatch.setattr(type(m), "h", self.h, raising=False)
        gradient = m.direction(Risks(self.R))
        known = torch.tensor([0.002, 0.010, 0.031, 0.047, 0.158, 0.284, 0.285, 0.183]).double()
        assert_close(gradient, known, rtol=0, atol=6e-4)
        kernel = torch.exp(-(((m.objective(Risks(self.R)) - self.R) / self.h) ** 2) / 2)
        assert_close(gradient, kernel / kernel.sum())

    @pytest.mark.parametrize("alpha", [0.3, 0.75, 0.99, -3.0])
    def test_the_implicit_gradient_and_the_hessian_are_those_of_the_quantile(self, alpha):
        m = method("eqrm", alpha=alpha, gradient="implicit")

        def central(function, at):
            steps = 1e-5 * torch.eye(8, dtype=torch.float64)
            return torch.stack([(function(at + d) - function(at - d)) / 2e-5 for d in steps])

        gradient = central(lambda risk: m.objective(Risks(risk)), self.R)
        assert_close(m.direction(Risks(self.R)), gradient, rtol=0, atol=1e-8)
        hessian = central(lambda risk: m.direction(Risks(risk)), self.R)
        exact = torch.autograd.functional.hessian(lambda risk: m.objective(Risks(risk)), self.R)
        assert_close(exact, hessian, rtol=0, atol=1e-7)

    @pytest.mark.parametrize("gradient", ["official", "implicit"])
    def test_a_negative_alpha_is_the_logarithm_of_what_is_missing_to_1(self, gradient):
        m = method("eqrm", alpha=-50.0, gradient=gradient)
        risk = self.R.clone().requires_grad_()
        expected = risk.mean() + 10 * 1.06 * 8**-0.2 * risk.std(correction=1)
        assert_close(m.objective(Risks(self.R)), expected.detach())
        assert_close(m.direction(Risks(self.R)), torch.autograd.grad(expected, risk)[0])

    @pytest.mark.parametrize("params", [{}, {"gradient": "implicit"}, {"alpha": -50.0}])
    def test_equal_risks_have_a_gradient(self, params):
        gradient = method("eqrm", **params).direction(Risks(torch.full((4,), 2.0, dtype=torch.float64)))
        assert_close(gradient.sum(), torch.tensor(1.0).double())

    def test_the_burn_in_minimises_the_mean_risk(self):
        m, env = method("eqrm", burn_in=3), Risks(self.R)
        for step, burning in ((2, True), (3, False)):
            env.step = torch.tensor(float(step))
            assert torch.allclose(m.objective(env), self.R.mean()) == burning
        env.at = lambda risk: Risks(risk)
        assert_close(m.direction(env), torch.full((8,), 1 / 8).double())

    @pytest.mark.parametrize(("alpha", "fine"), [(0.0, False), (1.0, False), (0.5, True), (-1e30, True)])
    def test_alpha_is_a_quantile_or_negative(self, alpha, fine):
        assert (method("eqrm", alpha=alpha).problem is None) == fine

    def test_far_towards_1_it_finds_the_causes_where_the_target_s_noise_is_constant(self):
        fit = solve(batch(dataset("irm_chain", d=1), method("eqrm", alpha=-1e10), "population"))
        assert_close(fit.coefficients[0, 0], torch.tensor([1.0, 0.0]).double(), rtol=0, atol=1e-3)

    def test_the_converged_quantile_is_a_minimum(self):
        data, m = dataset("irm_chain", d=1), method("eqrm")
        moments = data.population(0)
        fit = solve(batch(data, m, "population"))
        best = fit.coefficients[0, 0]
        directions = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        around = torch.stack([m.objective(environments(moments, m, best + 1e-2 * d)) for d in directions])
        assert (around >= fit.objective[0, 0] - 1e-9).all()


class TestFishr:
    @LOSSES
    def test_steps_are_those_of_the_published_moving_average(self, logistic):
        data = dataset("unit_test_3", n=30) if logistic else dataset("irm_chain", n=30, d=2)
        sample = data.sample(30, 0)
        weight, rate = (0.02, 1e-2) if logistic else (1e-9, 1e-3)
        m, solver = method("fishr", penalty_weight=weight, ema=0.6), dataclasses.replace(GENTLE, learning_rate=rate)
        phi = torch.ones(sample.dimension, dtype=torch.float64)
        inputs = sample.features(phi)
        average = torch.zeros(inputs.shape[0], inputs.shape[-1], dtype=torch.float64)
        for _ in range(solver.steps):
            phi = phi.detach().requires_grad_()
            f = inputs @ phi
            r = f.sigmoid() - sample.targets if logistic else 2 * (f - sample.targets)
            risk = binary_cross_entropy_with_logits(f, sample.targets) if logistic else (r**2).mean() / 4
            V = (r[..., None] * inputs).var(1, correction=0)
            average = 0.6 * average.detach() + 0.4 * V
            corrected = average / 0.4
            penalty = ((corrected - corrected.mean(0)) ** 2).mean(1).mean()
            (gradient,) = torch.autograd.grad(risk + weight * penalty, phi)
            phi = phi - rate * gradient
        assert (phi - 1).abs().max() > 1e-2
        assert_close(solve(batch(data, m, solver)).coefficients[0, 0], phi.detach(), rtol=1e-9, atol=1e-12)

    def test_once_settled_steps_follow_the_objective_that_converges(self):
        data, m = examples(), method("fishr", ema=0.7, penalty_weight=0.6)
        env = environments(data, m, PHI)
        settled = environments(data, m, PHI, state=env.gradient_variance)
        expected = torch.func.grad(lambda at: m.objective(environments(data, m, at)))(PHI)
        assert_close(m.next_state(settled), settled.state)
        assert_close(m.direction(settled), expected)

    def test_a_large_weight_divides_the_coloured_mnist_objective(self):
        data, m = examples(), method("fishr", variant="cmnist", penalty_weight=5.0)
        plain = Plain(data, PHI)
        expected = plain.R.mean() / 5 + spread(plain.gradients.var(1, correction=0))
        assert_close(m.objective(environments(data, m, PHI)), expected.detach())

    def test_second_moments_are_of_the_last_layer_s_gradient(self):
        plain = examples()
        data = dataclasses.replace(plain, intercept=False, network=Network(D, 2))
        phi = torch.randn(data.dimension, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        m = method("fishr", centred=False, variant="cmnist", penalty_weight=0.6)
        slope = 2 * (data.predict(phi) - data.targets)
        second = ((slope[..., None] * data.features(phi)) ** 2).mean(1)
        expected = (slope**2).mean() / 4 + 0.6 * spread(second)
        assert_close(m.objective(environments(data, m, phi)), expected)

    def test_of_populations_it_takes_those_that_second_moments_describe(self):
        m = method("fishr")
        population = resolve_solver(m, "population")
        assert m.not_applicable(dataset("irm_chain"), population) is None
        assert "fourth" in m.not_applicable(NotNormal(), population)
        assert "fourth" in m.not_applicable(dataset("unit_test_2"), population)
        assert m.not_applicable(NotNormal(), resolve_solver(m, "official")) is None

    def test_it_depends_on_the_coordinates(self):
        data, m = examples(), method("fishr", penalty_weight=1.0)
        S = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
        turned, phi = data.with_tensors(data.inputs @ S, data.targets), torch.cat([S.T @ PHI[:-1], PHI[-1:]])
        plain, rotated = m.objective(environments(data, m, PHI)), m.objective(environments(turned, m, phi))
        assert_close(turned.predict(phi), data.predict(PHI))
        assert abs(rotated / plain - 1) > 0.01


@dataclasses.dataclass(frozen=True)
class NotNormal(Dataset):
    """A population that is known by its second moments alone."""

    def population(self, seed):
        return Moments(torch.eye(4, dtype=torch.float64).expand(2, 4, 4), torch.ones(2), population=True)


ANNEALED = [
    ("irmv1", {}, "anneal", {"penalty_weight": 1.0}),
    ("irmv1", {"normalisation": "cmnist", "variant": "scale_bias"}, "anneal", {"penalty_weight": 1.0}),
    ("vrex", {}, "anneal", {"penalty_weight": 1.0}),
    ("ib_erm", {}, "anneal", {"penalty_weight": 0.0}),
    ("ib_erm", {"variant": "domainbed"}, "anneal", {"penalty_weight": 0.0}),
    ("ib_irm", {"variant": "domainbed"}, "anneal", {"penalty_weight": 1.0}),
    ("ib_irm", {}, "variance_anneal", {"variance_weight": 0.0}),
    ("birm", {}, "anneal", {"penalty_weight": 0.0}),
    ("fishr", {}, "anneal", {"penalty_weight": 0.0}),
    ("fishr", {"variant": "cmnist"}, "anneal", {"penalty_weight": 1.0}),
]


@pytest.mark.parametrize(
    ("name", "params", "field", "before"), ANNEALED, ids=[f"{n}-{p}-{f}" for n, p, f, _ in ANNEALED]
)
def test_annealing_changes_the_weight_after_that_many_updates(name, params, field, before):
    data = examples()
    full = method(name, **params)
    m = dataclasses.replace(full, **{field: 7})
    early = dataclasses.replace(full, **before)
    for step, like in ((0.0, early), (6.0, early), (7.0, full), (torch.inf, full)):
        env = environments(data, m, PHI, step=torch.tensor(step), state=m.initial_state(E))
        assert_close(m.objective(env), like.objective(env), rtol=1e-12, atol=0)
        assert_close(m.direction(env), like.direction(env), rtol=1e-12, atol=0)


@pytest.mark.parametrize("normalisation", ["synthetic", "unit_tests"])
def test_irmv1_refuses_to_anneal_where_weight_1_leaves_no_risk(normalisation):
    m = method("irmv1", normalisation=normalisation, penalty_weight=0.9, anneal=5)
    assert normalisation in m.problem
    assert dataclasses.replace(m, anneal=0).problem is None


def test_an_annealed_run_ends_like_one_that_begins_where_annealing_did():
    data = dataset("irm_appendix_d", n=100)
    annealed = solve(batch(data, method("vrex", penalty_weight=3.0, anneal=4), GENTLE), record_every=1).trajectory
    early = solve(batch(data, method("vrex", penalty_weight=1.0), GENTLE), record_every=1).trajectory
    gaps = [(a - b).abs().max().item() for (_, a), (_, b) in zip(annealed, early, strict=True)]
    assert [gap > 1e-9 for gap in gaps] == [False] * 4 + [True] * 2


def test_weights_may_be_searched_near_1():
    search = one_minus_log_uniform(-3, -0.3)
    rng = np.random.default_rng(0)
    draws = np.array([search.draw(rng) for _ in range(2000)])
    assert draws.min() > 1 - 10**-0.3
    assert draws.max() < 1 - 10**-3
    assert np.log10(1 - np.median(draws)) == pytest.approx(-1.65, abs=0.15)
    assert str(search) == "1 - 10^U(-3, -0.3)"


def test_searched_weights_have_a_meaning():
    search = next(f for f in dataclasses.fields(method("ib_irm")) if f.name == "penalty_weight").metadata["search"]
    for seed in range(50):
        assert method("ib_irm", penalty_weight=search.draw(np.random.default_rng(seed))).problem is None
