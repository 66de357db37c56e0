"""Each method against the formula of its paper, written out independently."""

import dataclasses
import math

import pytest
import torch
from support import batch, dataset, method
from torch.testing import assert_close

from irmbench import plugins
from irmbench.contract.first_steps import first_steps
from irmbench.engine.risks import environments
from irmbench.engine.solve import solve
from irmbench.interface import Solver
from irmbench.moments import Moments, compress

E, D = 3, 4
BUNDLED = sorted(plugins.discover("methods"))
SGD = Solver(optimizer="sgd", learning_rate=1e-2, steps=50)


def moments(environments=E, seed=0, intercept=False):
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(environments, 50, D + 2, generator=generator, dtype=torch.float64)
    v[..., -2] = 1
    v[..., -1] += v[..., :D].sum(-1)
    return Moments(v.mT @ v / 50, torch.full((environments,), 50.0, dtype=torch.float64), intercept)


def view(m, data=None, **context):
    data = moments() if data is None else data
    phi = torch.arange(1.0, data.dimension + 1, dtype=torch.float64) / 3
    return environments(data, m, m.parameters(phi, data.second.shape[-3]), **context)


@pytest.fixture(scope="module")
def seen():
    """R_e, g_e, G_e and B_e at one phi."""
    env = view(method("zero"))
    return env.risk, env.gradient, env.scale_gradient, env.bias_gradient


class TestIRMv1:
    @pytest.mark.parametrize(
        ("normalisation", "weight", "formula"),
        [
            ("mean", 7.0, lambda R, D: R.mean() + 7 * D.mean()),
            ("appendix_d", 1e5, lambda R, D: 1e-5 * R.sum() + D.sum()),
            ("synthetic", 0.9, lambda R, D: 0.1 * R.sum() + 0.9 * D.sum()),
            ("unit_tests", 0.9, lambda R, D: 0.1 * R.mean() + 0.9 * D.sum()),
            ("cmnist", 7.0, lambda R, D: R.mean() / 7 + D.mean()),
            ("cmnist", 0.5, lambda R, D: R.mean() + 0.5 * D.mean()),
        ],
    )
    def test_normalisations(self, seen, normalisation, weight, formula):
        R, _, G, _ = seen
        m = method("irmv1", normalisation=normalisation, penalty_weight=weight)
        assert_close(m.objective(view(m)), formula(R, G**2))

    def test_scale_and_bias(self, seen):
        _, _, G, B = seen
        m = method("irmv1", variant="scale_bias")
        assert_close(m.penalty(view(m)), G**2 + B**2)

    def test_diagonal_dummy(self, seen):
        _, g, _, _ = seen
        m = method("irmv1", variant="diag")
        assert_close(m.penalty(view(m)), ((view(m).parameters * g) ** 2).sum(-1))

    def test_vector_dummy(self, seen):
        _, g, _, _ = seen
        m = method("irmv1", variant="vector_w")
        Phi = view(m).parameters
        assert_close(m.penalty(view(m)), torch.stack([((Phi.T @ g[e]) ** 2).mean() for e in range(E)]))

    def test_vector_dummy_starts_from_a_diagonal(self):
        m = method("irmv1", variant="vector_w")
        Phi = m.parameters(torch.ones(D, dtype=torch.float64), E)
        assert_close(Phi, torch.eye(D, dtype=torch.float64))
        assert_close(m.coefficients(Phi), torch.ones(D, dtype=torch.float64))


@pytest.mark.parametrize(("normalisation", "weight"), [("synthetic", 1e4), ("unit_tests", 1.5), ("appendix_d", 0.0)])
def test_irmv1_refuses_weights_that_its_normalisation_cannot_mean(normalisation, weight):
    assert normalisation in method("irmv1", normalisation=normalisation, penalty_weight=weight).problem


def test_a_zero_gradient_has_no_direction_under_the_unit_tests_rule():
    env = view(method("zero"))
    env.gradient = torch.zeros(E, D, dtype=torch.float64)
    assert method("and_mask", tau=0.9, rule="unit_tests").direction(env).tolist() == [0.0] * D


def test_vrex_is_the_risk_and_its_variance(seen):
    R = seen[0]
    m = method("vrex", penalty_weight=3.0)
    assert_close(m.objective(view(m)), R.mean() + 3 * ((R - R.mean()) ** 2).mean())
    m = method("vrex", penalty_weight=3.0, risk="sum", ddof=1)
    assert_close(m.objective(view(m)), R.sum() + 3 * ((R - R.mean()) ** 2).sum() / (E - 1))
    for weight, divisor in ((3.0, 3), (0.5, 1)):
        m = method("vrex", penalty_weight=weight, divided=True)
        assert_close(m.objective(view(m)), (R.mean() + weight * ((R - R.mean()) ** 2).mean()) / divisor)


