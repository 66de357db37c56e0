"""Standings of methods, on trials whose distances are made up."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from irmbench.analysis.paired import holm
from irmbench.analysis.standings import ALL, COLUMNS, standings
from irmbench.analysis.statistics import Interval, iqm, median, stratified_interval

CLASSES = ("Y-noise constant", "Y-noise varies")
SEEDS = 12


def trial(method, distance, seed=0, dataset="chain", label=None, of_class=CLASSES[0], **more):
    """Return what standings read of a trial's record; a distance of None is a failure."""
    record = {"solver": "converged", "method_label": method, "solved_by": "Newton", "assumption_class": of_class}
    record |= {"dataset": dataset, "dataset_label": label or dataset, "data_seed": seed, "distance": distance}
    family = "oracle" if method.startswith("oracle") else "risk-based"
    return record | {"family": family, "status": "failed" if distance is None else "ok"} | more


def series(method, distances, **where):
    """Return a trial for each distance, of seeds 0, 1, ..."""
    return [trial(method, distance, seed, **where) for seed, distance in enumerate(distances)]


def not_applicable(method, seeds=SEEDS, **where):
    return [trial(method, np.nan, s, status="not_applicable", solved_by="", **where) for s in range(seeds)]


def distances(seed, shift=0.0, n=SEEDS):
    return np.exp(np.random.default_rng(seed).normal(shift, 0.3, n)).round(6)


def table(*parts):
    return standings(pd.DataFrame([record for part in parts for record in part]))


def row(found, method, of_class=CLASSES[0], **where):
    for column, value in {"method_label": method, "assumption_class": of_class, **where}.items():
        found = found[found[column] == value]
    (only,) = found.to_dict("records")
    return only


@pytest.fixture(scope="module")
def made_up():
    """Two classes, three methods and an oracle: near is better than erm in the first, worse in the second."""
    return table(
        series("erm", distances(0)),
        series("near", distances(1, -1.0)),
        series("far", distances(2, 1.0)),
        series("oracle_beta", np.full(SEEDS, 0.001)),
        series("erm", distances(3), dataset="sem", of_class=CLASSES[1]),
        series("near", distances(4, 1.0), dataset="sem", of_class=CLASSES[1]),
        series("far", distances(5, 1.1), dataset="sem", of_class=CLASSES[1]),
    )


def test_standings_have_the_columns_they_say_and_a_row_per_method_and_class(made_up):
    assert list(made_up.columns) == COLUMNS
    assert not made_up.duplicated(["solver", "method_label", "solved_by", "assumption_class"]).any()
    assert list(made_up.loc[made_up["method_label"] == "near", "assumption_class"]) == [*CLASSES, ALL]


def test_the_best_rank_over_all_classes_comes_first_and_oracles_last(made_up):
    assert list(dict.fromkeys(made_up["method_label"])) == ["erm", "near", "far", "oracle_beta"]


def test_aggregates_are_those_of_the_runs(made_up):
    own, erm = distances(1, -1.0), distances(0)
    found = row(made_up, "near")
    names = ("distance_median", "distance_low", "distance_high"), ("skill_iqm", "skill_low", "skill_high")
    for columns, expected in zip(names, (own, 1 - own / erm), strict=True):
        statistic = median if columns[0] == "distance_median" else iqm
        interval = stratified_interval([expected[:, None]], statistic)
        assert Interval(*(found[column] for column in columns)) == pytest.approx(interval)
    assert found["improvement"] == np.mean(own < erm)
    assert found["improvement_low"] <= found["improvement"] <= found["improvement_high"]
    assert (found["n"], found["applicable"], found["datasets"], found["failed"]) == (SEEDS, SEEDS, 1, 0)


def test_erm_has_no_skill_and_is_not_tested_against_itself(made_up):
    found = row(made_up, "erm")
    assert (found["skill_iqm"], found["improvement"]) == (0.0, 0.5)
    assert np.isnan([found["p_erm"], found["effect_erm"]]).all()


def test_tests_against_erm_are_wilcoxons_with_holms_adjustment_within_the_class(made_up):
    p = [stats.wilcoxon(distances(k, shift), distances(0)).pvalue for k, shift in ((1, -1.0), (2, 1.0))]
    np.testing.assert_allclose([row(made_up, m)["p_erm"] for m in ("near", "far")], holm(np.array(p)))


