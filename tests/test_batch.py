"""A trial's numbers do not depend on the batch it runs in, and a step touches neither the host nor another device."""

import dataclasses

import pytest
import torch
from support import batch, dataset, method
from torch.testing import assert_close

import irmbench.engine.solve
from irmbench import plugins
from irmbench.engine.batch import Splitter
from irmbench.engine.descent import one_step, start
from irmbench.engine.solve import closed_form, descends, solve
from irmbench.interface import Method, Solver

SGD = Solver(optimizer="sgd", learning_rate=1e-3, steps=40)
ADAM = Solver(optimizer="adam", learning_rate=1e-2, steps=40)
NEWTON = Solver(optimizer="newton")
DRAWS = {
    "erm": [{}],
    "irmv1": [{"penalty_weight": w} for w in (0.5, 2.0)],
    "vrex": [{"penalty_weight": w} for w in (0.5, 2.0)],
    "mm_rex": [{"beta": w} for w in (0.5, 2.0)],
    "iga": [{"penalty_weight": w} for w in (0.5, 2.0)],
    "group_dro": [{"eta": w} for w in (0.01, 0.1)],
    "and_mask": [{"tau": w} for w in (0.5, 1.0)],
    "ridge": [{"penalty_weight": w} for w in (0.5, 2.0)],
    "anchor_regression": [{"gamma": w} for w in (0.5, 2.0)],
    "drig": [{"gamma": w} for w in (0.5, 2.0)],
    "coral": [{"penalty_weight": w} for w in (0.5, 2.0)],
    "mmd": [{"penalty_weight": w} for w in (0.5, 2.0)],
    "causirl": [{"penalty_weight": w} for w in (0.5, 2.0)],
    "sand_mask": [{"tau": w} for w in (0.2, 0.5)],
    "fish": [{"meta_rate": w} for w in (0.1, 0.5)],
    "irm_games": [{"bound": w} for w in (0.3, 5.0)],
    "sd": [{"penalty_weight": w} for w in (0.5, 2.0)],
    "ib_erm": [{"penalty_weight": w} for w in (0.5, 2.0)],
    "ib_irm": [{"penalty_weight": w} for w in (0.5, 0.9)],
    "irmx": [{"penalty_weight": w} for w in (0.5, 2.0)],
    "birm": [{"penalty_weight": w, "prior_sd_coef": 20.0} for w in (0.5, 2.0)],
    "mean_calibration": [{"penalty_weight": w} for w in (0.5, 2.0)],
    "eqrm": [{"alpha": w} for w in (0.75, -2.0)],
    "fishr": [{"penalty_weight": w} for w in (1e-3, 1e-2)],
}
OFFICIAL = {"and_mask", "sand_mask", "fish", "irm_games", "causirl", "mmd"}  # which only official solvers run

# Newton looks at the objective, whose gradient other methods than these descend.
DESCENDS = ["irmv1", *[name for name in DRAWS if method(name).defines("direction") or name in OFFICIAL]]
SOLVED = [
    *[(name, NEWTON) for name in DRAWS if name not in OFFICIAL],
    *[(name, ADAM) for name in DESCENDS],
    *[(name, SGD) for name in ("irmv1", "group_dro", "fish")],  # its direction is Adam's
]


@pytest.mark.parametrize(("name", "solver"), SOLVED, ids=lambda value: getattr(value, "optimizer", value))
def test_a_trial_alone_gives_the_numbers_it_gives_in_a_batch(name, solver):
    data = dataset("irm_appendix_d", n=100)
    methods = [method(name, **params) for params in DRAWS[name]]
    together = solve(batch(data, methods, solver, seeds=4)).coefficients
    assert torch.isfinite(together).all()
    alone = solve(batch(data, methods[-1], solver, seeds=[2])).coefficients[0, 0]
    assert_close(together[2, -1], alone, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["icp", "oracle_parents"])
def test_closed_forms_are_the_same_seed_by_seed_where_memory_is_short(name, monkeypatch):
    whole = batch(dataset("irm_chain", n=50), method(name), "converged", seeds=3)
    together = closed_form(whole)
    monkeypatch.setattr(irmbench.engine.solve, "WORKSPACE", 1)
    assert_close(closed_form(whole), together, rtol=1e-12, atol=1e-14)