def test_mm_rex_is_the_worst_affine_mixture(seen):
    R, beta = seen[0], 2.0
    m = method("mm_rex", beta=beta)
    corners = [sum(((1 + (E - 1) * beta) if i == e else -beta) * R[i] for i in range(E)) for e in range(E)]
    assert_close(m.objective(view(m)), max(corners))


def test_mm_rex_of_two_environments():
    data = moments(environments=2)
    m = method("mm_rex", beta=2.0)
    env = view(m, data)
    assert_close(m.objective(env), 3 * env.risk.max() - 2 * env.risk.min())


def test_iga_adds_the_spread_of_gradients(seen):
    R, g, _, _ = seen
    m = method("iga", penalty_weight=3.0)
    spread = sum(((g[e] - g.mean(0)) ** 2).sum() for e in range(E))
    assert_close(m.objective(view(m)), R.mean() + 3 * spread)


def test_iga_gradient_is_the_same_with_the_mean_gradient_detached():
    m = method("iga", penalty_weight=3.0)
    env = view(m)
    mean = env.gradient.mean(0).detach()

    def detached(at):
        seen = env.at(at)
        return seen.risk.mean() + 3 * ((seen.gradient - mean) ** 2).sum()

    assert_close(m.direction(env), torch.func.grad(detached)(env.parameters))


def test_group_dro_moves_weights_before_parameters(seen):
    R, g, _, _ = seen
    m = method("group_dro", eta=0.3)
    env = view(m, state=torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64))
    q = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64) * torch.exp(0.3 * R)
    env.state = m.next_state(env)
    assert_close(env.state, q / q.sum())
    assert_close(m.direction(env), sum(env.state[e] * g[e] for e in range(E)))


def test_group_dro_weights_survive_huge_risks():
    m = method("group_dro", eta=1.0)
    env = view(m, state=torch.ones(E, dtype=torch.float64) / E)
    env.risk = torch.tensor([1e4, 2e4, 3e4], dtype=torch.float64)
    assert_close(m.next_state(env), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))


class TestANDMask:
    """Ten environments whose gradients agree in sign nine times (first coordinate), ten times, and not."""

    @pytest.fixture
    def env(self):
        env = view(method("zero"), moments(environments=10))
        sign = torch.ones(10, D, dtype=torch.float64)
        sign[0, 0] = -1
        sign[:5, 2] = -1
        sign[0, 3] = 0
        env.gradient = sign * torch.arange(1.0, 11.0, dtype=torch.float64)[:, None]
        return env

    def direction(self, env, **params):
        return (method("and_mask", **params).direction(env) != 0).tolist()

    def test_official_rule_keeps_nine_of_ten_at_four_fifths(self, env):
        assert self.direction(env, tau=0.8) == [True, True, False, True]

    def test_unit_tests_rule_is_strict(self, env):
        assert self.direction(env, tau=0.8, rule="unit_tests") == [False, True, False, True]

    def test_a_zero_gradient_is_no_agreement(self, env):
        assert self.direction(env, tau=1.0) == [False, True, False, False]

    def test_unit_tests_rule_keeps_nothing_at_full_agreement(self, env):
        m = method("and_mask", tau=1.0, rule="unit_tests")
        assert (m.direction(env) == 0).all()
        assert "keeps nothing" in m.problem

    def test_kept_coordinates_follow_the_mean_gradient(self, env):
        assert_close(method("and_mask", tau=1.0).direction(env)[1], env.gradient.mean(0)[1])

    def test_rescaling_divides_by_the_kept_fraction(self, env):
        plain, rescaled = (method("and_mask", tau=1.0, rescale=r).direction(env) for r in (False, True))
        assert_close(rescaled, plain / 0.25)

    def test_unit_tests_rule_scales_every_gradient_to_unit_length(self, env):
        unit = env.gradient / env.gradient.norm(dim=1, keepdim=True)
        got = method("and_mask", tau=0.9, rule="unit_tests").direction(env)
        assert_close(got[1], unit.mean(0)[1])


class TestOracles:
    def test_oracle_beta_is_the_truth_in_observed_coordinates(self):
        data = dataset("irm_chain", scrambled=True)
        got = solve(batch(data, method("oracle_beta"), "converged")).coefficients[0, 0]
        truth = data.truth(0)
        assert_close(truth.unscramble @ got, truth.coefficients)

    @pytest.mark.parametrize("scrambled", [False, True])
    def test_oracle_parents_is_least_squares_on_the_causes(self, scrambled):
        data = dataset("irm_chain", scrambled=scrambled)
        got = solve(batch(data, method("oracle_parents"), "converged")).coefficients[0, 0]
        plain = dataset("irm_chain").sample(data.n, 0)
        X, y = plain.inputs[..., :5].reshape(-1, 5), plain.targets.reshape(-1, 1)
        expected = torch.linalg.lstsq(X, y).solution[:, 0]
        assert_close(data.truth(0).unscramble @ got, torch.cat([expected, torch.zeros(5).double()]), atol=1e-9, rtol=0)

    def test_oracle_parents_has_an_intercept_where_predictors_do(self):
        data = dataset("unit_test_1", n=200)
        got = solve(batch(data, method("oracle_parents"), "converged")).coefficients[0, 0]
        examples = data.sample(200, 0)
        X = torch.cat([examples.inputs[..., :5], torch.ones(3, 200, 1).double()], -1).reshape(-1, 6)
        expected = torch.linalg.lstsq(X, examples.targets.reshape(-1, 1)).solution[:, 0]
        assert_close(got[[0, 1, 2, 3, 4, 10]], expected, atol=1e-9, rtol=0)
        assert got[5:10].abs().max() < 1e-12


