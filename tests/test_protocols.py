"""The published protocols as suites: draws, environments held out, oracles, and the same table however it was run."""

import dataclasses
import random

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch
from support import dataset, records_of

from irmbench import runner
from irmbench.analysis import identify
from irmbench.changes import Changes
from irmbench.errors import UserError
from irmbench.moments import compress
from irmbench.perf import protocol_times
from irmbench.plots import figures
from irmbench.runs import execution, sources
from irmbench.runs.execution import run_job
from irmbench.runs.planning import build, plan
from irmbench.runs.scores import empirical_risk, unscramble
from irmbench.suite import Trial, load_suite, parse, trials

SMALL = {"unit_test_1": {"n": 400}, "unit_test_2": {"n": 1400}, "unit_test_3": {"n": 1400}}  # compiled from 4,096 on


@pytest.fixture(scope="module")
def unit_tests():
    """Two seeds and three draws of the Linear Unit Tests' methods, on few examples and for few steps."""
    table = msgspec.to_builtins(load_suite("unit-tests-paper"))
    table["experiments"] = [of for of in table["experiments"] if of["name"] != "ERM, by learning rate"]
    for experiment in table["experiments"]:
        for entry in experiment["datasets"]:
            entry.update(SMALL[entry["id"]])
        for solver in experiment["solvers"]:
            solver["steps"] = 20
        experiment["draws"] = 3
    return msgspec.convert(table | {"seeds": 2, "name": "small"}, type(load_suite("quick")))


def numbers(record):
    return np.array([*record["coefficients"], *record["validation_risk"], *record["test_risk"]])


def test_twenty_trials_at_random_give_alone_what_they_give_in_their_batches(unit_tests):
    planned = trials(unit_tests)
    chosen = random.Random(5).sample(planned, 20)
    wanted = {trial.id for trial in chosen}
    jobs = [job for job in plan(planned) if wanted & {trial.id for trial in job.trials}]
    together = {record["trial_id"]: record for job in jobs for record in run_job(job)}
    for trial in chosen:
        (alone,) = run_job(plan([trial])[0])
        assert alone["status"] == together[trial.id]["status"] == "ok", alone
        np.testing.assert_allclose(numbers(alone), numbers(together[trial.id]), rtol=1e-6, atol=1e-9)


