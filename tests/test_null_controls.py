"""Negative controls, over many seeds: where there is nothing to find, all that a method does is a cost.

Environments of iid_null do not differ; those of no_invariance differ in the causal coefficients themselves; in
y_intervention the target is intervened on; and symmetric_shift has two that differ in the sign of their means alone.
"""

import math
from functools import cache
from typing import NamedTuple

import pytest
import torch
from scipy import stats
from support import dataset, method
from torch.func import vmap
from torch.testing import assert_close

from irmbench import plugins
from irmbench.engine.batch import Batch
from irmbench.engine.risks import environments
from irmbench.engine.solve import descends, resolve_solver, solve, why_not
from irmbench.interface import Oracle
from irmbench.moments import compress, stack
from irmbench.runs.scores import score_coefficients

SEEDS, SAMPLES, N = 60, 100, 1000
LEVEL = 0.01  # that any method at all is called closer to the causes than another by chance
MARGIN = 1e-3  # a distance smaller by less than this is an optimiser's last steps
VARIANTS = ["r", "causalicp", "irm_paper", "eills"]

METHODS = sorted(plugins.discover("methods"))
ORACLES = ["oracle_beta", "oracle_parents"]
NO_INSTRUMENT = ["iv_2sls"]  # environments that shift no means: it says so, and does not run
RUNNING = [name for name in METHODS if name not in NO_INSTRUMENT]

# One cause and one effect: all seeds of both controls, three environments each, are one batch.
CONTROLS = {name: dataset(name, n=N, d=1, environments=3) for name in ("iid_null", "no_invariance")}
CAUSES = CONTROLS["iid_null"].truth(0)

# What the converged solver refuses, or takes longest for: steps enough to settle. (By the converged solver eqrm and
# group_dro, too, are least squares up to its noise in the one control, and closer to the causes in the other.)
SETTLED = {
    "and_mask": {"steps": 300, "learning_rate": 0.02},
    "birm": {"steps": 1000, "learning_rate": 0.02},
    "causirl": {"steps": 30, "learning_rate": 0.05, "start": 0.5},
    "eqrm": {"steps": 150, "learning_rate": 0.03},
    "fish": {"steps": 2500, "learning_rate": 2.0},
    "fishr": {"steps": 40, "learning_rate": 0.1},
    "group_dro": {"steps": 500, "learning_rate": 0.02},
    "irm_games": {"steps": 1500},
    "mmd": {"optimizer": "sgd", "steps": 30, "learning_rate": 0.05, "start": 0.0},
    "sand_mask": {"steps": 300, "learning_rate": 0.02},
}
PARAMS = {"mmd": {"examples": 16}}  # of pairs there are as many as the square

# Methods whose typical distance to what least squares has in the limit is more than three times least squares' own,
# where environments do not differ, and why. All others are least squares up to noise of its size.
DIFFERENCES = "the environments' differences, all sampling error, outweigh the risk"
COSTLY = {
    "birm": "doubts the dummy predictor by 1200 / 3000, and shrinks to nothing",
    "causal_dantzig": "solves for the inputs' differences, all sampling error",
    "drig": "weighs what the others have over the reference, all sampling error, five times",
    "fishr": DIFFERENCES,
    "ib_erm": "shrinks by 1 / 1.1",
    "ib_irm": DIFFERENCES,
    "icp": "accepts every set, and the empty one among them leaves nothing",
    "iga": DIFFERENCES,
    "irmv1": "three dummy gradients, of two coefficients, are zero together nowhere but at zero",
    "irmx": DIFFERENCES,
    "mean_calibration": DIFFERENCES,
    "mm_rex": DIFFERENCES,
    "mmd": "makes the first 16 predictions alike",
    "oracle_beta": "knows the causes",
    "oracle_parents": "knows the causes",
    "random": "looks at nothing",
    "sd": "shrinks by 1 / 1.1",
    "vrex": DIFFERENCES,
    "zero": "looks at nothing",
}

# Methods that come closer to the mean causal coefficients than least squares where these change, and why. Least squares
# leans on the effect; it follows the target by another slope in every environment, and what minds that drops it.
UNEQUAL = "risks and predictions that use the effect are not alike in the environments"
CLOSER = {
    "causirl": UNEQUAL,
    "coral": UNEQUAL,
    "eqrm": UNEQUAL,
    "group_dro": UNEQUAL,
    "irmx": UNEQUAL,
    "mm_rex": UNEQUAL,
    "oracle_beta": "knows the causes",
    "oracle_parents": "knows the causes",
    "stabilised_regression": "finds the causes less unstable than the effect",
    "vrex": UNEQUAL,
}


@cache
def sampled_moments(name, n=N, **params):
    """Return the moments of samples, the seeds in front."""
    data = dataset(name, n=n, **params)
    return stack([compress(data.sample(n, seed)) for seed in range(SAMPLES)])


