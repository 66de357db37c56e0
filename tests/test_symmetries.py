"""What must not matter: the axes of the inputs, the order of environments, which half of the examples is which.

And what a hard intervention must cost, which no noise of the model has a part in.
"""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from support import dataset, method
from torch.testing import assert_close

from irmbench import plugins
from irmbench.engine.batch import Batch
from irmbench.engine.risks import environments
from irmbench.engine.solve import resolve_solver, solve, why_not
from irmbench.interface import Solver
from irmbench.moments import compress, stack
from irmbench.runs.scores import score_coefficients, unscramble

METHODS = sorted(plugins.discover("methods"))
N, SEEDS = 60, (0, 1)
PLAIN, TURNED = (dataset("irm_chain", n=N, d=2, scrambled=scrambled) for scrambled in (False, True))
ORDERS = list(itertools.permutations(range(3)))[1:]  # of environments, all but the one that is there
FROM_ZERO = Solver(optimizer="sgd", learning_rate=1e-3, steps=30, start=0.0)
PARAMS = {
    "birm": {"prior_sd_coef": 10.0},  # the default shrinks so few examples' coefficients to nothing
    "causirl": {"penalty_weight": 1e-3},  # heavier, plain descent diverges
    "fishr": {"penalty_weight": 1e-3},
}

# Methods whose answer depends on the axes, and why.
AXES = {
    "and_mask": "signs of coordinates",
    "eills": "subsets of coordinates",
    "fair_ll": "subsets of coordinates",
    "fishr": "variances of coordinates",
    "icp": "subsets of coordinates",
    "sand_mask": "signs of coordinates",
    "stabilised_regression": "subsets of coordinates",
}
# Methods whose answer depends on the order of environments, and why.
ORDERED = {
    "causirl": "a stream of random parts for each place",
    "drig": "the first is the reference",
    "fish": "inner steps in order",
    "irm_games": "turns in order",
}


def reordered(examples, order):
    places = list(order)
    return examples.with_tensors(*(tensor[places] for tensor in examples.tensors))


def solver_of(m):
    """Return the converged solver, or plain descent from zero where there is no objective to converge."""
    solver = resolve_solver(m, "converged")
    return FROM_ZERO if why_not(m, PLAIN, solver, 3, True) else solver


def fitted(m, solver, samples, truths, seeds):
    """Return the coefficients of samples that are rows of one batch, [K, P]."""
    rows = samples if m.needs_examples or m.needs_split else [compress(one) for one in samples]
    coefficients = solve(Batch([m], stack(rows), truths, [solver], seeds)).coefficients[:, 0]
    assert torch.isfinite(coefficients).all()
    return coefficients


def of_first_seed(m, solver, samples):
    """Return the coefficients of samples that share the first seed, [K, P]."""
    return fitted(m, solver, samples, [PLAIN.truth(0)] * len(samples), [0] * len(samples))


@pytest.fixture(scope="module", params=METHODS)
def found(request):
    """A method's id and, by seed, its coefficients as things are, rotated, and with environments in other orders."""
    m = method(request.param, **PARAMS.get(request.param, {}))
    samples, truths, each = [], [], 2 + len(ORDERS)
    for seed in SEEDS:
        plain = PLAIN.sample(N, seed)
        samples += [plain, TURNED.sample(N, seed), *(reordered(plain, order) for order in ORDERS)]
        truths += [PLAIN.truth(seed), TURNED.truth(seed), *[PLAIN.truth(seed)] * len(ORDERS)]
    rows = fitted(m, solver_of(m), samples, truths, [seed for seed in SEEDS for _ in range(each)])
    return request.param, {seed: (b[0], b[1], b[2:]) for seed, b in zip(SEEDS, rows.split(each), strict=True)}


def differs(value, reference):
    """Whether coefficients differ by more than rounding, relative to the reference's length."""
    gap = (value - reference).norm(dim=-1).amax() / reference.norm().clamp(min=1e-9)
    return bool(gap > 1e-6)


