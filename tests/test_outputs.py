"""What a run shows: the leaderboard as a table and in a terminal, CSV files, plots."""

import io
import json
import math

import pandas as pd
import pytest
from rich.console import Console

from irmbench.analysis.standings import ALL
from irmbench.analysis.statistics import LEVEL, mean_interval
from irmbench.analysis.tables import leaderboard, trials_csv
from irmbench.errors import UserError
from irmbench.report import outputs
from irmbench.runs.execution import run_job, screen
from irmbench.runs.planning import plan
from irmbench.suite import Timing, parse, trials
from irmbench.views.leaderboard import leaderboard_view
from irmbench.views.terminal import in_terminal

CLASSES = ("Y-noise constant", "Y-noise constant, confounded", "Y-noise varies", "Y-noise varies, confounded")


def trial(
    method, distance=None, seed=0, solver="converged", of_class=CLASSES[0], dataset="chain", status="ok", by=None
):
    """Return what the tables read of a trial's record."""
    solved_by = ("" if status == "not_applicable" else "Newton") if by is None else by
    record = {"solver": solver, "method_label": method, "method": method.split()[0], "solved_by": solved_by}
    record |= {"assumption_class": of_class, "dataset": dataset, "dataset_label": dataset}
    record |= {"data_seed": seed, "status": status}
    record |= {"seconds": 0.01, "family": "oracle" if method.startswith("oracle") else "risk-based"}
    return record | ({"distance": distance} if status == "ok" else {"error": "Traceback\nValueError: no"})


def board(*records):
    return leaderboard(pd.DataFrame(records))


def row(table, method, **where):
    found = table[table["method_label"] == method]
    for column, value in where.items():
        found = found[found[column] == value]
    (only,) = found.to_dict("records")
    return only


def test_a_distance_is_the_mean_over_seeds_of_the_mean_over_datasets():
    values = {("a", 0): 1.0, ("b", 0): 2.0, ("a", 1): 3.0, ("b", 1): 6.0}
    found = row(board(*(trial("erm", v, seed, dataset=name) for (name, seed), v in values.items())), "erm")
    assert (found["distance"], found["n"], found["datasets"]) == (3.0, 2, 2)


def test_the_interval_is_over_seeds():
    values = [1.0, 4.0, 2.0, 8.0, 5.0]
    found = row(board(*(trial("erm", v, seed) for seed, v in enumerate(values))), "erm")
    assert (found["distance"], found["low"], found["high"], found["n"]) == mean_interval(pd.Series(values).to_numpy())


def test_one_seed_has_no_interval():
    found = row(board(trial("erm", 1.0)), "erm")
    assert math.isnan(found["low"])
    assert math.isnan(found["high"])


def test_the_median_stands_for_a_heavy_tailed_estimator():
    heavy = [trial("mine", v, seed) | {"heavy_tailed": True} for seed, v in enumerate([1.0, 2.0, 1e9])]
    table = board(*heavy, *(trial("erm", v, seed) for seed, v in enumerate([1.0, 2.0, 6.0])))
    assert (row(table, "mine")["distance"], row(table, "mine")["estimator"]) == (2.0, "median")
    assert (row(table, "erm")["distance"], row(table, "erm")["estimator"]) == (3.0, "mean")


def test_a_heavy_tailed_estimator_without_a_result_has_a_row():
    found = row(board(trial("erm", 1.0), trial("mine", status="failed") | {"heavy_tailed": True}), "mine")
    assert (found["n"], found["failed"]) == (0, 1)


def test_classes_and_solvers_have_estimates_of_their_own():
    table = board(
        trial("erm", 1.0), trial("erm", 2.0, of_class=CLASSES[1]), trial("erm", 3.0, solver="official", by="adam")
    )
    assert row(table, "erm", solver="converged", assumption_class=CLASSES[0])["distance"] == 1.0
    assert row(table, "erm", solver="converged", assumption_class=CLASSES[1])["distance"] == 2.0
    assert row(table, "erm", solver="official")["distance"] == 3.0


def test_a_leaderboard_has_the_columns_it_says():
    assert list(board(trial("erm", 1.0)).columns) == [
        *("solver", "method_label", "solved_by", "assumption_class"),
        *("distance", "low", "high", "estimator", "n", "seconds", "oracle", "datasets", "failed", "not_applicable"),
    ]


