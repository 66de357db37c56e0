"""Runs from end to end: resumed, interrupted, started afresh, in one process or in several."""

import json
import os
import re

import msgspec
import pandas as pd
import pytest
from support import records_of

from irmbench.analysis.tables import leaderboard
from irmbench.changes import Changes
from irmbench.errors import UserError
from irmbench.runner import Options, rerun, run_suite
from irmbench.runs import execution
from irmbench.runs.store import Store
from irmbench.suite import parse, trials, validated

TINY = """
name = "tiny"
seeds = 2

[[experiments]]
datasets = [{ id = "irm_appendix_d", n = 50 }, { id = "irm_chain", n = 30, d = 2 }]
methods = ["erm", "zero", "oracle_beta"]
solvers = [{ name = "official", steps = 20 }]
"""
TRAINED = TINY.replace('"zero"', '"vrex"')
UNSTEADY = '''"""A method that fails while a file says so."""

from dataclasses import dataclass
from pathlib import Path

from irmbench.interface import Method


@dataclass(frozen=True)
class {name}(Method):
    """A method."""

    def fit(self, moments):
        if Path("{switch}").exists():
            raise RuntimeError("not today")
        return moments.cross[0]
'''


@pytest.fixture(autouse=True)
def _records_only(monkeypatch):
    """Plots and reports have tests of their own, and are slow."""
    monkeypatch.setattr("irmbench.report.outputs.write", lambda *arguments, **keywords: None)
    monkeypatch.setattr("irmbench.report.page.write", lambda *arguments: None)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def jobs_run(monkeypatch):
    """The jobs that are run, one after another."""
    seen, run_job = [], execution.run_job

    def watch(job):
        seen.append(job)
        return run_job(job)

    monkeypatch.setattr(execution, "run_job", watch)
    return seen


def run(out, text=TINY, workers=1, **options):
    changes = Changes(**options.pop("changes", {}))
    return run_suite(parse(text), Options(out=out, workers=workers, changes=changes, **options))


def same_numbers(found, expected):
    """Assert that two lists of records are of the same trials, with the same results."""
    found, expected = ({r["trial_id"]: r for r in records} for records in (found, expected))
    assert set(found) == set(expected)
    for trial_id, record in expected.items():
        for key in ("coefficients", "distance", "worst_test_risk", "invariance_residual"):
            assert found[trial_id][key] == pytest.approx(record[key], rel=1e-8, abs=1e-12)


def test_a_run_leaves_a_record_of_every_trial(out):
    summary = run(out)
    assert set(Store(out).records()) == {t.id for t in trials(parse(TINY))}
    assert summary.statuses == {"ok": 12}
    assert summary.resumed == 0


def test_a_run_says_what_was_asked_for_and_by_what_it_was_made(out):
    run(out, changes={"seeds": 1})
    found = json.loads((out / "run.json").read_text())
    assert found["planned_trials"] == 6
    assert found["suite"]["seeds"] == 1
    assert found["suite"]["name"] == "tiny"
    assert {"irmbench", "torch", "machine"} <= set(found["made_by"])


def test_the_suite_in_the_run_can_be_run_again(out):
    run(out)
    suite = validated(json.loads((out / "run.json").read_text())["suite"])
    assert trials(suite) == trials(parse(TINY))


def test_a_run_that_is_done_runs_nothing_again(out, jobs_run):
    first = run(out)
    jobs_run.clear()
    second = run(out)
    assert jobs_run == []
    assert second.resumed == 12
    assert records_of(second) == records_of(first)


def test_more_seeds_run_only_the_new_trials(out, jobs_run):
    run(out)
    jobs_run.clear()
    summary = run(out, changes={"seeds": 3})
    assert {t.data_seed for job in jobs_run for t in job.trials} == {2}
    assert (len(records_of(summary)), summary.resumed) == (18, 12)


def test_fewer_seeds_report_only_what_was_asked_for(out):
    run(out)
    assert {r["data_seed"] for r in records_of(run(out, changes={"seeds": 1}))} == {0}


