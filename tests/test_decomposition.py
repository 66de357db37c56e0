"""The parts of a distance add up to it, seed by seed."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from report_support import only_svg

from irmbench.analysis.decomposition import PARTS, decompose
from irmbench.plots.decomposition import decomposition
from irmbench.report import outputs

SEEDS = range(4)
DISTANCES = {"population": [0.1, 0.1, 0.2, 0.2], "converged": [0.3, 0.2, 0.5, 0.1], "official": [0.4, 0.6, 0.4, 0.9]}


def trials(**changes):
    return pd.DataFrame(
        {
            "assumption_class": "Y-noise varies",
            "dataset": "chain",
            "dataset_params": {},
            "dataset_label": "chain",
            "method_label": "irmv1",
            "method": "irmv1",
            "family": "gradient penalty",
            "seconds": 0.1,
            "solver": solver,
            "solved_by": {"official": "adam 10 steps"}.get(solver, "Newton"),
            "status": "ok",
            "draw": 0,
            "data_seed": seed,
            "distance": distances[seed],
            "error_causal": 0.1,
            "error_noncausal": 0.1,
            **changes,
        }
        for solver, distances in DISTANCES.items()
        for seed in SEEDS
    )


def test_parts_are_the_mean_steps_from_solver_to_solver():
    parts = decompose(trials()).set_index("part")["value"]
    assert parts.to_dict() == pytest.approx({"objective": 0.15, "sample": 0.125, "optimiser": 0.3})
    assert parts.sum() == pytest.approx(np.mean(DISTANCES["official"]))


def test_a_method_without_one_of_the_solvers_has_no_parts():
    frame = trials()
    assert decompose(frame[frame["solver"] != "population"]).empty


def test_seeds_are_paired():
    frame = trials()
    frame = frame[~((frame["solver"] == "converged") & (frame["data_seed"] == 3))]
    parts = decompose(frame).set_index("part")
    assert parts["n"].tolist() == [3, 3, 3]
    assert parts.loc["optimiser", "value"] == pytest.approx(np.mean([0.1, 0.4, -0.1]))


def test_a_trial_that_was_also_recorded_step_by_step_counts_once():
    frame = trials()
    twice = pd.concat([frame, frame[frame["solver"] == "official"]])
    pd.testing.assert_frame_equal(decompose(twice), decompose(frame))


@pytest.mark.parametrize("solver", ["population", "converged"])
def test_parts_are_not_told_where_a_solution_was_found_in_several_ways(solver):
    frame = trials()
    other = frame[frame["solver"] == solver].assign(solved_by="adam 50 steps")
    assert decompose(pd.concat([frame, other])).empty


def test_solvers_that_share_no_seed_have_no_parts():
    frame = trials()
    late = frame["data_seed"].where(frame["solver"] != "converged", frame["data_seed"] + 10)
    assert decompose(frame.assign(data_seed=late)).empty


def test_official_solvers_have_rows_of_their_own_in_the_figure():
    frame = trials()
    longer = frame[frame["solver"] == "official"].assign(solved_by="adam 20 steps", distance=0.5)
    ax = Figure().subplots()
    decomposition(decompose(pd.concat([frame, longer])), [ax])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["irmv1 (adam 10 steps)", "irmv1 (adam 20 steps)"]


def test_a_run_without_parts_leaves_no_table_of_an_earlier_one(tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "decomposition.csv").write_text("old")
    outputs.write(tmp_path, trials(status="failed").to_dict("records"))
    assert not (tmp_path / "decomposition.csv").exists()


def test_failed_trials_do_not_count():
    failed = trials(status="failed", distance=9.0)
    pd.testing.assert_frame_equal(decompose(pd.concat([failed, trials()])), decompose(trials()))


def test_every_draw_of_hyper_parameters_has_its_own_parts():
    other = trials(draw=1, method_label="m weight=2")
    assert decompose(pd.concat([trials(), other]))["method_label"].value_counts().tolist() == [3, 3]


def test_trials_without_an_environment_count_where_no_others_do():
    part = trials(held_out=2, distance=9.0)
    pd.testing.assert_frame_equal(decompose(pd.concat([part, trials(held_out=None)])), decompose(trials()))
    assert decompose(part)["value"].tolist() == [9.0, 0.0, 0.0]


def test_every_official_solver_has_its_own_parts():
    longer = trials(solved_by="adam 20 steps")
    frame = pd.concat([trials(), longer[longer["solver"] == "official"]])
    assert decompose(frame)["solved_by"].unique().tolist() == ["adam 10 steps", "adam 20 steps"]


def test_nothing_is_made_of_no_trials():
    assert decompose(pd.DataFrame()).empty


def test_the_figure_draws_a_point_for_every_part():
    ax = Figure().subplots()
    decomposition(decompose(trials()), [ax])
    drawn = [line.get_xdata().tolist() for line in ax.get_lines() if line.get_marker() not in ("None", "", None)]
    assert drawn == [pytest.approx([v]) for v in (0.15, 0.125, 0.3)]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(PARTS)


def test_a_run_with_all_three_solvers_gets_the_table_and_the_figure(tmp_path):
    with only_svg():
        outputs.write(tmp_path, trials().to_dict("records"))
    assert (tmp_path / "plots" / "decomposition.svg").exists()
    stored = pd.read_csv(tmp_path / "decomposition.csv")
    assert stored["part"].tolist() == list(PARTS)