def test_failed_trials_are_counted_and_leave_the_others():
    found = row(board(trial("erm", 1.0), trial("erm", seed=1, status="failed"), trial("erm", 3.0, seed=2)), "erm")
    assert (found["distance"], found["n"], found["failed"], found["not_applicable"]) == (2.0, 2, 1, 0)


def test_a_seed_with_a_failed_dataset_does_not_count():
    """Its mean would be over fewer datasets than the others', often the easy ones."""
    easy = [trial("erm", 0.0, seed, dataset="easy") for seed in (0, 1, 2)]
    hard = [trial("erm", 1.0, seed, dataset="hard") for seed in (0, 1)]
    found = row(board(*easy, *hard, trial("erm", seed=2, dataset="hard", status="failed")), "erm")
    assert (found["distance"], found["n"], found["failed"]) == (0.5, 2, 1)


@pytest.mark.parametrize("status", ["failed", "not_applicable"])
def test_a_method_without_any_result_has_a_row_without_a_distance(status):
    found = row(board(trial("erm", 1.0), trial("vrex", status=status)), "vrex")
    assert math.isnan(found["distance"])
    assert (found["n"], found[status]) == (0, 1)


def test_a_leaderboard_of_failures_only_is_a_leaderboard():
    found = row(board(trial("erm", status="failed"), trial("erm", seed=1, status="failed")), "erm")
    assert (found["n"], found["failed"]) == (0, 2)


def test_the_best_mean_rank_over_classes_comes_first():
    results = {"steady": (2.0, 2.0), "mixed": (1.0, 9.0), "worst": (3.0, 10.0), "best": (0.5, 1.0)}
    table = board(
        *(trial(m, v, of_class=CLASSES[k]) for m, values in results.items() for k, v in enumerate(values)),
        trial("gone", status="failed"),
    )
    assert list(dict.fromkeys(table["method_label"])) == ["best", "mixed", "steady", "worst", "gone"]


def test_a_method_that_does_not_apply_everywhere_has_one_row_in_the_terminal():
    somewhere = [trial("parents", 0.5, by="closed form"), trial("erm", 1.0)]
    found = of(*somewhere, trial("parents", of_class=CLASSES[1], status="not_applicable"))
    (line,) = [line for line in found if "parents" in line]
    assert "0.500" in line
    assert "n/a" in line


def records(methods, datasets='{ id = "irm_appendix_d", n = 50 }', more=""):
    text = f'name = "tiny"\nseeds = 2\n[[experiments]]\ndatasets = [{datasets}]\nmethods = [{methods}]\n'
    planned = trials(parse(text + f'solvers = [{{ name = "official", steps = 10 }}]\n{more}'))
    runnable, refused = screen(planned)
    return [r for batch in (refused, *map(run_job, plan(runnable))) for r in batch]


@pytest.fixture(scope="module")
def real():
    """Records of a small run, with trajectories."""
    both = '{ id = "irm_appendix_d", n = 50 }, { id = "irm_chain", n = 30, d = 2 }'
    return records('"erm", "vrex"', both, "record_every = 4")


def test_the_csv_has_a_line_per_trial(real):
    found = pd.read_csv(io.StringIO(trials_csv(pd.DataFrame(real))))
    assert list(found["trial_id"]) == [r["trial_id"] for r in real]
    assert found["distance"].tolist() == pytest.approx([r["distance"] for r in real], rel=1e-12)


def test_lists_and_tables_in_the_csv_are_json(real):
    found = pd.read_csv(io.StringIO(trials_csv(pd.DataFrame(real))))
    nested = [key for key, value in real[0].items() if isinstance(value, list | dict) and key in found]
    assert {"coefficients", "method_params", "dataset_params", "solver_params", "causal"} <= set(nested)
    for key in nested:
        assert [json.loads(text) for text in found[key]] == [r[key] for r in real]


def test_trajectories_stay_out_of_the_csv(real):
    assert any("trajectory" in r for r in real)
    assert "trajectory" not in trials_csv(pd.DataFrame(real))


