"""Verdicts in words: what recovers the causal coefficients, where it fails, and whose fault that is."""

import pandas as pd
import pytest

from irmbench.analysis.verdicts import CLOSE, DEFINITION, verdicts

CONSTANT, VARIES = "Y-noise constant", "Y-noise varies, confounded"


def trial(method, at, solver="population", of_class=CONSTANT, dataset="chain", seed=0, **more):
    """Return a trial that ends at ``at``: the two coefficients, of which the first is causal and truly 1."""
    causal, other = at
    record = {"method": method.split()[0], "method_label": method, "solver": solver, "solved_by": "Newton", "name": ""}
    record |= {"dataset_label": dataset, "assumption_class": of_class, "data_seed": seed, "family": "risk-based"}
    record |= {"status": "ok", "coefficients": [causal, other], "truth": [1.0, 0.0], "causal": [True, False]}
    return record | {"distance": ((causal - 1) ** 2 + other**2) ** 0.5} | more


def failed(*arguments, **more):
    return trial(*arguments, (0.0, 0.0), status="failed", distance=None, coefficients=None, **more)


def of(*trials):
    return verdicts(pd.DataFrame(trials))


def test_a_method_within_the_threshold_recovers_in_its_class():
    assert of(trial("vrex", (1 - CLOSE, 0.0))) == [
        "V-REx recovers the causal coefficients in 1 of 1 class on exact moments (n = 1)."
    ]


def test_where_a_method_fails_is_told_in_words_and_coordinates():
    told = of(trial("vrex", (1.0, 0.0)), trial("vrex", (0.004, 0.98), of_class=VARIES))
    assert told == [
        "V-REx recovers the causal coefficients in 1 of 2 classes on exact moments (n = 1); "
        "it fails where Y's noise varies and a confounder is hidden, at (0, 1)."
    ]


def test_every_dataset_of_a_class_must_be_recovered():
    told = of(trial("vrex", (1.0, 0.0)), trial("vrex", (0.5, 0.25), dataset="other"))
    assert "in 0 of 1 class" in told[0]
    assert "at (0.5, 0.2)" in told[0]


def test_the_median_over_seeds_decides():
    places = [(1.0, 0.0), (1.0, 0.01), (0.0, 1.0)]
    told = of(*(trial("vrex", at, seed=seed) for seed, at in enumerate(places)))
    assert "in 1 of 1 class on exact moments (n = 3)" in told[0]


def test_a_failed_trial_is_a_miss():
    told = of(trial("vrex", (1.0, 0.0)), failed("vrex", seed=1), failed("vrex", seed=2))
    assert "in 0 of 1 class" in told[0]
    assert "it fails where Y's noise is constant, without a result" in told[0]


@pytest.mark.parametrize(
    ("solvers", "words"),
    [
        (["official", "converged", "population"], "on exact moments"),
        (["official", "converged"], "at its optimum on samples"),
        (["official"], "with the official solver"),
    ],
)
def test_the_solver_with_the_least_between_it_and_the_objective_is_the_judge(solvers, words):
    places = {"official": (0.0, 1.0), "converged": (0.5, 0.5), "population": (1.0, 0.0)}
    assert words in of(*(trial("vrex", places[solver], solver) for solver in solvers))[0]


@pytest.mark.parametrize(
    ("population", "converged", "official", "part"),
    [
        ((0.0, 1.0), (0.0, 1.0), (0.0, 1.0), "objective"),
        ((1.0, 0.0), (0.0, 1.0), (0.0, 1.0), "sample"),
        ((1.0, 0.0), (1.0, 0.0), (0.0, 1.0), "optimiser"),
    ],
)
def test_a_miss_as_published_is_the_fault_of_its_largest_part(population, converged, official, part):
    steps = {"population": population, "converged": converged, "official": official}
    told = of(*(trial("vrex", at, solver) for solver, at in steps.items()))
    assert told[0].endswith(f"With the official solver it misses in 1 of 1: the {part}'s fault in 1.")


def test_without_a_decomposition_nobody_is_blamed():
    told = of(trial("vrex", (1.0, 0.0)), trial("vrex", (0.0, 1.0), "official"))
    assert told[0].endswith("With the official solver it misses in 1 of 1.")


def test_the_best_method_comes_first_after_how_many_there_are():
    told = of(trial("erm", (0.0, 1.0)), trial("vrex", (1.0, 0.0)))
    assert told[0] == "1 of 2 methods recovers the causal coefficients in every class that it was tried in: V-REx in 1."
    assert [line.split()[0] for line in told[1:]] == ["V-REx", "ERM"]


def test_that_no_method_recovers_everywhere_is_said():
    assert of(trial("erm", (0.0, 1.0)), trial("vrex", (0.0, 1.0)))[0].startswith("None of 2 methods recovers")


def test_oracles_are_left_aside():
    told = of(trial("erm", (0.0, 1.0)), trial("oracle_beta", (1.0, 0.0), family="oracle"))
    assert not any("oracle" in line.lower() for line in told)


def test_hyper_parameters_stand_behind_the_name():
    assert of(trial("irmv1 penalty_weight=10 variant=split", (1.0, 0.0)))[0].startswith(
        "IRMv1 (penalty_weight=10, variant=split) recovers"
    )


def test_an_experiments_own_name_is_used():
    assert of(trial("irmv1", (1.0, 0.0), name="Mine, tuned"))[0].startswith("Mine, tuned recovers")


def test_a_name_of_several_methods_is_not_used():
    told = of(trial("erm", (0.0, 1.0), name="Both"), trial("vrex", (1.0, 0.0), name="Both"))
    assert not any("Both" in line for line in told)


def test_a_method_that_is_not_installed_goes_by_its_id():
    assert of(trial("gone_by_now", (1.0, 0.0)))[0].startswith("gone_by_now recovers")


def test_a_plugin_is_called_what_its_docstring_begins_with(write_plugin):
    write_plugin("methods", "shortly_told", '"""Short <b>name</b>: what it does."""')
    write_plugin("methods", "told_at_length", f'"""{"A sentence without an end " * 3}: what it does."""')
    assert of(trial("shortly_told", (1.0, 0.0)))[0].startswith("Short <b>name</b> recovers")
    assert of(trial("told_at_length", (1.0, 0.0)))[0].startswith("told_at_length recovers")


def test_random_draws_of_hyper_parameters_do_not_count():
    told = of(trial("vrex", (0.0, 1.0), draw=0), trial("vrex", (1.0, 0.0), draw=1), trial("vrex", (1.0, 0.0), draw=2))
    assert "in 0 of 1 class" in told[0]


def test_a_distance_up_to_a_factor_has_no_place():
    told = of(trial("vrex", (10.0, 5.0), distance=0.5))
    assert "at a distance of 0.5" in told[0]


def test_an_unknown_class_is_told_as_it_is():
    assert (
        "it fails where the class is “of my own”, at (0, 1)" in of(trial("vrex", (0.0, 1.0), of_class="of my own"))[0]
    )


def test_trials_without_coefficients_have_no_verdict():
    network = trial("vrex", (1.0, 0.0), distance=None, coefficients=[], truth=[], causal=[])
    assert of(network) == []
    assert of({**network, "status": "failed"}) == []
    assert verdicts(pd.DataFrame([network]).drop(columns="distance")) == []


def test_the_definition_tells_the_threshold():
    assert f"at most {CLOSE:g}" in DEFINITION