def test_erm_weighs_environments_by_size_or_equally():
    data = moments()
    data = data.with_tensors(data.second, torch.tensor([10.0, 20.0, 70.0]).double())
    for weighting, w in (("pooled", [0.1, 0.2, 0.7]), ("balanced", [1 / 3] * 3)):
        gram = sum(w[e] * data.gram[e] for e in range(E))
        cross = sum(w[e] * data.cross[e] for e in range(E))
        assert_close(method("erm", weighting=weighting).fit(data), torch.linalg.solve(gram, cross))


def test_zero_is_zero():
    assert method("zero").fit(moments(intercept=True)).tolist() == [0.0] * (D + 1)


GENTLE = {
    "irmv1": {"penalty_weight": 1e-3},
    "vrex": {"penalty_weight": 1e-3},
    "iga": {"penalty_weight": 1e-3},
    "mm_rex": {"beta": 0.1},
    "group_dro": {},
    "sd": {},
    "ib_erm": {},
    "ib_irm": {"penalty_weight": 1e-3},
    "irmx": {"penalty_weight": 1e-3},
    "birm": {"penalty_weight": 1e-3},
    "mean_calibration": {"penalty_weight": 1e-3},
    "eqrm": {},
}


@pytest.mark.parametrize("name", GENTLE)
def test_a_rotation_rotates_gradient_descent_from_zero(name):
    solver = Solver(optimizer="sgd", learning_rate=1e-3, steps=30, start=0.0)
    data = [dataset("irm_chain", scrambled=scrambled) for scrambled in (False, True)]
    plain, turned = (batch(one, method(name, **GENTLE[name]), solver) for one in data)
    both = [torch.cat(pair) for pair in zip(plain.data.tensors, turned.data.tensors, strict=True)]
    truths, seeds = plain.truths + turned.truths, [0, 0]
    whole = dataclasses.replace(plain, data=plain.data.with_tensors(*both), truths=truths, seeds=seeds)
    unturned, rotated = first_steps(whole, solver.steps)[:, 0]
    assert unturned.norm() > 0.01
    assert_close(truths[1].unscramble @ rotated, unturned, rtol=0, atol=1e-9)


def test_and_mask_depends_on_the_coordinates():
    fits = {}
    for scrambled in (False, True):
        data = dataset("irm_chain", scrambled=scrambled)
        solver = Solver(optimizer="sgd", learning_rate=1e-3, steps=30, start=0.0)
        fits[scrambled] = solve(batch(data, method("and_mask"), solver)).coefficients[0, 0]
    assert (data.truth(0).unscramble @ fits[True] - fits[False]).norm() > 1e-3


def test_examples_and_moments_lead_to_the_same_place():
    data = dataset("irm_appendix_d", n=200)
    on_moments = batch(data, method("irmv1", penalty_weight=1.0), SGD)
    examples = data.sample(200, 0)
    on_examples = dataclasses.replace(
        on_moments, data=examples.with_tensors(examples.inputs[None], examples.targets[None])
    )
    assert_close(solve(on_examples).coefficients, solve(on_moments).coefficients, rtol=1e-9, atol=1e-12)


def test_ustat_is_the_mean_of_split_over_random_splits():
    data = dataset("irm_appendix_d", n=101)
    examples = data.sample(101, 0)
    m = method("irmv1", variant="split")
    phi = torch.ones(4, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    draws = []
    for _ in range(4000):
        half = torch.zeros(2, 101, dtype=torch.float64)
        for e in range(2):
            half[e, torch.randperm(101, generator=generator)[:51]] = 1
        draws.append(m.penalty(environments(examples, m, phi, half=half)))
    draws = torch.stack(draws)
    u = method("irmv1", variant="ustat")
    expected = u.penalty(environments(examples, u, phi))
    assert ((draws.mean(0) - expected).abs() < 4 * draws.std(0) / math.sqrt(4000)).all()


def test_compressed_and_plain_examples_agree_on_every_moment_method():
    examples = dataset("irm_appendix_d", n=50).sample(50, 0)
    for name in ("irmv1", "vrex", "iga", "mm_rex"):
        m = method(name)
        phi = torch.ones(4, dtype=torch.float64)
        plain = m.objective(environments(examples, m, phi))
        assert_close(m.objective(environments(compress(examples), m, phi)), plain, rtol=1e-10, atol=0)