def test_a_traceback_survives_the_csv():
    failed = trial("erm", status="failed")
    found = pd.read_csv(io.StringIO(trials_csv(pd.DataFrame([trial("vrex", 1.0), failed]))))
    assert found["error"][1] == failed["error"]


def test_making_the_csv_leaves_the_frame_as_it_was(real):
    frame = pd.DataFrame(real)
    trials_csv(frame)
    assert isinstance(frame["coefficients"][0], list)
    assert "trajectory" in frame


def test_a_run_writes_tables_and_plots(real, tmp_path):
    outputs.write(tmp_path, real)
    assert len(pd.read_csv(tmp_path / "trials.csv")) == len(real)
    assert set(pd.read_csv(tmp_path / "standings.csv")["assumption_class"]) > {ALL}
    written = pd.read_csv(tmp_path / "leaderboard.csv")
    assert set(written["method_label"]) == {"erm", "vrex"}
    assert written["distance"].notna().all()
    plots = {file.name for file in (tmp_path / "plots").iterdir()}
    assert {"leaderboard.png", "errors_official.png", "trajectories.png"} <= plots
    assert all((tmp_path / "plots" / name).stat().st_size > 1000 for name in plots)


def test_a_run_in_which_everything_failed_writes_its_tables(tmp_path):
    failed = [{**r, "status": "failed", "error": "no"} for r in records('"erm"')]
    for record in failed:
        for key in ("distance", "coefficients", "error_causal", "error_noncausal"):
            del record[key]
    outputs.write(tmp_path, failed)
    assert pd.read_csv(tmp_path / "leaderboard.csv")["failed"].sum() == 2
    assert set(pd.read_csv(tmp_path / "standings.csv")["failure_rate"]) == {1.0}


def test_tables_that_cannot_be_written_say_that_the_records_are_kept(real, tmp_path):
    (tmp_path / "trials.csv").mkdir()
    with pytest.raises(UserError, match="the records are kept"):
        outputs.write(tmp_path, real)


def test_timings_are_written_and_told(tmp_path):
    told = outputs.time_penalties(Timing(cases=[(2, 10)], pairs=2), tmp_path)
    written = pd.read_csv(tmp_path / outputs.TIMINGS)
    assert len(written) >= 1
    assert set(written["n"]) == {10}
    assert "penalty on cpu, 2 x 10" in told[0]


METHODS = ["oracle_beta", "erm", "group_dro", "vrex penalty_weight=100", "irmv1 normalisation=appendix_d variant=split"]


@pytest.fixture(scope="module")
def full():
    """A leaderboard as a real run has it: five methods, four classes, two solvers."""
    return leaderboard_view(
        pd.DataFrame(
            [
                *(
                    trial(method, 0.1 * i + 0.01 * k + 0.001 * seed, seed, solver, of_class, by=by)
                    for solver, by in (("converged", "Newton"), ("official", "adam 2,000 steps"))
                    for i, method in enumerate(METHODS)
                    for k, of_class in enumerate(CLASSES)
                    for seed in range(3)
                ),
                *(trial("and_mask", seed=k, of_class=c, status="not_applicable") for k in range(3) for c in CLASSES),
                *(trial("mine", seed=k, of_class=c, status="failed") for k in range(3) for c in CLASSES),
            ]
        )
    )


def lines(view, width=160):
    """Return the lines of a view as a terminal of a width shows them."""
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(in_terminal(view, width))
    return console.file.getvalue().splitlines()


def of(*trials):
    return lines(leaderboard_view(pd.DataFrame(trials)))


@pytest.mark.parametrize("width", [40, 80, 160])
def test_a_leaderboard_fits_the_terminal(full, width):
    assert max(map(len, lines(full, width))) <= width


@pytest.mark.parametrize("width", [80, 160])
def test_every_method_and_solver_can_be_read(full, width):
    text = "\n".join(lines(full, width))
    for name in [*(label.split()[0] for label in METHODS), "and_mask", "mine", "converged", "official"]:
        assert name in text
    assert "…" not in text


def test_every_parameter_can_be_read_at_a_comfortable_width(full):
    text = "\n".join(lines(full, 160))
    assert all(word in text for label in METHODS for word in label.split())