def test_an_interrupted_run_resumes_to_the_same_table(unit_tests, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "save_all", lambda *arguments: [])  # the tables are compared
    changes = Changes(methods=["erm", "and_mask"], datasets=["unit_test_1", "unit_test_3"])
    options = {"changes": changes, "workers": 1}
    runner.run_suite(unit_tests, runner.Options(tmp_path / "whole", **options))
    real, done = execution.run_job, []

    def interrupted(job):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job)
        return real(job)

    monkeypatch.setattr(execution, "run_job", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runner.run_suite(unit_tests, runner.Options(tmp_path / "parts", **options))
    monkeypatch.setattr(execution, "run_job", real)
    summary = runner.run_suite(unit_tests, runner.Options(tmp_path / "parts", **options))
    assert 0 < summary.resumed < len(records_of(summary))
    parts, whole = (pd.read_csv(tmp_path / name / "selection.csv") for name in ("parts", "whole"))
    key = ["dataset_label", "method", "protocol", "score", "environment"]
    pd.testing.assert_frame_equal(
        parts.sort_values(key, ignore_index=True), whole.sort_values(key, ignore_index=True), rtol=1e-9
    )


@pytest.fixture(scope="module")
def whole():
    return [t for t in trials(load_suite("unit-tests-paper")) if t.name != "ERM, by learning rate"]


def test_the_default_table_is_thirty_thousand_trials_of_the_published_protocol(whole):
    planned = [t for t in whole if "IB" not in t.name]
    assert len(planned) == 6 * 5 * 50 * 20
    assert {t.solver_params["steps"] for t in planned} == {10_000}
    assert {t.dataset_params["n"] for t in planned} == {10_000}
    assert {t.name: t.solver_params["optimizer"] for t in planned} == {
        "ERM": "adam", "IRMv1": "adam", "IGA": "adam", "Oracle": "adam", "ANDMask": "sgd"
    }  # fmt: skip
    first = {(t.name, t.draw): t for t in planned if not t.data_seed}
    defaults = {name: (t.method_params, t.solver_params) for (name, draw), t in first.items() if not draw}
    assert all(solver["learning_rate"] == 1e-3 and not solver["weight_decay"] for _, solver in defaults.values())
    assert defaults["IRMv1"][0]["penalty_weight"] == defaults["ANDMask"][0]["tau"] == 0.9
    assert defaults["IGA"][0]["penalty_weight"] == 1e3


PUBLISHED = {  # hyper-parameters that the published table on example 1 names as selected, with their model seeds
    ("ERM", 4): {"learning_rate": 6.95e-4, "weight_decay": 8.02e-3},
    ("IRMv1", 15): {"learning_rate": 1.61e-4, "weight_decay": 1.60e-5, "penalty_weight": 0.6667},
    ("IGA", 19): {"learning_rate": 1.17e-4, "weight_decay": 7.19e-6, "penalty_weight": 12874},
    ("ANDMask", 1): {"learning_rate": 0.1537, "weight_decay": 1.96e-5, "tau": 0.952},
}


@pytest.mark.parametrize(("of", "selected"), PUBLISHED.items(), ids=str)
def test_draws_are_those_of_the_published_table(whole, of, selected):
    drawn = {**(trial := next(t for t in whole if (t.name, t.draw) == of)).method_params, **trial.solver_params}
    assert {key: drawn[key] for key in selected} == pytest.approx(selected, rel=3e-3)


def test_draws_are_within_the_published_distributions_and_shared_by_datasets_and_seeds(whole):
    planned = [t for t in whole if t.draw]
    bounds = {
        "IRMv1": (1 - 10**-0.3, 0.999),
        "IGA": (10.0, 1e5),
        "IB-ERM": (0.0, 0.99),
        "IB-IRM": (1 - 10**-0.3, 0.999),
    }
    for trial in planned:
        rates = (1e-4, 1.0) if trial.name == "ANDMask" else (1e-4, 1e-2)
        assert rates[0] <= trial.solver_params["learning_rate"] <= rates[1]
        if trial.name in bounds:
            low, high = bounds[trial.name]
            assert low <= trial.method_params["penalty_weight"] <= high
    of_one = {msgspec.json.encode(t.solver_params) for t in planned if (t.name, t.draw) == ("ERM", 7)}
    assert len(of_one) == 1


TINY = """name = "tiny"
seeds = 2
[[experiments]]
datasets = [{{ id = "irm_chain", n = 60 }}]
methods = ["{method}"]
solvers = [{{ name = "official", steps = 5 }}]
{more}
"""


def planned(more, method="irmv1"):
    return trials(parse(TINY.format(method=method, more=more)))


@pytest.mark.parametrize(("hold_out", "expected"), [("none", [None]), ("last", [2]), ("each", [None, 0, 1, 2])])
def test_environments_are_held_out_as_the_suite_says(hold_out, expected):
    assert [t.held_out for t in planned(f'hold_out = "{hold_out}"') if not t.data_seed] == expected


@pytest.mark.parametrize("method", ["erm", "irmv1", "icp"])
def test_a_trial_does_not_see_the_environment_that_is_held_out_and_is_scored_there(method):
    trial = next(t for t in planned('hold_out = "each"', method) if t.held_out == 1)
    data = sources.data(execution.source(trial), *build(trial)[1:])
    whole = sources.data(execution.source(trial)._replace(held_out=None), *build(trial)[1:])
    assert torch.equal(data.second, whole.second[[0, 2]])
    (record,) = run_job(plan([trial])[0])
    d, _, _ = build(trial)
    observed = torch.linalg.solve(d.truth(0).unscramble, torch.tensor(record["coefficients"], dtype=torch.float64))
    sample = d.sample(60, 0)
    other = sample.with_tensors(sample.inputs[1:2], sample.targets[1:2])
    assert record["held_out_risk"] == pytest.approx(empirical_risk(other, observed).tolist())
    assert torch.allclose(unscramble(observed, d.truth(0)), torch.tensor(record["coefficients"]).double())


def test_validation_and_test_examples_are_none_that_were_trained_on():
    data = dataset("unit_test_2", n=50)
    drawn = [data.sample(50, 3), data.test_sample(50, 3)]
    drawn += [
        data.fresh_sample(role, 50, 3, use) for role in ("training", "testing") for use in ("validation", "other")
    ]
    first = [examples.inputs[0, 0] for examples in drawn]
    assert len({tuple(row.tolist()) for row in first}) == len(drawn)
    assert torch.equal(data.fresh_sample("training", 50, 3, "validation").inputs, drawn[2].inputs)


def test_the_shuffled_oracle_learns_from_the_test_environments():
    trial = planned("", "oracle_shuffled")[0]
    d, method, solver = build(trial)
    data = sources.data(execution.source(trial), method, solver)
    assert data.second.shape[0] == d.test_sample(2, 0).targets.shape[0] == 6
    assert not torch.equal(data.second, compress(d.test_sample(60, 0)).second)
    exact = dataclasses.replace(solver, optimizer="newton", data="population")
    assert torch.equal(sources.data(execution.source(trial), method, exact).second, d.test_population(0).second)


def test_what_learns_from_test_environments_has_no_place_in_the_matrix_of_what_training_identifies(monkeypatch):
    monkeypatch.setattr(identify, "classes", lambda: [None])
    monkeypatch.setattr(identify, "answer", lambda name, method, of: name)
    found = identify.identify()
    assert "oracle_parents" in found
    assert "oracle_shuffled" not in found


def test_starts_of_two_solvers_are_each_their_own():
    """A float, they were taken for alike, and the second solver started where the first did."""
    solvers = 'solvers = [{ name = "official", steps = 1, start = 1.0 }, { name = "official", steps = 1, start = 0.0 }]'
    text = TINY.format(method="irmv1", more="").replace('solvers = [{ name = "official", steps = 5 }]', solvers)
    records = [record for job in plan(trials(parse(text))) for record in run_job(job)]
    first = {record["solver_params"]["start"]: record["coefficients"][0] for record in records}
    assert first[1.0] > 0.9
    assert abs(first[0.0]) < 0.1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            "search.penalty = { uniform = [0, 1] }",
            "no method here, and no solver, has a parameter 'penalty'. Did you mean",
        ),
        (
            "search.penalty_weight = [1.0, 2.0]\ndraws = 3",
            "search.penalty_weight: a list needs a value for each of the 3",
        ),
        ("search.penalty_weight = {}\ndraws = 2", "search.penalty_weight: expected one of uniform, log_uniform"),
        ("search.learning_rate = [-1.0]\ndraws = 1", "solver.learning_rate: expected at least 0, got -1.0"),
        ('hold_out = "some"', "hold_out"),
    ],
)
def test_a_search_that_cannot_be_meant_is_refused_in_one_line(more, message):
    with pytest.raises(UserError, match=r"^(?s:.)*" + message.replace("'", ".").replace("[", r"\[")):
        planned(more)