def test_effects_are_above_zero_where_closer_to_the_causes(made_up):
    assert row(made_up, "near")["effect_erm"] > 0.9
    assert row(made_up, "near", CLASSES[1])["effect_erm"] < -0.9


def test_the_best_has_the_smallest_median_and_what_is_significantly_worse_does_not_tie(made_up):
    first = made_up[made_up["assumption_class"] == CLASSES[0]].set_index("method_label")
    assert first["best"].to_dict() == {"near": True, "erm": False, "far": False, "oracle_beta": False}
    assert first["tied"].to_dict() == {"near": True, "erm": False, "far": False, "oracle_beta": False}
    assert first.loc["far", "p_best"] < 0.05
    assert first.loc["far", "effect_best"] == -1.0


def test_what_is_not_significantly_worse_ties():
    erm = distances(0)
    found = row(table(series("erm", erm), series("near", erm * np.resize([0.5, 1.05], SEEDS))), "erm")
    assert (found["best"], found["tied"]) == (False, True)
    assert found["p_best"] > 0.05


def test_oracles_are_described_and_neither_tested_nor_ranked(made_up):
    found = row(made_up, "oracle_beta")
    assert (found["distance_median"], found["improvement"]) == (0.001, 1.0)
    assert np.isnan([found[c] for c in ("p_erm", "effect_erm", "p_best", "effect_best", "rank")]).all()


def test_ranks_are_means_within_families_and_then_over_them():
    """Three variants of one model weigh as much as one other dataset: 1 and 2, not 1, 1, 1 and 2."""
    variants = [series("erm", [2.0, 2.0], label=f"chain {k}") for k in range(3)]
    variants += [series("near", [1.0, 1.0], label=f"chain {k}") for k in range(3)]
    found = table(*variants, series("erm", [1.0, 1.0], dataset="sem"), series("near", [2.0, 2.0], dataset="sem"))
    assert (row(found, "near")["rank"], row(found, "erm")["rank"]) == (1.5, 1.5)


def test_ranks_of_equal_distances_are_shared():
    found = table(series("erm", [1.0, 1.0]), series("near", [1.0 + 1e-9, 1.0]), series("far", [2.0, 2.0]))
    assert [row(found, m)["rank"] for m in ("erm", "near", "far")] == [1.5, 1.5, 3.0]


def test_a_failed_run_loses():
    found = table(series("erm", [1.0] * 4), series("near", [0.5, 0.5, 0.5, None]))
    near = row(found, "near")
    assert (near["failed"], near["failure_rate"], near["n"]) == (1, 0.25, 4)
    assert (near["improvement"], near["rank"]) == (0.75, 1.25)
    assert near["distance_median"] == 0.5
    assert near["effect_erm"] == (2 + 2 + 2 - 4) / 10  # the failure has the highest of four ranks


def test_a_method_that_mostly_fails_has_an_infinite_median_and_is_not_best():
    found = table(series("erm", [1.0] * 3), series("near", [0.1, None, None]))
    assert row(found, "near")["distance_median"] == np.inf
    assert row(found, "erm")["best"]


def test_failures_of_both_tie():
    found = row(table(series("erm", [None, 1.0]), series("near", [None, 0.5])), "near")
    assert found["improvement"] == 0.75
    assert found["skill_iqm"] == 0.25


def test_a_success_where_erm_failed_is_full_skill():
    found = row(table(series("erm", [None, None]), series("near", [0.5, 0.5]), series("far", [9.0, 9.0])), "near")
    assert (found["skill_iqm"], found["improvement"]) == (1.0, 1.0)


def test_where_a_method_does_not_apply_it_is_neither_compared_nor_best():
    part = {"dataset": "sem"}
    found = table(
        *(series("erm", distances(0)), series("erm", distances(1), **part)),
        *(series("near", distances(2, -2.0)), not_applicable("near", **part)),
    )
    near = row(found, "near")
    assert (near["datasets"], near["applicable"], near["failed"]) == (1, SEEDS, 0)
    assert near["improvement"] == 1.0
    assert (near["best"], near["tied"], row(found, "erm")["best"]) == (False, False, True)


def test_what_applies_nowhere_has_a_row_without_numbers():
    found = row(table(series("erm", distances(0)), not_applicable("near")), "near")
    assert (found["applicable"], found["n"], found["datasets"]) == (0, 0, 0)
    assert np.isnan([found[c] for c in ("failure_rate", "distance_median", "skill_iqm", "p_erm", "rank")]).all()


