"""Execution in batches: a trial's numbers are its own, and so are its failures."""

import math
import random
from importlib import metadata

import msgspec
import pytest
import torch

from irmbench.moments import compress
from irmbench.runs import planning
from irmbench.runs.execution import run_job, screen
from irmbench.runs.planning import build, plan
from irmbench.suite import parse, trials

HEADER = "from dataclasses import dataclass\n\nimport torch\n\nfrom irmbench.interface import Method, hyper\n"
METHOD = (
    HEADER
    + '''

@dataclass(frozen=True)
class {name}(Method):
    """A method of a user's own."""

    weight: float = hyper(1.0, "a weight")

    def {body}
'''
)

RAISES = """objective(self, env):
        raise ArithmeticError("no luck")"""
RAISES_ABOVE = """fit(self, moments):
        return torch.linalg.inv(torch.eye(4, dtype=torch.float64) * (self.weight < 5)) @ moments.cross[0]"""
DIVERGES = """objective(self, env):
        return env.risk.sum() * float("nan")"""
INFINITE = """fit(self, moments):
        return moments.cross[0] / 0.0"""
OVERFLOWS = """fit(self, moments):
        return torch.full_like(moments.cross[0], 1e200)"""
TOO_LONG = """fit(self, moments):
        return torch.ones(moments.dimension + 1, dtype=torch.float64)"""
TOO_SHORT = """fit(self, moments):
        return torch.ones(moments.dimension - 1, dtype=torch.float64)"""
SCALAR = """fit(self, moments):
        return moments.cross.sum()"""
NO_TENSOR = """fit(self, moments):
        return [1.0] * moments.dimension"""
SINGLE = """fit(self, moments):
        return torch.ones(moments.dimension)"""
VECTOR = """objective(self, env):
        return env.risk"""
PER_ENVIRONMENT = """direction(self, env):
        return env.gradient"""


def suite(methods, datasets='{ id = "irm_appendix_d", n = 50 }', solvers='{ name = "official", steps = 20 }', more=""):
    return trials(
        parse(
            f'name = "tiny"\nseeds = 2\n[[experiments]]\ndatasets = [{datasets}]\nmethods = [{methods}]\n'
            f"solvers = [{solvers}]\n{more}"
        )
    )


def run(planned):
    """Return the records of all trials by their id."""
    runnable, refused = screen(planned)
    return {r["trial_id"]: r for records in (refused, *map(run_job, plan(runnable))) for r in records}


def alone(trial):
    """Return the record of a trial that is run in a batch of its own."""
    (record,) = run([trial]).values()
    return record


MIXED = suite(
    '"erm", "vrex", "and_mask", "group_dro", { id = "irmv1", variant = ["scale_sq", "split"] }',
    '{ id = "irm_chain", n = 30, d = 2, y_noise = ["unit", "environment"] }',
    more="draws = 2",
) + suite('"erm", "vrex", "group_dro", "and_mask"', '{ id = "irm_appendix_d", d = 1, n = 50 }', '"converged"')


@pytest.fixture(scope="module")
def mixed():
    """The records of many methods on several datasets by two solvers."""
    return run(MIXED)


def same_numbers(found, expected):
    """Whether two records of one trial agree to what its solver promises."""
    assert found["status"] == expected["status"]
    if found["status"] != "ok":
        return
    tolerance = 1e-8 if expected["solved_by"] == "closed form" else 1e-6
    for key in ("coefficients", "distance", "worst_test_risk", "invariance_residual"):
        assert found[key] == pytest.approx(expected[key], rel=tolerance, abs=1e-12)


def test_every_trial_has_exactly_one_record(mixed):
    runnable, refused = screen(MIXED)
    ids = [r["trial_id"] for r in refused] + [t.id for job in plan(runnable) for t in job.trials]
    assert sorted(ids) == sorted(trial.id for trial in MIXED)
    assert set(mixed) == set(ids)


