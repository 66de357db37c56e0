"""Figures of performance records show what the records hold."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from perf_support import STEP, measurement, training

from irmbench.perf import plots as perf_plots
from irmbench.perf import records as perf_records
from irmbench.perf.timing import QUICK_CASES, Case
from irmbench.perf.training_loops import Size
from irmbench.perf.training_times import GROWTH, Step
from irmbench.plots.style import FORMATS, LOOKS

GROWING = [Case(2, 100), Case(2, 1_000), Case(10, 100), Case(10, 1_000)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def axes(count):
    return list(Figure().subplots(1, count, squeeze=False).flat)


def measured():
    """Measurements whose seconds grow as n (fast), as n squared (reference), and not at all (bound)."""
    return [measurement(case, fast=case.n / 1e5, reference=case.n**2 / 1e5, bound=1e-3) for case in GROWING]


def record(fast=1.0, when="2030-01-01", machine="a"):
    stored = perf_records.save([measurement(case, fast=fast) for case in QUICK_CASES], "cpu")
    info = stored.content["machine_info"] | {"fingerprint": machine}
    return replace(stored, content=stored.content | {"datetime": when, "machine_info": info})


def steps(ax, look):
    return next(line for line in ax.lines if to_hex(line.get_color()) == to_hex(look["color"]))


def test_a_scaling_plot_has_an_axes_per_number_of_environments():
    grown = perf_plots._growth(measured())
    panels = axes(2)
    perf_plots.scaling(grown, panels)
    assert [ax.get_title() for ax in panels] == ["2 environments", "10 environments"]
    assert {ax.get_xscale() for ax in panels} == {ax.get_yscale() for ax in panels} == {"log"}
    fast, reference, bound = panels[0].lines
    assert fast.get_xydata().tolist() == [[100, 1e-3], [1_000, 1e-2]]
    assert reference.get_ydata().tolist() == pytest.approx([0.1, 10])
    assert bound.get_ydata().tolist() == [1e-3, 1e-3]


def test_cases_that_differ_in_more_than_their_sizes_do_not_grow():
    others = [measurement(Case(2, 10_000, loss="logistic")), measurement(Case(1, 10_000))]
    assert {e: [found.case.n for found in of] for e, of in perf_plots._growth(measured() + others).items()} == {
        2: [100, 1_000],
        10: [100, 1_000],
    }


def test_exponents_of_growth_are_slopes_in_logs():
    exponents = perf_plots._exponents(perf_plots._growth(measured()))
    assert exponents.startswith("2 environments: fast 1.00, double backward 2.00, streaming bound 0.00; 10 env")


def test_history_steps_from_record_to_record_in_time():
    records = [record(1.0, "2030-01-02"), record(2.0, "2030-01-01")]
    (ax,) = axes(1)
    perf_plots.history(records, [ax])
    line = steps(ax, LOOKS[QUICK_CASES.index(STEP)])
    assert line.get_drawstyle() == "steps-mid"
    assert line.get_ydata().tolist() == pytest.approx([2.5, 5.0])
    assert np.round(line.get_xdata()).tolist() == [0, 1]
    assert len(ax.collections) == len(QUICK_CASES)  # the intervals


def test_every_machine_has_an_axes_of_its_own_records():
    panels = axes(2)
    perf_plots.history([record(machine="a"), record(when="2030-01-02", machine="b")], panels)
    assert [ax.get_title()[:2] for ax in panels] == ["a:", "b:"]
    assert [np.round(steps(ax, LOOKS[0]).get_xdata()).tolist() for ax in panels] == [[0], [1]]


def test_a_case_that_a_record_lacks_leaves_no_gap():
    stored = perf_records.save([measurement(STEP)], "cpu")
    (ax,) = axes(1)
    perf_plots.history([stored], [ax])
    assert steps(ax, LOOKS[QUICK_CASES.index(STEP)]).get_ydata().tolist() == pytest.approx([5.0])
    assert len(steps(ax, LOOKS[0]).get_xdata()) == 0


def test_a_training_step_has_an_axes_for_each_thing_that_grows():
    panels = axes(4)
    perf_plots.training_scaling(training(), panels)
    assert [ax.get_xlabel() for ax in panels] == ["trials", "n, examples", "d, inputs", "environments"]
    for ax, sizes, exponent in zip(panels, GROWTH.values(), (1, 0, 2, 1), strict=True):
        (line,) = ax.lines
        assert line.get_xdata().tolist() == list(sizes) == ax.get_xticks().tolist()
        assert line.get_ydata() == pytest.approx(line.get_ydata()[0] * (np.array(sizes) / sizes[0]) ** exponent)


def test_lines_of_a_training_step_are_quartiles_of_its_rounds():
    (ax,) = axes(1)
    perf_plots.step_growth([Step(Size(), [1.0, 2.0, 3.0, 4.0, 5.0])], "trials", ax)
    assert ax.collections[0].get_segments()[0][:, 1].tolist() == [2.0, 4.0]
    assert ax.lines[0].get_ydata().tolist() == [3.0]


def test_plots_are_saved_beside_the_records():
    stored = perf_records.save(measured(), "cpu", training=training())
    saved = perf_plots.save_scaling(stored)
    stems = [stored.name, f"{stored.name}_training"]
    assert saved == [stored.path.with_name(f"{stem}.{suffix}") for stem in stems for suffix in FORMATS]
    assert perf_plots.save_history([stored])[0] == perf_records.ROOT / "history.png"
    assert all(path.stat().st_size > 5_000 for path in saved)


def test_a_record_without_a_training_step_has_no_plot_of_it():
    stored = perf_records.save(measured(), "cpu")
    assert {path.stem for path in perf_plots.save_scaling(stored)} == {stored.name}