class TestRotation:
    def test_unscrambled_coefficients_are_those_of_unscrambled_inputs_but_for_those_listed(self, found):
        name, by_seed = found
        depends = [differs(unscramble(b[1], TURNED.truth(seed)), b[0]) for seed, b in by_seed.items()]
        assert any(depends) == (name in AXES)

    def test_so_are_their_errors(self, found):
        name, by_seed = found
        if name in AXES:
            pytest.skip("its coefficients depend on the axes")
        for seed, (plain, turned, _) in by_seed.items():
            errors = score_coefficients(plain, PLAIN.truth(seed))
            again = score_coefficients(unscramble(turned, TURNED.truth(seed)), TURNED.truth(seed))
            expected = pytest.approx(dataclasses.asdict(errors), rel=1e-6, abs=1e-9)
            assert dataclasses.asdict(again) == expected

    def test_a_method_that_depends_on_the_axes_does_not_claim_the_contrary(self):
        assert [name for name in METHODS if method(name).tolerates.scrambled == "no"] == sorted({*AXES} - {"fishr"})

    @pytest.mark.parametrize(
        ("optimizer", "start", "turned_too", "depends"),
        [
            ("sgd", 0.0, False, False),
            ("sgd", 1.0, True, False),
            ("sgd", 1.0, False, True),
            ("adam", 0.0, False, True),
        ],
    )
    def test_adam_has_axes_and_so_has_a_start_unless_it_is_zero_or_turned_too(
        self, optimizer, start, turned_too, depends
    ):
        S, m = TURNED.truth(0).unscramble, method("vrex", penalty_weight=1e-3)

        class Turned(type(m)):
            def parameters(self, start, environments):
                return S.mT @ start  # in the observed coordinates

        solver = Solver(optimizer=optimizer, learning_rate=1e-3, steps=30, start=start)
        (plain,) = of_first_seed(m, solver, [PLAIN.sample(N, 0)])
        (turned,) = of_first_seed(Turned(penalty_weight=1e-3) if turned_too else m, solver, [TURNED.sample(N, 0)])
        assert differs(S @ turned, plain) == depends

    def test_the_box_of_games_has_axes(self):
        m = method("irm_games", bound=0.2)
        plain, turned = of_first_seed(m, FROM_ZERO, [PLAIN.sample(N, 0), TURNED.sample(N, 0)])
        assert differs(TURNED.truth(0).unscramble @ turned, plain)


class TestOrderOfEnvironments:
    def test_makes_no_difference_but_to_those_listed(self, found):
        name, by_seed = found
        assert any(differs(others, plain) for plain, _, others in by_seed.values()) == (name in ORDERED)

    def test_a_method_says_that_it_minds(self):
        minding = [name for name in METHODS if method(name).ordered or method(name).needs_split]
        assert minding == sorted(ORDERED)

    def test_random_halves_belong_to_places(self):
        m, sample = method("irmv1", variant="split", penalty_weight=1e-3), PLAIN.sample(N, 0)
        plain, *others = of_first_seed(m, FROM_ZERO, [sample, *(reordered(sample, order) for order in ORDERS)])
        assert differs(torch.stack(others), plain)

    @pytest.mark.parametrize(("first", "second"), [("012", "021"), ("102", "120"), ("201", "210")])
    def test_only_the_first_place_matters_to_drig(self, first, second):
        m, sample = method("drig"), PLAIN.sample(N, 0)
        samples = [reordered(sample, map(int, order)) for order in (first, second)]
        assert_close(*of_first_seed(m, resolve_solver(m, "official"), samples))

    def test_a_holdout_leaves_out_the_last(self):
        all_of_them, held_out = (dataset("irm_chain", holdout_last=h).population(0) for h in (False, True))
        assert torch.equal(held_out.second, all_of_them.second[:2])