def fits(m, moments):
    """Return a closed form's coefficients for every seed, [S, P]."""
    return vmap(lambda *data: m.fit(moments.with_tensors(*data)))(*moments.tensors)


def is_closer(distance, other):
    """Whether distances [S] are smaller than others of the same seeds: a one-sided t-test at LEVEL, for all methods."""
    gain = distance - other + MARGIN
    t = gain.mean() / (gain.std() / math.sqrt(len(gain))).clamp(min=1e-12)
    return bool(t < stats.t.ppf(LEVEL / len(METHODS), len(gain) - 1))


class Found(NamedTuple):
    """A method's coefficients [S, P] and their relative distances to the causal ones [S], by control."""

    name: str
    coefficients: dict
    distance: dict


@pytest.fixture(scope="module")
def data():
    """All seeds of one control after those of the other, as examples and as moments."""
    examples = [control.sample(N, seed) for control in CONTROLS.values() for seed in range(SEEDS)]
    return stack(examples), stack([compress(one) for one in examples])


def solved(name, data):
    m, (examples, moments) = method(name, **PARAMS.get(name, {})), data
    solver = resolve_solver(m, "official" if name in SETTLED else "converged", **SETTLED.get(name, {}))
    seen = examples if m.needs_examples or m.needs_split else moments
    seeds = [*range(SEEDS)] * len(CONTROLS)
    fitted = solve(Batch([m], seen, [CAUSES] * len(seeds), [solver], seeds)).coefficients[:, 0]
    assert torch.isfinite(fitted).all()
    distance = torch.tensor([score_coefficients(row, CAUSES).distance for row in fitted], dtype=torch.float64)
    coefficients, distances = (dict(zip(CONTROLS, t.split(SEEDS), strict=True)) for t in (fitted, distance))
    return Found(name, coefficients, distances)


@pytest.fixture(scope="module", params=RUNNING)
def found(request, data):
    return solved(request.param, data)


@pytest.fixture(scope="module")
def erm(data):
    return solved("erm", data)


@pytest.fixture(scope="module")
def parents(data):
    return solved("oracle_parents", data)


class TestIdenticalEnvironments:
    def test_instruments_alone_are_refused(self):
        def refused(m):
            return all(why_not(m, CONTROLS["iid_null"], s, 3, True) for s in solvers(m))

        def solvers(m):
            return [resolve_solver(m, name) for name in ("official", "converged")]

        assert [name for name in METHODS if refused(method(name))] == NO_INSTRUMENT

    def test_no_method_is_three_times_as_far_from_the_causes_as_least_squares(self, found, erm):
        assert found.distance["iid_null"].mean() <= 3 * erm.distance["iid_null"].mean()

    def test_what_is_three_times_as_far_from_the_limit_of_least_squares_is_listed_with_its_reason(self, found, erm):
        limit = method("erm").fit(CONTROLS["iid_null"].population(0))
        strayed, noise = ((one.coefficients["iid_null"] - limit).norm(dim=-1) for one in (found, erm))
        assert bool(strayed.median() > 3 * noise.mean()) == (found.name in COSTLY)

    def test_nothing_but_knowledge_of_the_causes_is_closer_to_them_than_least_squares(self, found, erm):
        closer = is_closer(found.distance["iid_null"], erm.distance["iid_null"])
        assert closer == (found.name in ORACLES)

    def test_exact_moments_leave_contrasts_and_instruments_undefined(self):
        moments = CONTROLS["iid_null"].population(0)
        undefined = [name for name in METHODS if method(name).undefined(moments)]
        assert undefined == ["anchor_regression", "causal_dantzig", "drig", "iv_2sls"]

    @pytest.mark.parametrize(
        ("variant", "level"),
        # Each environment is tested twice, for mean and variance, and of three environments r and causalicp count two.
        # (Variant eills, whose p-values are less by 1, promises nothing.)
        [("r", 0.01 * 3 / 2), ("causalicp", 0.05 * 3 / 2), ("irm_paper", 0.05)],
    )
    def test_icp_rejects_a_set_no_more_often_than_its_level(self, variant, level):
        tested = 1 if variant == "irm_paper" else 0  # the empty set, first in order, is not
        rejected = 1 - accepted(method("icp", variant=variant), sampled_moments("iid_null", d=1)).double().mean(0)
        assert (rejected[tested:] <= level + 3 * math.sqrt(level / SAMPLES)).all()


def accepted(m, moments):
    """Return whether ICP accepts each subset, for every seed, [S, 2^d]."""
    return vmap(lambda *data: m.accepted(moments.with_tensors(*data)))(*moments.tensors)


def resting(m, moments):
    """Return how far a method moves from pooled least squares on exact moments: its step, or else its closed form."""
    start, count = method("erm").fit(moments), moments.second.shape[0]
    if not descends(m):
        return float((m.fit(moments) - start).norm())
    env = environments(moments, m, m.parameters(start, count), state=m.initial_state(count))
    env.state = m.next_state(env)
    return float(m.direction(env).norm())