def test_random_splits_do_not_depend_on_the_batch():
    data, m = dataset("irm_appendix_d", n=101), method("irmv1", variant="split", penalty_weight=1.0)
    together = solve(batch(data, m, SGD, seeds=3)).coefficients
    for s in range(3):
        assert_close(together[s], solve(batch(data, m, SGD, seeds=[s])).coefficients[0], rtol=1e-9, atol=0)


def test_learning_rates_may_differ_within_a_batch():
    data, m = dataset("irm_appendix_d", n=100), method("vrex", penalty_weight=1.0)
    base = batch(data, [m, m], SGD)
    mixed = dataclasses.replace(base, solvers=[SGD, dataclasses.replace(SGD, learning_rate=1e-2)])
    fit = solve(mixed).coefficients[0]
    for h, rate in enumerate((1e-3, 1e-2)):
        alone = solve(batch(data, m, dataclasses.replace(SGD, learning_rate=rate))).coefficients[0, 0]
        assert_close(fit[h], alone, rtol=1e-9, atol=0)


@dataclasses.dataclass(frozen=True)
class Decayed(Method):
    """A method with a field of a solver's name, an annealed objective, and a state."""

    weight_decay: float = 10.0

    def initial_state(self, environments):
        return torch.ones(environments, dtype=torch.float64)

    def objective(self, env):
        late = (env.step >= 3) * self.weight_decay
        return (env.state * env.risk).mean() + late * env.coefficients.square().sum()


def test_a_method_s_field_is_its_own_whatever_the_solver_s_are_called():
    data = dataset("irm_appendix_d", n=100)
    whole = batch(data, Decayed(), NEWTON)
    A, b = whole.data.gram[0].mean(0), whole.data.cross[0].mean(0)
    ridge = torch.linalg.solve(A + 10 * torch.eye(4).double(), b)
    assert_close(solve(whole).coefficients[0, 0], ridge)


def test_an_objective_that_reads_step_and_state_runs_step_by_step():
    fit = solve(batch(dataset("irm_appendix_d", n=100), Decayed(), SGD))
    assert torch.isfinite(fit.objective).all()


@pytest.mark.parametrize("n", [10, 11])
def test_a_split_is_of_equal_halves_and_fresh_at_every_step(n):
    examples = dataset("irm_appendix_d", n=n).sample(n, 0)
    splitter = Splitter(examples.with_tensors(examples.inputs[None], examples.targets[None]), [0])
    draws = torch.stack([splitter() for _ in range(2000)])
    assert draws.sum(-1).unique().tolist() == [(n + 1) // 2]
    frequency = draws.mean(0)
    expected = ((n + 1) // 2) / n
    assert (frequency - expected).abs().max() < 5 * (expected * (1 - expected) / 2000) ** 0.5


def test_a_random_part_has_every_size_from_none_to_all_but_one():
    examples = dataset("irm_appendix_d").sample(4, 0)
    data = examples.with_tensors(examples.inputs[None], examples.targets[None])
    splitter = Splitter(data, [0], "random")
    draws = torch.stack([splitter() for _ in range(2000)])
    sizes = draws.sum(-1).flatten().long().bincount(minlength=5) / draws[..., 0].numel()
    assert sizes[4] == 0
    assert (sizes[:4] - 0.25).abs().max() < 0.03
    assert (draws.mean((0, 1, 2)) - 1.5 / 4).abs().max() < 0.05


@pytest.mark.parametrize("logistic", [False, True], ids=["squared", "logistic"])
@pytest.mark.parametrize("name", sorted(plugins.discover("methods")))
def test_every_step_runs_on_the_meta_device(name, logistic):
    # There a mixture of devices raises, and so does asking for a value: proof, without a GPU, that neither happens.
    data, m = dataset("unit_test_2" if logistic else "irm_appendix_d", n=20), method(name)
    plain = batch(data, m, ADAM, seeds=2)
    moved = dataclasses.replace(plain, data=plain.data.to("meta"), truths=[t.to("meta") for t in plain.truths])
    if not descends(m):
        assert closed_form(moved).is_meta
        return
    own = start(moved)
    step = torch.zeros(2, dtype=torch.float64, device="meta")
    half = [torch.zeros_like(moved.data.tensors[1])] if m.needs_split else []
    parameters, *_ = moved.lift(one_step(moved), own=len(own))(*own, step, *half)
    assert parameters.is_meta
    assert parameters.shape == own[0].shape
