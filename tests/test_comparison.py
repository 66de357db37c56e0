"""Two runs compared: which trials are the same, what their differences are, and the verdict on them."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from irmbench.analysis.comparison import compare_runs, origins, pair, unshared
from irmbench.errors import UserError
from irmbench.views import formats
from irmbench.views.comparison import comparison_view
from irmbench.views.terminal import in_terminal

SEEDS = 12


def trial(seed, distance, **values):
    given = {
        **{"trial_id": f"{seed}", "suite": "quick", "dataset": "chain", "dataset_label": "chain"},
        **{"dataset_params": {"n": 100, "hidden": False}, "assumption_class": "Y-noise varies", "data_seed": seed},
        **{"method": "vrex", "method_label": "vrex", "method_params": {"penalty_weight": 10.0}, "family": "risk-based"},
        **{"solver": "official", "solver_params": {"steps": 5}, "solved_by": "adam", "draw": 0, "held_out": None},
        **{"status": "ok", "distance": distance, "made_by": {"commit": "a" * 40, "torch": "2.13.0", "machine": "x, y"}},
    }
    return given | values


def run(distances, **values):
    return pd.DataFrame([trial(seed, float(distance), **values) for seed, distance in enumerate(distances)])


def joined(*frames):
    return pd.concat(frames, ignore_index=True)


def only_row(a, b):
    (row,) = compare_runs(pair(a, b)).to_dict("records")
    return row


FIRST = np.random.default_rng(0).uniform(0.5, 1.0, SEEDS)
LOST = np.full(SEEDS, np.nan)


@pytest.mark.parametrize(("factor", "verdict"), [(0.9, "better"), (1.1, "worse"), (1.0, "same")])
def test_a_run_that_is_closer_to_the_causes_is_better(factor, verdict):
    assert only_row(run(FIRST), run(factor * FIRST))["verdict"] == verdict


def test_differences_of_no_direction_are_unclear():
    signs = np.where(np.arange(SEEDS) % 2, 1.0, -1.0)
    assert only_row(run(FIRST), run(FIRST + 0.01 * signs))["verdict"] == "unclear"


def test_what_solvers_leave_open_is_no_difference():
    assert only_row(run(FIRST), run(FIRST * (1 + 1e-8)))["verdict"] == "same"


def test_trials_are_paired_by_seed_whatever_their_order():
    second = run(FIRST - 0.1).sample(frac=1, random_state=0)
    row = only_row(run(FIRST), second)
    assert row["median"] == pytest.approx(-0.1)
    assert (row["median_low"], row["median_high"]) == pytest.approx((-0.1, -0.1))
    assert (row["mean"], row["n"], row["pairs"]) == (pytest.approx(-0.1), SEEDS, SEEDS)


def test_p_is_wilcoxons_of_the_paired_differences():
    second = FIRST + np.random.default_rng(1).normal(0.02, 0.05, SEEDS)
    assert only_row(run(FIRST), run(second))["p"] == pytest.approx(stats.wilcoxon(second - FIRST).pvalue)


def test_p_is_adjusted_over_the_methods_that_differ():
    rng = np.random.default_rng(2)
    methods = {name: FIRST + rng.normal(0.02, 0.05, SEEDS) for name in "abc"} | {"d": FIRST}
    first = joined(*(run(FIRST, method=name, method_label=name) for name in methods))
    second = joined(*(run(values, method=name, method_label=name) for name, values in methods.items()))
    table = compare_runs(pair(first, second)).set_index("method_label")
    raw = {name: stats.wilcoxon(methods[name] - FIRST).pvalue for name in "abc"}
    assert table["p"].min() == pytest.approx(3 * min(raw.values()))
    assert np.isnan(table.loc["d", "p"])


def test_a_seed_counts_once_whatever_the_number_of_datasets():
    first = joined(*(run(FIRST, dataset_label=name, dataset=name) for name in "ab"))
    second = joined(run(FIRST - 0.3, dataset_label="a", dataset="a"), run(FIRST - 0.1, dataset_label="b", dataset="b"))
    row = only_row(first, second)
    assert (row["datasets"], row["n"], row["pairs"]) == (2, SEEDS, 2 * SEEDS)
    assert row["median"] == pytest.approx(-0.2)


def test_a_trial_that_fails_is_worse_than_one_that_does_not_and_the_mean_leaves_it_out():
    second = run(FIRST)
    second.loc[second["data_seed"] < 9, ["status", "distance"]] = ["failed", np.nan]
    row = only_row(run(FIRST), second)
    assert (row["failed_a"], row["failed_b"]) == (0, 9)
    assert (row["median"], row["mean"], row["verdict"]) == (np.inf, 0.0, "worse")
    assert only_row(second, run(FIRST))["verdict"] == "better"


def test_what_fails_in_both_runs_is_the_same():
    failed = run(LOST, status="failed")
    assert only_row(failed, failed)["verdict"] == "same"


@pytest.mark.parametrize(
    "changed",
    [
        {"dataset_params": {"n": 200, "hidden": False}},
        {"method_params": {"penalty_weight": 20.0}},
        {"solver_params": {"steps": 6}},
        {"solver": "converged"},
        {"dataset": "other"},
        {"method": "other"},
        {"held_out": 1},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_trials_that_differ_in_what_they_are_are_no_pair(changed):
    pairs = pair(run(FIRST), run(FIRST, **changed))
    assert (len(pairs.both), len(pairs.only_a), len(pairs.only_b)) == (0, SEEDS, SEEDS)


def test_the_order_of_parameters_does_not_matter_nor_do_trial_ids():
    pairs = pair(run(FIRST), run(FIRST, dataset_params={"hidden": False, "n": 100}, trial_id="new"))
    assert len(pairs.both) == SEEDS


def test_a_trial_that_a_merged_folder_holds_twice_counts_once():
    assert len(pair(joined(run(FIRST), run(FIRST, trial_id="again")), run(FIRST)).both) == SEEDS


def test_trials_that_do_not_apply_are_nothing_to_compare():
    lacking = run(LOST, method="icp", method_label="icp", status="not_applicable", solved_by="")
    pairs = pair(joined(run(FIRST), lacking), run(FIRST))
    assert (len(pairs.both), len(pairs.only_a)) == (SEEDS, 0)


def test_what_only_one_run_has_is_named():
    first = joined(run(FIRST), run(FIRST, method="irmv1", method_label="irmv1"), run(FIRST, solver_params={"steps": 7}))
    pairs = pair(first, run(FIRST[:10]))
    said = "; ".join(unshared(pairs.only_a, joined(pairs.both, pairs.only_b)))
    assert said == "methods irmv1; data seeds 10, 11; 10 with other parameters or combinations (vrex)"


def test_origins_of_a_merged_run_are_all_named():
    stamps = ({"commit": "b" * 40 + "+"}, {"commit": "c" * 40}, {"commit": None})
    assert (
        origins(joined(*(run([1.0], made_by=stamp) for stamp in stamps)))["commit"] == "bbbbbbb+ and ccccccc and none"
    )


def view(a, b):
    return comparison_view(a, b, ("results/a", "results/b"))


def shown(of, width=80):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(in_terminal(of, width))
    return console.file.getvalue()


def test_two_runs_are_shown_with_how_they_differ():
    other = {"commit": "b" * 40, "torch": "2.14.0", "machine": "x, y"}
    text = " ".join(shown(view(run(FIRST), run(FIRST - 0.1, made_by=other))).split())
    assert "results/b (B) beside results/a (A)" in text
    assert "A → B: commit (aaaaaaa → bbbbbbb), torch (2.13.0 → 2.14.0); the same: suite quick, machine x, y." in text
    assert "12 pairs of trials; rows: 1 better." in text
    assert "-0.100" in text
    assert "[-0.100, -0.100]" in text


def test_the_note_says_what_the_numbers_are():
    note = view(run(FIRST[:3]), run(FIRST[:3] - 0.1)).note
    for said in (
        "medians",
        "95% percentile bootstrap",
        "Wilcoxon",
        "Holm",
        "not selected",
        "n = 3.",
        "n < 6 no difference",
    ):
        assert said in note


def test_infinities_and_what_is_undefined_are_null_in_json():
    failed = run(LOST, status="failed")
    assert '"median": null' in formats.json(view(run(FIRST), failed))
    assert "nan" not in shown(view(run(FIRST), failed)).lower()


def test_runs_that_share_nothing_are_refused_with_what_each_has():
    with pytest.raises(UserError, match=r"share no trial: Only in A, 12 of its trials: methods vrex\. Only in B, 12"):
        view(run(FIRST), run(FIRST, method="irmv1", method_label="irmv1"))