def test_a_run_interrupted_in_the_middle_resumes_to_the_same_numbers(out, tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", TRAINED)
    run_job, done = execution.run_job, []

    def interrupted(job):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job)
        return run_job(job)

    with monkeypatch.context() as patch:
        patch.setattr(execution, "run_job", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(out, TRAINED)
    kept = sum(len(job.trials) for job in done)
    assert len(Store(out).records()) == kept
    resumed = run(out, TRAINED)
    assert 0 < resumed.resumed == kept < 12
    same_numbers(records_of(resumed), records_of(whole))


def test_failed_trials_are_tried_again_and_others_are_not(out, tmp_path, write_plugin, jobs_run):
    switch = tmp_path / "fail"
    switch.touch()
    write_plugin("methods", "unsteady_once", UNSTEADY.format(name="UnsteadyOnce", switch=switch))
    text = TINY.replace('"zero"', '"unsteady_once"')
    assert run(out, text).statuses == {"ok": 8, "failed": 4}
    switch.unlink()
    jobs_run.clear()
    summary = run(out, text)
    assert summary.statuses == {"ok": 12}
    assert summary.resumed == 8
    assert {t.method for job in jobs_run for t in job.trials} == {"unsteady_once"}


def test_trials_that_do_not_apply_are_not_tried_again(out):
    text = TINY.replace('{ name = "official", steps = 20 }', '"converged"').replace('"zero"', '"and_mask"')
    assert run(out, text).statuses == {"ok": 8, "not_applicable": 4}
    assert run(out, text).resumed == 12


def test_a_fresh_run_runs_everything_again(out, jobs_run):
    run(out)
    jobs_run.clear()
    summary = run(out, fresh=True)
    assert sum(len(job.trials) for job in jobs_run) == 12
    assert summary.resumed == 0
    assert len(list((out / "records").glob("*.jsonl"))) == 1


def test_the_leaderboard_of_a_resumed_run_is_that_of_one_go(out, tmp_path):
    whole = run(tmp_path / "whole")
    run(out, changes={"methods": ["erm"]})
    run(out, changes={"seeds": 1})
    resumed = run(out)
    columns = ["solver", "method_label", "assumption_class", "distance", "low", "high", "n"]
    boards = [leaderboard(pd.DataFrame(records_of(summary)))[columns] for summary in (whole, resumed)]
    pd.testing.assert_frame_equal(*(b.sort_values(columns[:3]).reset_index(drop=True) for b in boards))


def test_two_workers_give_the_numbers_of_one_process(out, tmp_path):
    alone, together = run(tmp_path / "alone", TRAINED), run(out, TRAINED, workers=2)
    assert together.statuses == alone.statuses == {"ok": 12}
    same_numbers(records_of(together), records_of(alone))


def test_a_trial_rerun_from_its_record_has_its_numbers(out):
    run(out, TRAINED, changes={"record_every": 7})
    for trial_id, expected in Store(out).records().items():
        stored, new = rerun(out, trial_id)
        assert stored == expected
        assert new["trial_id"] == trial_id
        assert new["coefficients"] == pytest.approx(stored["coefficients"], rel=1e-8, abs=1e-12)
        assert new["worst_test_risk"] == pytest.approx(stored["worst_test_risk"], rel=1e-8)
        assert [step for step, _ in new.get("trajectory", [])] == [step for step, _ in stored.get("trajectory", [])]


def test_a_trial_that_splits_its_examples_at_random_is_rerun_with_the_same_splits(out):
    text = TINY.replace('"zero"', '{ id = "irmv1", variant = "split" }')
    summary = run(out, text, changes={"methods": ["irmv1"]})
    trial_id = records_of(summary)[-1]["trial_id"]
    stored, new = rerun(out, trial_id)
    assert new["coefficients"] == pytest.approx(stored["coefficients"], rel=1e-10)


def test_rerunning_stores_nothing(out):
    run(out)
    before = {file: file.read_bytes() for file in (out / "records").iterdir()}
    rerun(out, next(iter(Store(out).records())))
    assert {file: file.read_bytes() for file in (out / "records").iterdir()} == before


def test_rerunning_a_plugin_that_is_gone_is_a_line(out, tmp_path, write_plugin):
    file = write_plugin("methods", "soon_gone", UNSTEADY.format(name="SoonGone", switch=tmp_path / "never"))
    summary = run(out, TINY.replace('"zero"', '"soon_gone"'))
    trial_id = next(r["trial_id"] for r in records_of(summary) if r["method"] == "soon_gone")
    file.unlink()
    with pytest.raises(UserError, match="unknown method 'soon_gone'"):
        rerun(out, trial_id)


def test_rerunning_what_does_not_apply_says_so_again(out):
    text = TINY.replace('{ name = "official", steps = 20 }', '"converged"').replace('"zero"', '"and_mask"')
    trial_id = next(r["trial_id"] for r in records_of(run(out, text)) if r["status"] == "not_applicable")
    stored, new = rerun(out, trial_id)
    assert (new["status"], new["error"]) == ("not_applicable", stored["error"])


def test_rerunning_an_unknown_trial_is_refused(out):
    run(out)
    with pytest.raises(UserError, match="has no trial 'nope'"):
        rerun(out, "nope")


def test_rerunning_from_a_folder_without_a_run_is_refused(out):
    with pytest.raises(UserError, match="holds no run"):
        rerun(out, "nope")


def test_the_default_folder_is_named_after_the_suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(run(None).folder) == "results/tiny"
    assert (tmp_path / "results" / "tiny" / "run.json").exists()


def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_runs(tmp_path, jobs_run):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to"):
        run(tmp_path / "file" / "run")
    assert jobs_run == []


def test_a_missing_device_is_refused_before_anything_is_made(out, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="--device cuda"):
        run(out, device="cuda")
    assert not out.exists()


def test_a_wrong_change_is_refused_before_anything_is_made(out):
    with pytest.raises(UserError, match="unknown method 'vrx'"):
        run(out, changes={"methods": ["vrx"]})
    assert not out.exists()


def test_progress_is_quiet_off_a_terminal(out, capfd):
    run(out)
    assert capfd.readouterr() == ("", "")


def test_a_summary_counts_statuses_and_gives_reasons(out, tmp_path, write_plugin):
    switch = tmp_path / "fail"
    switch.touch()
    write_plugin("methods", "unsteady_always", UNSTEADY.format(name="UnsteadyAlways", switch=switch))
    summary = run(out, TINY.replace('"zero"', '"unsteady_always"'))
    lines = str(summary).splitlines()
    assert lines[0].startswith("4 failed, 8 ok; ")
    assert re.fullmatch(r"4 failed: unsteady_always: RuntimeError: not today \(.*unsteady_always\.py:\d+\)", lines[1])
    assert lines[-1] == f"in {out}"


def test_a_summary_says_what_was_there_before(out):
    run(out, changes={"seeds": 1})
    assert "12 ok (6 of them from before)" in str(run(out))


def test_a_changed_plugin_is_run_again_on_resume(out, tmp_path, write_plugin):
    code = UNSTEADY.format(name="Steady", switch=tmp_path / "never")
    write_plugin("methods", "steady", code)
    suite = TINY.replace('"zero"', '"steady"')
    run(out, suite)
    assert run(out, suite).resumed == 12
    write_plugin("methods", "steady", code + "# another version\n")
    execution.digests.cache_clear()
    assert run(out, suite).resumed == 8


@pytest.mark.parametrize(
    ("code", "hint"), [("if self.weight > 1:", "torch.where"), ("if env.risk.mean().item() > 1:", ".item()")]
)
def test_a_mistake_that_batching_forbids_says_what_to_do(out, write_plugin, code, hint):
    body = f"        {code}\n            return env.risk.max()\n        return env.risk.mean()\n"
    head = UNSTEADY.format(name="Branching", switch="").partition("    def fit")[0]
    write_plugin("methods", "branching", f"{head}    weight: float = 2.0\n\n    def objective(self, env):\n{body}")
    lines = str(run(out, TINY.replace('"zero"', '"branching"'))).splitlines()
    assert hint in lines[1]
    assert re.search(r"branching\.py:\d+", lines[1])


def test_timings_are_made_where_the_suite_asks_for_them(out, monkeypatch):
    asked = []

    def time_penalties(timing, folder):
        asked.append((timing.cases, timing.pairs, folder))
        return ["twice as fast"]

    monkeypatch.setattr("irmbench.report.outputs.time_penalties", time_penalties)
    timed = TINY + "\n[timing]\ncases = [[2, 100]]\npairs = 3\n"
    run(out, timed, changes={"methods": ["erm"]})
    assert asked == []  # of a part of the suite, the penalty is not
    summary = run(out, timed, changes={"seeds": 1})
    assert asked == [([(2, 100)], 3, out)]
    assert "twice as fast" in str(summary)


def test_a_record_is_readable_without_this_package(out):
    run(out, changes={"methods": ["erm"], "seeds": 1})
    (shard,) = (out / "records").glob("*.jsonl")
    lines = [line for line in shard.read_text().splitlines() if '"trial_id"' in line]
    assert len(lines) == 2
    for line in lines:
        record = json.loads(line, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
        assert record["suite"] == "tiny"
        assert msgspec.json.decode(line.encode()) == record


def other_code(out, code):
    """Make a folder's records those of other code."""
    for shard in (out / "records").glob("*.jsonl"):
        made = [msgspec.json.decode(line) for line in shard.read_bytes().splitlines()]
        for record in made:
            if "made_by" in record:
                record["made_by"].pop("code")
                record["made_by"] |= {"code": code} if code else {}
        shard.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in made))