def test_without_erm_what_is_beside_it_is_missing_and_the_rest_is_there():
    found = row(table(series("near", distances(0)), series("far", distances(1, 2.0))), "near")
    assert np.isnan([found[c] for c in COLUMNS if c.startswith(("skill", "improvement"))]).all()
    assert np.isnan([found["p_erm"], found["effect_erm"]]).all()
    assert (found["best"], found["rank"]) == (True, 1.0)


def test_one_seed_has_neither_intervals_nor_tests():
    found = row(table(series("erm", [1.0]), series("near", [0.5])), "near")
    assert (found["distance_median"], found["skill_iqm"], found["improvement"]) == (0.5, 0.5, 1.0)
    assert np.isnan([found[c] for c in COLUMNS if c.endswith(("_low", "_high")) or c.startswith("p_")]).all()


def test_of_few_seeds_all_tie():
    found = table(series("erm", [1.0] * 4), series("near", [0.1] * 4))
    assert row(found, "erm")["tied"]


def test_every_run_is_beside_erm_of_its_own_solver_and_way_of_solving():
    slow = {"solved_by": "adam"}
    other = {"solver": "official"}
    found = table(
        *(series("erm", [1.0, 1.0]), series("erm", [4.0, 4.0], **slow), series("erm", [8.0, 8.0], **other)),
        *(series("near", [0.5, 0.5]), series("near", [1.0, 1.0], **slow), series("near", [1.0, 1.0], **other)),
        series("far", [2.0, 2.0], solved_by="closed form"),
    )
    assert row(found, "near", solver="converged", solved_by="Newton")["skill_iqm"] == 0.5
    assert row(found, "near", solver="converged", solved_by="adam")["skill_iqm"] == 0.75
    assert row(found, "near", solver="official")["skill_iqm"] == 0.875
    assert row(found, "far")["skill_iqm"] == -1.0  # none is solved like it: beside the first


def test_random_draws_and_trials_recorded_twice_count_once():
    drawn = [trial("near", 9.0, s, draw=1) for s in range(2)]
    given = [r | {"draw": 0} for r in [*series("erm", [1.0, 1.0]), *series("near", [0.5, 0.5])] * 2]
    assert row(table(given, drawn), "near")["applicable"] == 2
    assert row(table(given, drawn), "near")["distance_median"] == 0.5


def test_networks_have_no_distance_and_no_standing():
    bare = [trial("erm", np.nan, s, dataset="spirals", of_class="not linear") for s in range(3)]
    failed = [trial("near", None, s, dataset="spirals", of_class="not linear") for s in range(3)]
    found = table(bare, failed)
    assert np.isnan(found["distance_median"]).all()
    assert not found["best"].any()
    assert row(found, "near", "not linear")["failure_rate"] == 1.0


def test_standings_do_not_depend_on_the_order_of_trials():
    records = pd.DataFrame([*series("erm", distances(0)), *series("near", distances(1, -0.1))])
    shuffled = records.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(standings(records), standings(shuffled))


def test_the_seed_moves_intervals_alone():
    records = pd.DataFrame([*series("erm", distances(0)), *series("near", distances(1))])
    bounds = [c for c in COLUMNS if c.endswith(("_low", "_high"))]
    first, second = standings(records, 0), standings(records, 1)
    assert not first[bounds].equals(second[bounds])
    pd.testing.assert_frame_equal(first.drop(columns=bounds), second.drop(columns=bounds))


def test_datasets_that_share_draws_do_not_make_intervals_narrower_or_tests_stronger():
    erm, near = distances(0), distances(1, -0.2)
    once = row(table(series("erm", erm), series("near", near)), "near")
    copies = [series(m, d, label=f"chain {k}") for k in range(4) for m, d in (("erm", erm), ("near", near))]
    found = row(table(*copies), "near")
    for column in ("p_erm", "effect_erm", "distance_median", "improvement_low", "improvement_high"):
        assert found[column] == pytest.approx(once[column])


def test_a_plugin_that_cannot_name_its_class_does_not_break_the_others():
    """Its label without parameters may be that of another dataset, in a class of its own."""
    odd = [trial("near", None, s, of_class="unknown", solved_by="") for s in range(3)]
    found = table(series("erm", [1.0] * 3), series("near", [0.5] * 3), odd)
    assert row(found, "near", "unknown")["failed"] == 3
    assert row(found, "near", CLASSES[0])["distance_median"] == 0.5