@pytest.mark.parametrize(
    ("method", "solver"),
    [("erm", "official"), ("vrex", "official"), ("and_mask", "official"), ("group_dro", "official"),
     ("irmv1", "official"), ("vrex", "converged"), ("group_dro", "converged")],
)  # fmt: skip
def test_a_trials_numbers_do_not_depend_on_its_batch(mixed, method, solver):
    candidates = [t for t in MIXED if (t.method, t.solver) == (method, solver)]
    trial = random.Random(method).choice(candidates)
    assert mixed[trial.id]["status"] == "ok"
    same_numbers(alone(trial), mixed[trial.id])


def test_a_trials_numbers_do_not_depend_on_the_order_of_trials(mixed):
    for trial_id, record in run(random.Random(1).sample(MIXED, len(MIXED))).items():
        same_numbers(record, mixed[trial_id])


def test_jobs_are_rectangles_of_one_source_a_row():
    for job in plan(screen(MIXED)[0]):
        rows = [job.trials[i : i + job.draws] for i in range(0, len(job.trials), job.draws)]
        assert all(len({(t.dataset, str(t.dataset_params), t.data_seed) for t in row}) == 1 for row in rows)
        columns = [[(t.method_params, t.solver_params) for t in row] for row in rows]
        assert all(column == columns[0] for column in columns)


def test_seeds_and_draws_share_one_job():
    (job,) = plan(suite('"vrex"', more="draws = 3"))
    assert (len(job.trials), job.draws) == (6, 3)


def test_datasets_of_one_shape_share_one_job():
    assert len(plan(suite('"vrex"', '{ id = "irm_chain", n = [30, 40], y_noise = ["unit", "environment"] }'))) == 1


def test_methods_that_differ_in_more_than_floats_do_not():
    assert len(plan(suite('{ id = "vrex", risk = ["mean", "sum"] }'))) == 2


def test_rows_with_different_draws_make_a_job_each():
    planned = suite('"vrex"', more="draws = 3")
    rest = [t for t in planned if (t.data_seed, t.draw) != (1, 2)]
    assert sorted((len(job.trials), job.draws) for job in plan(rest)) == [(2, 2), (3, 3)]


def test_rows_with_different_draws_have_the_same_numbers():
    planned = suite('"vrex"', more="draws = 3")
    rest = [t for t in planned if (t.data_seed, t.draw) != (1, 1)]
    whole, part = run(planned), run(rest)
    assert len(part) == 5
    for trial_id, record in part.items():
        assert record["coefficients"] == pytest.approx(whole[trial_id]["coefficients"], rel=1e-6)


def test_a_job_is_no_larger_than_a_batch_may_be(monkeypatch):
    planned = suite('"vrex"', more="draws = 3\nseeds = 7")
    monkeypatch.setattr(planning, "MAX_TRIALS", 6)
    jobs = plan(planned)
    assert [len(job.trials) for job in jobs] == [6, 6, 6, 3]
    assert sorted(t.id for job in jobs for t in job.trials) == sorted(t.id for t in planned)


def test_a_job_on_examples_holds_no_more_of_them_than_a_batch_may(monkeypatch):
    planned = suite('{ id = "irmv1", variant = "ustat" }', more="seeds = 5")
    monkeypatch.setattr(planning, "MAX_ELEMENTS", 2 * 2 * 50)  # two trials of two environments of 50
    assert [len(job.trials) for job in plan(planned)] == [2, 2, 1]


def test_one_seeds_draws_on_examples_hold_no_more_than_a_batch_may(monkeypatch):
    planned = suite('{ id = "irmv1", variant = "ustat" }', more="seeds = 1\ndraws = 6")
    monkeypatch.setattr(planning, "MAX_ELEMENTS", 2 * 2 * 50)
    assert max(len(job.trials) for job in plan(planned)) <= 2


def test_the_recorded_steps_are_after_their_update():
    (trial, _) = suite('{ id = "erm", weighting = "balanced" }', solvers='"converged"', more="record_every = 3")
    sgd = {**trial.solver_params, "optimizer": "sgd", "learning_rate": 0.1, "steps": 8}
    record = alone(msgspec.structs.replace(trial, solver="official", solver_params=sgd))
    dataset, _, _ = build(trial)
    moments = compress(dataset.sample(dataset.n, trial.data_seed))
    phi, path = torch.ones(4, dtype=torch.float64), []
    for _ in range(8):
        phi = phi - 0.1 * 2 * (moments.gram @ phi - moments.cross).mean(0)
        path.append(phi.tolist())
    assert [step for step, _ in record["trajectory"]] == [0, 3, 6, 7]
    for step, coefficients in record["trajectory"]:
        assert coefficients == pytest.approx(path[step])
    assert record["coefficients"] == pytest.approx(path[-1])