@pytest.mark.parametrize(("code", "name"), [("abc", "abc"), (None, "unknown")])
def test_results_of_other_code_are_refused_unless_allowed_by_name(out, jobs_run, code, name):
    run(out)
    other_code(out, code)
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    for allowed in ((), ("another",)):
        with pytest.raises(UserError, match=f"12 by {name}.*--allow-code {name}.*--fresh"):
            run(out, changes={"seeds": 3}, allow_code=allowed)
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before
    summary = run(out, changes={"seeds": 3}, allow_code=(name,))
    assert summary.resumed == 12
    assert f"made by 2 versions of irmbench's code: 12 by {name}, 6 by" in str(summary)
    assert not summary.is_wrong


def test_results_of_other_code_are_deleted_by_a_fresh_start(out):
    run(out)
    other_code(out, "abc")
    assert run(out, fresh=True).resumed == 0


def test_results_of_other_code_that_are_not_asked_for_do_no_harm(out):
    run(out, changes={"methods": ["zero"]})
    other_code(out, "abc")
    assert run(out, changes={"methods": ["erm"]}).statuses == {"ok": 4}


def test_a_second_run_in_a_folder_is_refused(out):
    run(out)
    with Store(out).lock(), pytest.raises(UserError, match="is running in it; wait for its end"):
        run(out)