class TestHalves:
    @pytest.mark.parametrize("n", [4, 5])
    def test_ustat_is_the_mean_of_split_over_all_halves(self, n):
        examples = PLAIN.sample(n, 0)
        phi = torch.tensor([0.5, -1.0, 2.0, 0.3], dtype=torch.float64)
        split, ustat = method("irmv1", variant="split"), method("irmv1", variant="ustat")
        penalties = []
        for chosen in itertools.combinations(range(n), (n + 1) // 2):
            half = torch.zeros(3, n, dtype=torch.float64)
            half[:, list(chosen)] = 1
            penalties.append(split.penalty(environments(examples, split, phi, half=half)))
        expected = ustat.penalty(environments(examples, ustat, phi))
        assert_close(torch.stack(penalties).mean(0), expected, rtol=1e-12, atol=1e-10)


# Risks under hard interventions, of coefficients b of causes and c of effects: what is set is independent of all noise.
HARD = [
    ("irm_appendix_d", {}, 5, lambda b, c, w: 0.01 * (2 + (1 - b) @ (1 - b)) + 9 * c @ c),  # do(z), e = .1
    ("irm_appendix_d", {}, 6, lambda b, c, w: 2 + (1 - b) @ (1 - b) + 9 * c @ c),  # do(z), e = 1
    ("irm_chain", {}, 4, lambda b, c, w: 9 * (1 - b - c) @ (1 - b - c) + (1 - c) @ (1 - c) + c @ c),  # do(x)
    ("irm_chain", {}, 5, lambda b, c, w: 2 * (1 - b) @ (1 - b) + 5 + 9 * c @ c),  # do(z)
    ("y_intervention", {}, 4, lambda b, c, w: 9 * (1 - b - c) @ (1 - b - c) + (1 - c) @ (1 - c) + c @ c),  # do(x)
    ("y_intervention", {}, 5, lambda b, c, w: 2 * (1 - b) @ (1 - b) + 5 + 9 * c @ c),  # do(z)
    ("anchor_iv", {}, 2, lambda b, c, w: 9 * (b - 1) @ (b - 1) + 4 + 1),  # do(x), beside 2 h + noise
    ("anchor_h", {}, 2, lambda b, c, w: 9 * (b - 1) @ (b - 1) + 4 * 2 + 1),  # do(x), where E[h^2] = 2
    ("gaussian_iv", {}, 3, lambda b, c, w: 9 * (b - w["b"]) @ (b - w["b"]) + w["uy"] @ w["uy"] + 1),  # do(x)
    # do(x1, x3); y - b x2 = (2 - b) h + (1 - b) e + noise
    ("causal_dantzig_example", {}, 4, lambda b, c, w: (2 - b) @ (2 - b) + (1 - b) @ (1 - b) + 1 + 9 * c @ c),
    ("causal_dantzig_example", {}, 5, lambda b, c, w: (2 - b) @ (2 - b) + 4 * (1 - b) @ (1 - b) + 1 + 9 * c @ c),
]


def monte_carlo(examples, e, coefficients):
    """Return the mean squared error in environment e, and its standard error."""
    square = (examples.targets[e] - examples.inputs[e] @ coefficients) ** 2
    return square.mean().item(), square.std().item() / len(square) ** 0.5


class TestHardInterventions:
    @pytest.mark.parametrize(("name", "params", "e", "formula"), HARD, ids=[f"{h[0]}-{h[2]}" for h in HARD])
    def test_the_formula_is_the_exact_risk_and_that_of_a_sample(self, name, params, e, formula):
        data = dataset(name, **params)
        causes = int(data.truth(0).causal.sum())
        examples, moments, rng = data.test_sample(50_000, 0), data.test_population(0), np.random.default_rng(0)
        for _ in range(3):
            drawn = rng.standard_normal(examples.inputs.shape[-1])
            coefficients = torch.from_numpy(drawn)
            risk = formula(drawn[:causes], drawn[causes:], data.seeded_weights(0))
            exact = environments(moments, method("zero"), coefficients).risk[e].item()
            sampled, error = monte_carlo(examples, e, coefficients)
            assert exact == pytest.approx(risk, rel=1e-10)
            assert sampled == pytest.approx(risk, abs=5 * error)

    @pytest.mark.parametrize("e", [3, 4, 5])
    def test_setting_all_inputs_costs_the_squared_error_in_their_second_moments(self, e):
        # Var(eps_Y) + (b - b*)' Omega (b - b*), with Omega = diag(variances) + means means' of what inputs are set to.
        data, seed = dataset("random_sem", kind="do"), 1
        weights, env, truth = data.seeded_weights(seed), data.testing(seed)[e], data.truth(seed)
        into = np.delete(weights["W"][:, data.target] != 0, data.target)
        order = [*np.flatnonzero(into), *np.flatnonzero(~into)]
        means, variances = np.array(env.means)[order], np.array(env.variances)[order]
        examples, moments = data.test_sample(50_000, seed), data.test_population(seed)
        coefficients = torch.from_numpy(np.random.default_rng(0).standard_normal(10))
        off = (coefficients - truth.coefficients).numpy()
        risk = weights["s"][data.target] + variances @ off**2 + (means @ off) ** 2
        exact = environments(moments, method("zero"), coefficients).risk[e].item()
        sampled, error = monte_carlo(examples, e, coefficients)
        assert exact == pytest.approx(risk, rel=1e-10)
        assert sampled == pytest.approx(risk, abs=5 * error)