def test_nothing_is_recorded_unasked():
    assert "trajectory" not in alone(suite('"vrex"')[0])


def test_a_trial_builds_what_it_names():
    (trial, *_) = suite('{ id = "vrex", penalty_weight = 10.0 }')
    dataset, method, solver = build(trial)
    assert (dataset.n, method.penalty_weight, solver.steps, solver.name) == (50, 10.0, 20, "official")


def test_a_record_holds_the_trial_and_its_scores():
    (trial, _) = suite('"vrex"')
    record = alone(trial)
    assert {f: record[f] for f in trial.__struct_fields__} == {f: getattr(trial, f) for f in trial.__struct_fields__}
    assert record["status"] == "ok"
    assert record["truth"] == [1.0, 1.0, 0.0, 0.0]
    assert record["causal"] == [True, True, False, False]
    estimate, truth = torch.tensor(record["coefficients"]), torch.tensor(record["truth"])
    assert record["distance"] == pytest.approx(float((estimate - truth).norm() / truth.norm()))
    assert record["seconds"] > 0


def test_a_record_says_what_made_it():
    made_by = alone(suite('"erm"')[0])["made_by"]
    assert made_by["torch"] == metadata.version("torch")
    assert {"irmbench", "commit", "python", "numpy", "machine"} <= set(made_by)


def test_a_converged_record_says_how_well_it_was_solved(mixed):
    norms = [r["gradient_norm"] for r in mixed.values() if r["solved_by"] == "Newton" and r["status"] == "ok"]
    assert norms
    assert all(math.isfinite(norm) for norm in norms)


def failures(write_plugin, name, body, solvers='{ name = "official", steps = 20 }'):
    """Return the records of a method of a user's own, after checking that ``erm`` is none the worse beside it."""
    write_plugin("methods", name, METHOD.format(name=name.title().replace("_", ""), body=body))
    records = run(suite(f'"erm", "{name}"', solvers=solvers)).values()
    assert [r["status"] for r in records if r["method"] == "erm"] == ["ok", "ok"]
    return [r for r in records if r["method"] == name]


@pytest.mark.parametrize("solver", ["official", "converged"])
def test_a_method_that_raises_fails_its_own_trials_with_a_traceback(write_plugin, solver):
    records = failures(write_plugin, f"raises_{solver}", RAISES, f'{{ name = "{solver}", steps = 20 }}')
    assert [r["status"] for r in records] == ["failed", "failed"]
    for record in records:
        assert record["error"].startswith("Traceback (most recent call last)")
        assert f"raises_{solver}.py" in record["error"]
        assert record["error"].strip().endswith("ArithmeticError: no luck")
        assert "coefficients" not in record


@pytest.mark.parametrize("solver", ["official", "converged"])
def test_a_method_whose_objective_is_nan_fails(write_plugin, solver):
    records = failures(write_plugin, f"diverges_{solver}", DIVERGES, f'{{ name = "{solver}", steps = 20 }}')
    assert [r["status"] for r in records] == ["failed", "failed"]
    assert all("not finite" in r["error"] for r in records)


@pytest.mark.parametrize(("name", "body"), [("infinite", INFINITE), ("overflows", OVERFLOWS)], ids=["inf", "1e200"])
def test_coefficients_that_are_not_finite_or_whose_scores_are_not_fail(write_plugin, name, body):
    records = failures(write_plugin, name, body)
    assert [r["status"] for r in records] == ["failed", "failed"]
    assert all("not finite" in r["error"] for r in records)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("too_long", TOO_LONG),
        ("too_short", TOO_SHORT),
        ("scalar", SCALAR),
        ("no_tensor", NO_TENSOR),
        ("single_precision", SINGLE),
        ("vector_objective", VECTOR),
        ("per_environment_direction", PER_ENVIRONMENT),
    ],
    ids=lambda value: value if value.isidentifier() else "",
)
def test_a_result_of_the_wrong_shape_or_type_fails(write_plugin, name, body):
    records = failures(write_plugin, name, body)
    assert [r["status"] for r in records] == ["failed", "failed"]
    assert all(r["error"] for r in records)