@pytest.mark.parametrize("width", [40, 80, 160])
def test_every_estimate_can_be_read_with_its_interval(full, width):
    text = "\n".join(lines(full, width))
    board = full.data.dropna(subset=["distance_low"]).query("assumption_class != 'all classes'")
    assert len(board.query("distance_median < inf")) == 40
    for row in board.query("distance_median < inf").itertuples():
        assert f"{row.distance_median:.3f}" in text
        assert f"[{row.distance_low:.3f}, {row.distance_high:.3f}]" in text


def test_a_narrow_terminal_gets_the_classes_in_parts_that_repeat_the_methods(full):
    narrow = lines(full, 40)
    assert len([line for line in narrow if line.startswith("oracle_beta")]) > 2
    assert len([line for line in lines(full, 80) if line.startswith("oracle_beta")]) == 2


def test_every_class_has_a_column_at_a_comfortable_width(full):
    text = " ".join(lines(full, 200)[:6])
    assert all(word in text for name in CLASSES for word in name.split())


def test_what_does_not_apply_and_what_failed_are_told_apart(full):
    found = lines(full)
    (and_mask,) = [line for line in found if "and_mask" in line]
    (mine,) = [line for line in found if "mine" in line]
    assert and_mask.count("n/a") == 4
    assert mine.count("3 failed") == 4


def test_failures_are_told_beside_an_estimate():
    found = "\n".join(of(*(trial("erm", 0.25, seed) for seed in (0, 2)), trial("erm", seed=1, status="failed")))
    assert "0.250" in found
    assert "1 failed" in found


def test_the_best_of_a_column_is_marked_oracles_aside():
    found = "\n".join(of(*(trial(m, v, s) for m, v in (("oracle_beta", 0.0), ("erm", 0.25)) for s in range(9))))
    assert "0.250 ★" in found
    assert "0.000 ★" not in found


def test_what_is_not_significantly_worse_than_the_best_is_marked_and_what_is_worse_is_not():
    values = {"best": [0.1] * 9, "tied": [0.0] * 4 + [0.2] * 5, "worse": [0.3 + 0.01 * s for s in range(9)]}
    found = "\n".join(of(*(trial(m, v, s) for m, of_seeds in values.items() for s, v in enumerate(of_seeds))))
    assert "0.100 ★" in found
    assert "0.200 †" in found
    assert "0.340 †" not in found
    assert "0.340" in found


def test_every_solver_has_a_best_of_its_own():
    found = "\n".join(of(trial("erm", 0.25), trial("erm", 0.5, solver="official", by="adam")))
    assert "0.250 ★" in found
    assert "0.500 ★" in found


def test_the_note_says_what_the_numbers_and_the_marks_are(full):
    text = " ".join(" ".join(lines(full)).split())
    for said in ("median over", "data seeds", f"{LEVEL:.0%} percentile bootstrap interval", "n = 3", "not selected"):
        assert said in text
    for said in ("★: the least median", "†: not significantly worse", "Where n < 6 no difference can be significant"):
        assert said in text


def test_the_note_tells_the_range_of_seeds():
    found = of(*(trial("erm", 0.1, s) for s in range(7)), *(trial("vrex", 0.1, s) for s in range(9)))
    assert "n = 7 to 9. n/a" in " ".join(" ".join(found).split())


def test_a_leaderboard_without_any_result_shows_no_nan():
    text = "\n".join(of(trial("erm", status="failed"), trial("vrex", status="not_applicable")))
    assert "1 failed" in text
    assert "nan" not in text.lower()


def test_a_heavy_tail_does_not_make_its_column_wide():
    found = "\n".join(of(*(trial("mine", v, s) for s, v in enumerate([1.0, 2.0, 1e9]))))
    assert "2.000 ★ [1.000, 1e+09]" in found


def test_a_label_with_brackets_is_shown_as_it_is():
    assert any("mine mode=[bold]" in line for line in of(trial("mine mode=[bold]", 0.1)))


def test_a_label_cannot_steer_the_terminal():
    (line,) = [line for line in of(trial("mine\x1b[31m\nred", 0.1)) if "mine" in line]
    assert line.startswith("mine [31m red (Newton, 10 ms)")
