"""Selecting hyper-parameters: which candidate each protocol takes, and what is said of it."""

import numpy as np
import pandas as pd
import pytest

from irmbench.analysis.candidates import Selected
from irmbench.analysis.published import compare, published
from irmbench.analysis.selection import select, weigh
from irmbench.analysis.statistics import RESAMPLES
from irmbench.changes import Changes, change
from irmbench.suite import load_suite
from irmbench.views.formats import markdown
from irmbench.views.selection import comparison_with_published, selection_view


def trial(seed, draw, **values):
    given = {
        "dataset_label": "data",
        "name": "M",
        "method": "m",
        "solver": "official",
        "status": "ok",
        "data_seed": seed,
        "draw": draw,
        "method_params": {"weight": float(draw)},
        "solver_params": {"steps": 5},
        "held_out": None,
        "validate": True,
        "error_causal": 10.0 * draw + seed,
        "error_noncausal": 0.0,
        "distance": abs(draw - 3.0),
        "validation_risk": [abs(draw - 1.0), abs(draw - 1.0)],
        "test_risk": [abs(draw - 2.0) + seed, abs(draw - 2.0) + 3 * seed],
        "held_out_risk": None,
    }
    return given | values


def frame(trials=None):
    return pd.DataFrame(trials or [trial(seed, draw) for seed in range(4) for draw in range(4)])