def test_ids_of_trials_that_hold_nothing_out_are_those_of_older_records():
    content = msgspec.to_builtins(planned("")[0])
    older = {key: value for key, value in content.items() if key not in ("name", "held_out", "validate")}
    assert Trial(**content).id == Trial(**older).id
    ids = {Trial(**content | change).id for change in ({}, {"held_out": 0}, {"validate": True}, {"name": "x"})}
    assert len(ids) == 4


def test_the_original_split_of_example_2_shuffles_columns_from_the_number_of_others_on():
    published, corrected = dataset("unit_test_2", split="original"), dataset("unit_test_2")
    assert torch.equal(published.test_sample(500, 1).inputs, corrected.test_sample(500, 1).inputs)  # five of each
    few = dataset("unit_test_2", split="original", others=2, n=4000).test_sample(4000, 0)
    tied = torch.corrcoef(few.inputs[0].T)[0].abs() > 0.3
    assert tied.tolist() == [True, True, False, False, False, False, False]  # the others are shuffled, causes or not
    assert torch.equal((few.inputs[..., :5].sum(-1) > 0).double(), few.targets)


@pytest.mark.slow
def test_the_paper_s_chain_is_reproduced_on_a_part_of_it():
    """Five repetitions of the variant that IRM is published to miss though its objective is right."""
    suite = load_suite("irm-paper-chain")
    wanted = {"hidden": False, "y_noise": "environment", "scrambled": False}
    of_irm = [
        t
        for t in trials(suite)
        if (t.name, t.solver) == ("IRM", "official") and t.data_seed < 5 and wanted.items() <= t.dataset_params.items()
    ]
    records = pd.DataFrame([record for job in plan(of_irm) for record in run_job(job)])
    records["risk"] = [risk for (risk,) in records["held_out_risk"]]
    chosen = records.loc[records.groupby("data_seed")["risk"].idxmin()]
    assert chosen["error_causal"].mean() == pytest.approx(0.25646, abs=3 * 0.01769 / 5**0.5)
    assert chosen["error_noncausal"].mean() == pytest.approx(0.33333, abs=3 * 0.01568 / 5**0.5)
    best = records.loc[records.groupby("data_seed")["distance"].idxmin()]
    assert best["error_causal"].max() < 0.02  # what the regularisation alone costs