def test_adding_a_method_runs_only_what_is_missing(out, jobs_run):
    run(out, changes={"methods": ["erm", "zero"]})
    jobs_run.clear()
    summary = run(out, changes={"methods": ["erm", "zero", "oracle_beta"]})
    assert {trial.method for job in jobs_run for trial in job.trials} == {"oracle_beta"}
    assert (summary.resumed, summary.statuses) == (8, {"ok": 12})


def test_a_method_is_added_to_merged_runs(out, tmp_path, jobs_run):
    for name in ("erm", "zero"):
        run(tmp_path / name, changes={"methods": [name]})
    (tmp_path / "erm").rename(out)
    for shard in (tmp_path / "zero" / "records").iterdir():
        shard.rename(out / "records" / shard.name)
    jobs_run.clear()
    assert run(out).resumed == 8
    assert {trial.method for job in jobs_run for trial in job.trials} == {"oracle_beta"}


@pytest.mark.parametrize("step", range(5))
def test_a_crash_between_any_two_files_leaves_a_folder_that_resumes(out, tmp_path, monkeypatch, step):
    """Steps: planned.json, run.json, the first job's records, the second's, the seconds in run.json."""
    whole = run(tmp_path / "whole")
    fsync, done = os.fsync, []

    def crash(file):
        if len(done) == step:
            raise KeyboardInterrupt
        done.append(file)
        fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", crash)
        with pytest.raises(KeyboardInterrupt):
            run(out)
    resumed = run(out)
    same_numbers(records_of(resumed), records_of(whole))
    assert list(resumed.contents.frame["trial_id"]) == list(whole.contents.frame["trial_id"])
    assert not {file.name for file in out.iterdir()} - {"run.json", "planned.json", "records"}


def test_records_of_a_newer_schema_stop_a_run_before_it_writes(out):
    run(out)
    (shard,) = (out / "records").iterdir()
    shard.write_bytes(shard.read_bytes().replace(b'"schema":1', b'"schema":99'))
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    with pytest.raises(UserError, match="newer irmbench"):
        run(out, changes={"seeds": 3})
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before


def test_results_that_differ_though_the_code_is_the_same_are_told_and_wrong(out):
    run(out)
    record = Store(out).records()[trials(parse(TINY))[0].id]
    Store(out).writer().write([record | {"coefficients": [x + 1 for x in record["coefficients"]]}])
    summary = run(out)
    assert summary.is_wrong
    assert "nondeterminism: the same code gave 1 trials results that differ" in str(summary)
