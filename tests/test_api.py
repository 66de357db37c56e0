"""The Python interface: run a suite, load a run."""

import pandas as pd
import pytest
import torch

import irmbench
from irmbench.errors import UserError
from irmbench.moments import compress
from irmbench.plugins import load

TINY = """
name = "tiny"
seeds = 2

[[experiments]]
datasets = [{ id = "irm_appendix_d", n = 50, scrambled = true }]
methods = ["erm", { id = "vrex", penalty_weight = 1.0 }]
solvers = ["converged", { name = "official", optimizer = "sgd", learning_rate = 0.1, steps = 10 }]
"""
BREAKING = """
from irmbench.interface import Method


class BreaksApi(Method):
    def objective(self, env):
        return 1 / 0
"""
COLUMNS = [
    *("trial_id", "suite", "dataset", "dataset_params", "data_seed", "method", "method_params", "solver", "status"),
    *("error_causal", "error_noncausal", "distance", "cosine", "seconds", "coefficients", "trajectory"),
]


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A small suite's file; plots have tests of their own, and are slow."""
    monkeypatch.setattr("irmbench.report.outputs.write", lambda *arguments, **keywords: None)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    return file


def run(suite, **options):
    return irmbench.run(suite, **{"out": "out", "workers": 1, "methods": ["erm"]} | options)


def test_a_run_is_a_frame_with_a_row_per_trial(suite):
    frame = run(suite, methods=["erm", "vrex"], solver="official")
    assert isinstance(frame, pd.DataFrame)
    assert set(COLUMNS) <= set(frame.columns)
    assert sorted(zip(frame["method"], frame["data_seed"], strict=True)) == [
        *(("erm", 0), ("erm", 1)),
        *(("vrex", 0), ("vrex", 1)),
    ]
    assert frame["trial_id"].is_unique
    assert set(frame["status"]) == {"ok"}
    assert set(frame["suite"]) == {"tiny"}


def test_numbers_are_numbers_and_parameters_tables(suite):
    frame = run(suite, solver="official")
    for column in ("error_causal", "error_noncausal", "distance", "cosine", "seconds"):
        assert frame[column].dtype == float
    assert frame["dataset_params"][0]["n"] == 50
    assert frame["method_params"][0] == {"weighting": "pooled"}
    assert all(len(coefficients) == 4 for coefficients in frame["coefficients"])


def test_loading_a_run_gives_the_frame_of_the_run(suite):
    frame = run(suite)
    pd.testing.assert_frame_equal(irmbench.load("out"), frame)


def test_coefficients_are_unscrambled(suite):
    """By the causal coefficients they are compared to: scores agree with what a reader computes from them."""
    for row in run(suite).itertuples():
        estimate = torch.tensor(row.coefficients)
        truth = torch.tensor([1.0, 1.0, 0.0, 0.0])
        assert row.distance == pytest.approx(float((estimate - truth).norm() / truth.norm()), rel=1e-6)
        assert row.error_causal == pytest.approx(float((estimate - truth)[:2].square().mean()), rel=1e-5)
        assert row.error_noncausal == pytest.approx(float((estimate - truth)[2:].square().mean()), rel=1e-5)


def test_step_k_of_a_trajectory_is_after_k_plus_1_updates(suite):
    frame = run(suite, methods=["vrex"], solver="official", record_every=4, values=["methods.vrex.penalty_weight=0"])
    row = frame[frame["data_seed"] == 1].iloc[0]
    data = load("datasets", "irm_appendix_d")(n=50, scrambled=True)
    moments, truth = compress(data.sample(50, 1)), data.truth(1)
    phi, path = torch.ones(4, dtype=torch.float64), {}
    for k in range(10):
        phi = phi - 0.1 * 2 * (moments.gram @ phi - moments.cross).mean(0)
        path[k] = (truth.unscramble @ phi).tolist()
    assert [step for step, _ in row["trajectory"]] == [0, 4, 8, 9]
    for step, coefficients in row["trajectory"]:
        assert coefficients == pytest.approx(path[step])
    assert row["coefficients"] == row["trajectory"][-1][1]


def test_a_trajectory_that_was_not_recorded_is_missing(suite):
    assert run(suite)["trajectory"].isna().all()


def test_changes_are_those_of_the_command_line(suite):
    frame = run(suite, seeds=1, solver="converged", datasets=["irm_chain"], values=["datasets.irm_chain.n=30"])
    assert set(frame["dataset"]) == {"irm_chain"}
    assert set(frame["data_seed"]) == {0}
    assert set(frame["solver"]) == {"converged"}
    assert frame["dataset_params"][0]["n"] == 30


def test_one_name_is_not_a_sequence_of_letters(suite):
    assert set(run(suite, methods="erm")["method"]) == {"erm"}


def test_a_smaller_run_in_the_same_folder_returns_what_it_was_asked_for(suite):
    run(suite, seeds=2)
    assert set(run(suite, seeds=1)["data_seed"]) == {0}


def test_failures_are_rows_with_their_traceback(suite, write_plugin):
    write_plugin("methods", "breaks_api", BREAKING)
    frame = run(suite, methods=["erm", "breaks_api"], solver="official")
    failed = frame[frame["status"] == "failed"]
    assert list(failed["method"]) == ["breaks_api"] * 2
    assert failed["error"].str.contains("ZeroDivisionError").all()
    assert failed["distance"].isna().all()


def test_the_default_folder_is_named_after_the_suite(suite, tmp_path):
    frame = run(suite, out=None)
    pd.testing.assert_frame_equal(irmbench.load(tmp_path / "results" / "tiny"), frame)


def test_a_fresh_run_forgets_the_records_of_the_folder(suite):
    run(suite)
    assert set(run(suite, methods=["vrex"], solver="official", fresh=True)["method"]) == {"vrex"}


def test_a_wrong_name_is_a_user_error_with_a_suggestion(suite):
    with pytest.raises(UserError, match="Did you mean 'vrex'"):
        run(suite, methods=["vrx"])


def test_a_wrong_value_is_a_user_error(suite):
    with pytest.raises(UserError, match="seeds"):
        run(suite, seeds=0)


def test_an_unknown_option_is_a_type_error(suite):
    with pytest.raises(TypeError, match="sedes"):
        run(suite, sedes=3)


def test_loading_what_is_no_run_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        irmbench.load(tmp_path)


def test_a_run_without_records_yet_is_an_empty_frame(tmp_path):
    (tmp_path / "records").mkdir()
    frame = irmbench.load(tmp_path)
    assert frame.empty
    assert set(COLUMNS) <= set(frame.columns)


def test_several_folders_are_loaded_as_one(suite):
    for name in ("erm", "vrex"):
        run(suite, out=name, methods=[name])
    frame = irmbench.load(["erm", "vrex"])
    assert set(frame["method"]) == {"erm", "vrex"}
    assert frame.attrs["problems"] == []


def test_what_is_wrong_with_the_records_is_in_the_attributes(suite):
    run(suite)
    (shard,) = suite.parent.glob("out/records/*.jsonl")
    shard.write_bytes(shard.read_bytes() + b'{"trial_id"')
    (problem,) = irmbench.load("out").attrs["problems"]
    assert "1 torn last lines" in problem