def test_a_methods_speed_is_told_beside_that_of_an_ordinary_loop(unit_tests, monkeypatch):
    def seconds(arms, **_):  # of a measurement: four steps of the ordinary loop, one of the engine's job
        for advance in arms.values():
            advance()
        return {"ordinary": np.full(3, 0.4), "engine": np.full(3, 0.06)}

    monkeypatch.setattr(protocol_times, "time_arms", seconds)
    chosen = [t for t in trials(unit_tests) if (t.name, t.dataset) == ("ERM", "unit_test_1")]
    (row,) = protocol_times.measure(jobs=plan(t for t in chosen if not t.dataset_params["scrambled"]))
    assert (row["dataset_label"], row["method"], row["trials_of_a_job"]) == ("unit_test_1 n=400", "ERM", 6)
    assert row["ordinary_trials_per_second"] == pytest.approx(1 / (20 * 0.1))
    assert row["trials_per_second"] == pytest.approx(6 / (20 * 0.06))
    assert row["ratio"] == pytest.approx(0.1 / 0.01)


def test_every_method_is_timed_once_on_every_example():
    timed = [(job.trials[0].method, job.trials[0].dataset) for job in protocol_times.first_jobs()]
    assert len(timed) == len(set(timed)) == 7 * 3


def test_what_is_not_validated_may_share_a_batch_with_what_is():
    both = (
        TINY.format(method="irmv1", more="")
        + """[[experiments]]
datasets = [{ id = "irm_chain", n = 60 }]
methods = ["irmv1"]
solvers = [{ name = "official", steps = 5 }]
validate = true
"""
    )
    (job,) = plan(trials(parse(both)))
    assert [record.get("validation_risk") is not None for record in run_job(job)] == [t.validate for t in job.trials]


def test_draws_of_equal_values_keep_their_own_starts():
    more = 'draws = 3\nsearch.learning_rate = [1e-3, 1e-3, 1e-3]\nhold_out = "none"'
    made = [t for t in planned(more, "erm") if (t.data_seed, t.draw) in ((0, 1), (1, 2))]
    made = [msgspec.structs.replace(t, solver_params=t.solver_params | {"start": "linear"}) for t in made]
    together = {record["trial_id"]: record["coefficients"] for job in plan(made) for record in run_job(job)}
    for trial in made:
        (alone,) = run_job(plan([trial])[0])
        assert together[trial.id] == alone["coefficients"]


def test_one_name_stands_for_one_method():
    with pytest.raises(UserError, match="the name 'X' stands for 2 methods"):
        parse(TINY.format(method='irmv1", "erm', more='name = "X"'))


def test_a_search_over_several_methods_leaves_those_alone_that_lack_the_parameter():
    more = (
        "draws = 2\nsearch.penalty_weight = { log_uniform = [1, 2] }\nsearch.learning_rate = { log_uniform = [-4, -2] }"
    )
    second = {t.method: t for t in planned(more, 'irmv1", "erm') if t.draw == 1}
    assert second["irmv1"].method_params["penalty_weight"] >= 10
    assert second["erm"].solver_params["learning_rate"] == second["irmv1"].solver_params["learning_rate"]


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("{ log_uniform = [400, 500] }", "log_uniform: expected a lower and a higher bound"),
        ("{ uniform = [2, 1] }", "uniform: expected a lower and a higher bound"),
    ],
)
def test_a_range_that_cannot_be_drawn_from_is_refused(search, said):
    with pytest.raises(UserError, match=said):
        planned(f"draws = 2\nsearch.learning_rate = {search}")


def test_a_range_without_draws_is_refused():
    with pytest.raises(UserError, match="a range needs `draws` of 2 or more"):
        planned("search.learning_rate = { log_uniform = [-4, -2] }")


def test_an_oracle_learns_from_whole_test_environments_of_unequal_size():
    text = TINY.replace('"irm_chain", n = 60', '"imbalanced_envs"').format(method="oracle_shuffled", more="")
    trial = trials(parse(text))[0]
    key = sources.source(trial)
    assert sources.sample_moments(key).gram.shape[0] == sources.shape(key)[0]


def test_environments_of_an_oracle_are_left_out_of_those_that_it_learns_from():
    found = planned('hold_out = "each"', "oracle_shuffled")
    (environments, _) = sources.shape(sources.source(found[0])._replace(held_out=None))
    assert {t.held_out for t in found} == {None, *range(environments)}