def selected_draws(table):
    rows = table[table["score"] == "error_causal"]
    return dict(zip(rows["protocol"], (rows["mean"] // 10).astype(int), strict=True))


def test_each_protocol_takes_the_candidate_of_its_own_least_criterion():
    found = selected_draws(select(frame()))
    assert found == {"defaults": 0, "training validation": 1, "oracle": 2, "oracle coefficients": 3}


def test_leaving_one_out_needs_every_environment_and_takes_the_least_mean_risk_on_it():
    risks = {0: [9.0, 1.0, 5.0, 0.0], 1: [9.0, 1.0, 2.0, 8.0]}
    whole = [trial(seed, draw) for seed in range(4) for draw in range(4)]
    parts = {
        e: [trial(s, d, held_out=e, held_out_risk=[risks[e][d]]) for s in range(4) for d in range(4)] for e in (0, 1)
    }
    assert "leave one out" not in selected_draws(select(frame(whole + parts[0])))
    assert selected_draws(select(frame(whole + parts[0] + parts[1])))["leave one out"] == 1


def test_trials_without_the_last_environment_are_selected_by_it_and_kept_apart():
    parts = [trial(s, d, held_out=2, held_out_risk=[[4.0, 3.0, 2.0, 5.0][d]]) for s in range(4) for d in range(4)]
    table = select(frame(parts))
    assert set(table["left_out"]) == {"2"}
    assert selected_draws(table)["last environment"] == 2
    assert "training validation" not in set(table["protocol"])


def test_one_candidate_serves_all_seeds_or_each_seed_has_its_own():
    risks = {0: [0.0, 3.0], 1: [5.0, 4.0], 2: [5.0, 4.0]}  # draw 0 is best on seed 0, draw 1 on the others and overall
    trials = [trial(s, d, validation_risk=[risks[s][d]]) for s in range(3) for d in range(2)]
    of_all = select(frame(trials)).query("protocol == 'training validation' and score == 'error_causal'")
    of_each = select(frame(trials), each_seed=True).query(
        "protocol == 'training validation' and score == 'error_causal'"
    )
    assert of_all["mean"].item() == pytest.approx(np.mean([0.0, 1.0, 2.0]))  # 10 / 3 of risk against 11 / 3
    assert of_each["mean"].item() == pytest.approx(np.mean([0.0, 11.0, 12.0]))
    assert of_each["selected"].item() == "weight=1 (2 of 3 seeds); weight=0 (1 of 3 seeds)"


def test_a_candidate_that_failed_for_one_seed_is_not_selected_for_all():
    trials = [trial(s, d) for s in range(4) for d in range(4)]
    failed = {
        "status": "failed",
        "validation_risk": None,
        "test_risk": None,
        "distance": np.nan,
        "error_causal": np.nan,
    }
    trials[5] |= failed  # seed 1, draw 1: the best
    assert selected_draws(select(frame(trials)))["training validation"] in (0, 2)


def test_published_conventions_sd_of_the_average_is_the_mean_of_the_environments():
    rows = select(frame()).query("protocol == 'oracle' and score == 'test_risk'").set_index("environment")
    assert rows.loc["average", "sd"] == pytest.approx((rows.loc["E0", "sd"] + rows.loc["E1", "sd"]) / 2)
    assert rows.loc["E1", "sd"] == pytest.approx(3 * np.std(range(4)))
    assert rows.loc["average", "mean"] == pytest.approx(2 * 1.5)


def test_intervals_select_anew_in_every_resample():
    """Of two candidates that are equally good on average, the winner's interval reaches as low as either's."""
    rng = np.random.default_rng(0)
    criterion = rng.standard_normal((30, 2))
    criterion -= criterion.mean(0) - [0.0, 1e-9]  # the first wins by a hair
    values = np.column_stack([np.full(30, 1.0), np.full(30, 0.0)])
    chosen = Selected(criterion, each_seed=False)
    found = chosen.estimate(values)
    assert found["mean"] == 1.0
    assert (found["low"], found["high"]) == pytest.approx((0.0, 1.0))
    fixed = Selected(criterion + np.array([0.0, 100.0]), each_seed=False).estimate(values)
    assert (fixed["low"], fixed["high"]) == pytest.approx((1.0, 1.0))


def test_the_interval_covers_the_mean_of_what_is_selected_as_often_as_it_says():
    covered = []
    for repetition in range(200):
        values = np.random.default_rng(repetition).standard_normal((40, 1))
        found = Selected(np.zeros((40, 1)), each_seed=False).estimate(values)
        covered.append(found["low"] <= 0.0 <= found["high"])
    assert RESAMPLES >= 2000
    assert 0.89 <= np.mean(covered) <= 0.98  # 0.95 less a percentile interval's bias, +- 3 standard errors


def test_every_candidate_is_weighed_with_the_part_of_the_seeds_that_selects_it():
    table = weigh(frame())
    assert list(table["candidate"]) == [f"weight={d}" for d in range(4)]
    assert list(table["training validation"]) == [0.0, 1.0, 0.0, 0.0]
    assert list(table["error_causal"]) == [10.0 * d + 1.5 for d in range(4)]


def test_a_near_tie_shows_in_how_often_resampled_seeds_select_each_candidate():
    closely = np.random.default_rng(0).standard_normal((50, 1)) * [0.0, 1.0, 0.0] + [0.1, 0.05, 5.0]
    shares = Selected(closely, each_seed=False).shares
    assert shares.sum() == pytest.approx(1.0)
    assert min(shares[0], shares[1]) > 0.1
    assert shares[2] == 0.0


def test_trials_with_nothing_to_select_give_no_rows():
    assert not len(select(frame([trial(s, 0, validate=False) for s in range(3)])))
    assert not len(select(pd.DataFrame([{"status": "ok", "draw": 0}])))


def test_a_method_with_one_candidate_is_in_the_table_of_every_protocol():
    fixed = [trial(s, 0, name="fixed", validate=False, test_risk=None, validation_risk=None) for s in range(4)]
    both = frame([trial(s, d) for s in range(4) for d in range(4)] + fixed)
    shown = selection_view(select(both), ["error_causal"]).tables
    assert len({table.title for table in shown}) == 4
    assert all(table.columns == ("dataset", "M", "fixed") for table in shown)
    assert all(cell.text for table in shown for row in table.sections[""] for cell in row)


def test_markdown_names_the_protocol_of_every_table():
    text = markdown(selection_view(select(frame()), ["test_risk"]))
    assert text.count("\n## ") == text.count("; selected by: ") == 4
    assert "| data | 21.5" not in text
    assert "n = 4." in text


def cells(**values):
    given = {"dataset_label": "data", "method": "M", "solver": "official", "left_out": "", "source": "a paper"}
    given |= {"protocol": "oracle", "score": "error_causal", "environment": "", "mean": "21.50", "sd": 1.0, "n": 4}
    return pd.DataFrame([given | values])


def test_a_cell_s_distance_is_in_standard_errors_of_both_and_of_the_print():
    row = compare(select(frame()), cells(mean="20.5")).iloc[0]
    sd = np.std(range(4))
    assert row["distance"] == pytest.approx(1.0 / np.sqrt(sd**2 / 4 + 1 / 4 + 0.1**2 / 12))
    assert not row["far"]
    assert compare(select(frame()), cells(mean="9.5"))["far"].item()


def test_cells_that_agree_to_the_printed_digit_are_not_far_though_neither_varies():
    trials = [trial(s, d, error_causal=0.00042) for s in range(4) for d in range(4)]
    row = compare(select(frame(trials)), cells(mean="0.000", sd=0.0)).iloc[0]
    assert np.isfinite(row["distance"])
    assert not row["far"]


def test_a_cell_that_the_run_has_not_is_left_out_and_what_is_far_comes_first():
    assert not len(compare(select(frame()), cells(method="other")))
    text = markdown(comparison_with_published(compare(select(frame()), cells(mean="9.5"))))
    assert text.startswith(
        "# Beside the published tables\n\nWithin 3 combined standard errors lie 0 of 1 published cells;"
    )
    assert text.index("## Beyond 3") < text.index("## a paper")


@pytest.mark.parametrize(("suite", "count"), [("unit-tests-paper", 132), ("irm-paper-chain", 12)])
def test_published_cells_are_each_there_once_and_of_means_that_the_average_confirms(suite, count):
    known = published(load_suite(suite))
    assert len(known) == count
    assert not known.duplicated(["dataset_label", "method", "left_out", "score", "environment"]).any()
    means = known.assign(mean=known["mean"].astype(float)).pivot_table(
        index=["dataset_label", "method"], columns="environment", values="mean"
    )
    if "E0" in means:  # averages are printed to two digits
        assert (means[["E0", "E1", "E2"]].mean(axis=1) - means["average"]).abs().max() < 0.0101


def test_a_suite_with_no_published_table_has_no_cells():
    assert published(load_suite("quick")) is None


def test_a_method_that_is_not_run_as_published_is_not_compared():
    suite = load_suite("unit-tests-paper")
    changed = change(suite, Changes(values=["methods.irmv1.variant=scale_sq"]))
    assert set(published(changed)["method"]) == set(published(suite)["method"]) - {"IRMv1"}


def test_a_part_of_the_suite_is_compared_as_the_whole():
    part = change(load_suite("unit-tests-paper"), Changes(seeds=3, methods=["erm"], datasets=["unit_test_1"]))
    assert set(published(part)["method"]) == {"ERM"}


def test_cells_from_memory_are_counted_apart():
    both = pd.concat([cells(mean="20.5"), cells(mean="9.5", source="from memory and not checked")])
    text = markdown(comparison_with_published(compare(select(frame()), both)))
    assert "1 of 1 published cells, 0 of 1 cells quoted from memory" in text


def test_defaults_that_failed_for_a_seed_are_no_protocol():
    trials = [trial(seed, draw) for seed in range(4) for draw in range(4)]
    trials[4] |= {"status": "failed", "distance": np.nan, "error_causal": np.nan, "error_noncausal": np.nan}
    trials[4] |= {"validation_risk": None, "test_risk": None}
    assert "defaults" not in selected_draws(select(frame(trials)))


def test_environments_held_out_count_without_risks_on_fresh_examples():
    whole = [trial(seed, draw, validation_risk=None, test_risk=None) for seed in range(4) for draw in range(4)]
    parts = [
        trial(seed, draw, held_out=e, held_out_risk=[abs(draw - 1.0)], validation_risk=None, test_risk=None)
        for seed in range(4) for draw in range(4) for e in range(2)
    ]  # fmt: skip
    assert selected_draws(select(frame(whole + parts)))["leave one out"] == 1