SHRINKING = ["ib_erm", "ib_irm", "icp", "ridge", "sd", "zero"]
MATCHING = ["coral", "mmd"]  # predictions' distributions, which have means


class TestExactMoments:
    """Sampling error apart, objectives want nothing but least squares where environments do not differ."""

    @pytest.mark.parametrize(
        ("control", "moving"),
        [("iid_null", SHRINKING), ("symmetric_shift", sorted(SHRINKING + MATCHING))],
        ids=["identical", "alike in second moments"],
    )
    def test_what_moves_from_least_squares_is_what_shrinks_or_sees_means(self, control, moving):
        moments = dataset(control, d=1).population(0)
        asked = [
            name
            for name in METHODS
            # Oracles know more, and causirl compares random parts of examples.
            if not isinstance(m := method(name), Oracle) and not m.needs_split and m.undefined(moments) is None
        ]
        assert [name for name in asked if resting(method(name), moments) > 1e-6] == moving


class TestNoInvariance:
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_icp_accepts_nothing_given_exact_moments(self, variant):
        data, m = dataset("no_invariance"), method("icp", variant=variant)
        assert not any(m.accepted(data.population(seed)).any() for seed in range(10))

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_icp_accepts_nothing_in_95_of_100_samples(self, variant):
        moments = sampled_moments("no_invariance")
        assert (~accepted(method("icp", variant=variant), moments)).all(-1).double().mean() >= 0.95

    def test_what_is_closer_to_the_mean_causes_than_least_squares_is_listed_with_its_reason(self, found, erm):
        closer = is_closer(found.distance["no_invariance"], erm.distance["no_invariance"])
        assert closer == (found.name in CLOSER)

    def test_nothing_but_the_oracle_is_closer_than_least_squares_on_the_causes(self, found, parents):
        closer = is_closer(found.distance["no_invariance"], parents.distance["no_invariance"])
        assert closer == (found.name == "oracle_beta")


class TestInterventionsOnTheTarget:
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_icp_accepts_nothing_in_95_of_100_samples(self, variant):
        moments = sampled_moments("y_intervention", d=2)
        assert (~accepted(method("icp", variant=variant), moments)).all(-1).double().mean() >= 0.95

    def test_instruments_are_misled_to_the_effects(self):
        # Means shift the target first and the effects after it, so that effects alone leave residuals of mean zero.
        limit = method("anchor_regression", gamma=1e8).fit(dataset("y_intervention").population(0))
        assert_close(limit, torch.tensor([0.0] * 5 + [1.0] * 5).double(), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("name", ["eills", "fair_ll"])
    def test_uncorrelated_residuals_are_the_causes_still(self, name):
        # Without an intercept: the inputs' means are zero, so residuals of another mean are uncorrelated with them.
        found = fits(method(name), sampled_moments("y_intervention", d=2))
        assert (found[:, 2:] == 0).all(-1).double().mean() >= 0.95
        assert_close(found[:, :2].mean(0), torch.ones(2).double(), rtol=0, atol=0.01)

    @pytest.mark.parametrize(("name", "limit"), [("causal_dantzig", {}), ("drig", {"gamma": 1e8})])
    def test_equal_inner_products_are_not(self, name, limit):
        # E_e[z (y - x)] = s^2 + m^2 changes with the environment.
        data, m = dataset("y_intervention", d=1), method(name, **limit)
        assert m.undefined(data.population(0)) is None
        assert (m.fit(data.population(0)) - data.truth(0).coefficients).norm() > 0.1


class TestSymmetricShift:
    """Second moments say nothing, and means do."""

    @pytest.mark.parametrize("name", ["causal_dantzig", "drig"])
    def test_exact_contrasts_are_undefined(self, name):
        assert method(name).undefined(dataset("symmetric_shift").population(0)) is not None

    @pytest.mark.parametrize(
        ("name", "params", "factor"),
        [
            ("erm", {}, 10),
            ("causal_dantzig", {}, 1),
            ("causal_dantzig", {"variant": "one_vs_rest"}, 1),
            ("drig", {"gamma": 1e8}, 1),
        ],
    )
    def test_a_hundredfold_sample_is_ten_times_as_good_for_least_squares_and_no_better_for_a_contrast(
        self, name, params, factor
    ):
        limit = method("erm").fit(dataset("symmetric_shift", d=1).population(0))
        few, many = (
            (fits(method(name, **params), sampled_moments("symmetric_shift", n=n, d=1)) - limit).norm(dim=-1).median()
            for n in (100, 10_000)
        )
        assert few / many == pytest.approx(factor, rel=0.4)

    def test_means_tell_icp_the_cause(self):
        found = fits(method("icp"), sampled_moments("symmetric_shift", d=1)) != 0
        assert (found == torch.tensor([True, False])).all(-1).double().mean() >= 0.95