def test_one_draw_that_raises_leaves_the_others_of_its_batch(write_plugin):
    write_plugin("methods", "raises_above", METHOD.format(name="RaisesAbove", body=RAISES_ABOVE))
    planned = suite('{ id = "raises_above", weight = [1.0, 2.0, 9.0, 3.0] }')
    assert len(plan(planned)) == 1
    status = {(r["method_params"]["weight"], r["data_seed"]): r["status"] for r in run(planned).values()}
    assert status == {(w, s): "failed" if w == 9.0 else "ok" for w in (1.0, 2.0, 9.0, 3.0) for s in (0, 1)}


DATASET = '''"""A dataset of a user's own."""

from dataclasses import dataclass

import torch

from irmbench.datasets.irm_appendix_d import IRMAppendixD


@dataclass(frozen=True)
class {name}(IRMAppendixD):
    """A dataset."""

    def sample(self, n, seed):
        if {condition}:
            raise RuntimeError("no data")
        return super().sample(n, seed)
'''


@pytest.mark.parametrize(
    ("name", "condition", "bad"), [("no_second_seed", "seed == 1", {1}), ("no_data_at_all", "True", {0, 1})]
)
def test_data_that_cannot_be_drawn_fail_their_own_trials(write_plugin, name, condition, bad):
    code = DATASET.format(name=name.title().replace("_", ""), condition=condition)
    write_plugin("datasets", name, code)
    records = run(suite('"erm", "vrex"', f'{{ id = "irm_appendix_d", n = 50 }}, {{ id = "{name}", n = 50 }}')).values()
    for record in records:
        expected = "failed" if record["dataset"] == name and record["data_seed"] in bad else "ok"
        assert record["status"] == expected
        assert expected == "ok" or record["error"].strip().endswith("RuntimeError: no data")


def test_a_method_that_cannot_say_whether_it_applies_fails_its_own_trials(write_plugin):
    body = RAISES.replace("objective(self, env)", "not_applicable(self, dataset, solver)")
    assert [r["status"] for r in failures(write_plugin, "cannot_say", body)] == ["failed", "failed"]


@pytest.mark.parametrize(
    ("methods", "datasets", "solver", "reason"),
    [
        ('"vrex"', '{ id = "unit_test_1", n = 50, environments = 1 }', '"converged"', "needs 2 environments"),
        ('"vrex"', '{ id = "unit_test_2", n = 50 }', '"population"', "no population moments"),
        ('"and_mask"', '{ id = "irm_chain", n = 50 }', '"converged"', "only official solvers run it"),
        ('{ id = "irmv1", variant = "split" }', '{ id = "irm_chain", n = 50 }', '"converged"', "a new split"),
        ('"oracle_parents"', '{ id = "unit_test_2", n = 50 }', '"converged"', "is for squared loss"),
        (
            '"vrex"',
            '{ id = "irm_chain", n = 50 }',
            '{ name = "official", optimizer = "closed_form" }',
            "no closed form",
        ),
    ],
)
def test_what_does_not_apply_is_not_run_and_says_why(methods, datasets, solver, reason):
    runnable, records = screen(suite(methods, datasets, solver))
    assert not runnable
    assert [r["status"] for r in records] == ["not_applicable"] * 2
    assert all(reason in r["error"] for r in records)
    assert all("distance" not in r for r in records)


def test_a_method_of_a_users_own_can_say_that_it_does_not_apply(write_plugin):
    body = "objective(self, env):\n        return env.risk.sum()\n\n    def not_applicable(self, dataset, solver):\n"
    body += '        return "it is Monday" if solver.name == "official" else None'
    records = failures(write_plugin, "not_on_monday", body)
    assert [(r["status"], r["error"]) for r in records] == [("not_applicable", "it is Monday")] * 2
