"""Objectives on the line between the causal and the anti-causal solution, against algebra."""

import numpy as np
import pandas as pd
import pytest

from irmbench import plugins
from irmbench.analysis.identify import within_limit
from irmbench.analysis.landscape import AT, has_line, has_objective, landscapes, objective, solutions


def dataset(name="irm_appendix_d", **params):
    return plugins.load("datasets", name)(**params)


def method(name, **params):
    return plugins.load("methods", name)(**params)


def trial(of_method, of_dataset="irm_appendix_d", **changes):
    params = {"n": 10, "d": 2, "scrambled": False} if of_dataset == "irm_appendix_d" else {}
    row = {"status": "ok", "solver": "population", "dataset": of_dataset, "dataset_label": of_dataset}
    return row | {"dataset_params": params, "method": of_method} | changes


def second(e):
    """E[x^2], E[xz] = E[xu], E[z^2], E[uz], E[u^2] of appendix D for one pair of inputs, by hand."""
    return e**2, e**2, 2 * e**2 + 1, 2 * e**2, 2 * e**2


def test_the_anti_causal_solution_is_pooled_least_squares_on_the_effects():
    causal, effects = solutions(dataset().population(0), dataset())
    slope = sum(second(e)[3] for e in (0.1, 1.0)) / sum(second(e)[2] for e in (0.1, 1.0))
    assert causal.tolist() == [1, 1, 0, 0]
    assert effects.tolist() == pytest.approx([0, 0, slope, slope])


def test_irms_penalty_on_the_line_is_what_algebra_has_it():
    _, effects = solutions(dataset().population(0), dataset())
    penalty = np.zeros(len(AT))
    for e in (0.1, 1.0):
        xx, xz, zz, uz, _ = second(e)
        a, c = 1 - AT, AT * effects[2].item()
        # f = a x + c z in each of two independent pairs; G = 2 E[(f - u) f]
        penalty += (2 * 2 * (a**2 * xx + 2 * a * c * xz + c**2 * zz - a * xx - c * uz)) ** 2
    found = objective(within_limit(plugins.load("methods", "irmv1")), dataset())
    assert found == pytest.approx(penalty / penalty.max(), abs=1e-6)


def test_the_causal_solution_is_irms_minimum_and_not_v_rexs_where_noise_varies():
    irm, rex = (AT[objective(within_limit(plugins.load("methods", m)), dataset()).argmin()] for m in ("irmv1", "vrex"))
    assert irm == pytest.approx(0)
    assert rex > 0.9


def test_without_regularisation_the_objective_is_the_risk():
    risk = objective(method("erm"), dataset())
    assert objective(method("vrex", penalty_weight=0.0), dataset()) == pytest.approx(risk)


def test_every_dataset_solved_on_a_population_has_a_landscape_of_its_methods():
    rows = [trial(m, d) for d in ("irm_appendix_d", "irm_chain") for m in ("erm", "vrex")]
    found = dict(landscapes(pd.DataFrame(rows)))
    assert {label: list(curves) for label, curves in found.items()} == {
        "irm_appendix_d": ["erm", "vrex"],
        "irm_chain": ["erm", "vrex"],
    }


@pytest.mark.parametrize(
    "change", [{"solver": "official"}, {"status": "failed"}, {"dataset": "gone"}, {"dataset": "anchor_iv"}]
)
def test_there_is_none_without_a_population_a_plugin_or_effects(change):
    rows = [trial(m, **change, **({"dataset_params": {}} if "dataset" in change else {})) for m in ("erm", "vrex")]
    assert list(landscapes(pd.DataFrame(rows))) == []


def test_samples_of_several_sizes_are_one_population():
    rows = [trial(m, dataset_params={"n": n}) for m in ("erm", "vrex") for n in (10, 100)]
    assert len(list(landscapes(pd.DataFrame(rows)))) == 1


def test_confounded_scrambled_and_causal_datasets_have_no_line():
    assert has_line(dataset("irm_chain"))
    for params in ({"hidden": True}, {"scrambled": True}, {"child": False}):
        assert not has_line(dataset("irm_chain", **params))


def test_methods_defined_by_updates_or_on_examples_have_no_objective_here():
    found = {name: has_objective(plugins.load("methods", name)) for name in ("vrex", "and_mask", "mmd", "icp")}
    assert found == {"vrex": True, "and_mask": False, "mmd": False, "icp": False}
