"""What the command line changes about a suite."""

import pytest

from irmbench.changes import Changes, change
from irmbench.errors import UserError
from irmbench.suite import load_suite, parse, trials

TWO = """
name = "two"
seeds = 5

[[experiments]]
datasets = ["irm_appendix_d", { id = "irm_chain", n = 50, y_noise = ["unit", "environment"] }]
methods = ["erm", "vrex", { id = "irmv1", penalty_weight = 1e2 }]
solvers = ["converged", { name = "official", steps = 20 }]
OPEN

[[experiments]]
datasets = ["irm_appendix_d"]
methods = [{ id = "irmv1", penalty_weight = 1e5 }]
solvers = [{ name = "official", steps = 30 }]
seeds = 2
"""
CLOSED, OPEN = TWO.replace("OPEN", ""), TWO.replace("OPEN", "open = true")


def changed(text=CLOSED, **changes):
    return change(parse(text), Changes(**changes)).experiments


def planned(text=CLOSED, **changes):
    return trials(change(parse(text), Changes(**changes)))


def ids(entries):
    return [entry if isinstance(entry, str) else entry.get("id", entry.get("name")) for entry in entries]


def refusal(**changes):
    with pytest.raises(UserError) as caught:
        change(parse(CLOSED), Changes(**changes))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_no_changes_leave_the_suite_as_it_is():
    assert planned() == trials(parse(CLOSED))


def test_the_suite_that_is_changed_stays_as_it_was():
    suite = parse(CLOSED)
    change(suite, Changes(seeds=1, methods=["erm"], solver="official", values=["methods.erm.weighting=balanced"]))
    assert suite == parse(CLOSED)


def test_fewer_seeds_hold_everywhere():
    assert {t.data_seed for t in planned(seeds=1)} == {0}


def test_more_seeds_leave_an_experiments_own_alone():
    seeds = {steps: {t.data_seed for t in planned(seeds=7) if t.solver_params["steps"] == steps} for steps in (20, 30)}
    assert seeds == {20: set(range(7)), 30: {0, 1}}


def test_no_seeds_at_all_are_refused():
    assert refusal(seeds=0).startswith("Expected `int` >= 1 - at `$")


def test_only_the_methods_asked_for_run():
    first, second = changed(methods=["irmv1", "erm"])
    assert ids(first.methods) == ["irmv1", "erm"]
    assert ids(second.methods) == ["irmv1"]


def test_a_method_keeps_the_suites_parameters():
    first, second = changed(methods=["irmv1"])
    assert first.methods == [{"id": "irmv1", "penalty_weight": 1e2}]
    assert second.methods == [{"id": "irmv1", "penalty_weight": 1e5}]


def test_an_experiment_with_none_of_the_methods_is_left_out():
    assert len(changed(methods=["vrex"])) == 1


def test_a_method_that_the_suite_does_not_name_joins_every_experiment_where_none_is_open():
    assert [ids(e.methods) for e in changed(methods=["erm", "zero"])] == [["erm", "zero"], ["zero"]]


def test_a_method_that_the_suite_does_not_name_joins_only_open_experiments():
    assert [ids(e.methods) for e in changed(OPEN, methods=["irmv1", "zero"])] == [["irmv1", "zero"], ["irmv1"]]


def test_a_method_that_the_suite_does_not_name_takes_no_other_methods_name():
    named = CLOSED.replace('methods = [{ id = "irmv1"', 'name = "IRM"\nmethods = [{ id = "irmv1"')
    assert [experiment.methods for experiment in changed(named, methods=["drig"])] == [["drig"]]


def test_a_method_is_refused_where_every_experiment_is_one_methods_own():
    with pytest.raises(UserError, match="'vrex' cannot join: every experiment here is one method's own"):
        change(load_suite("unit-tests-paper"), Changes(methods=["vrex"]))


def test_a_method_asked_for_alone_is_not_joined_by_a_users_own(write_plugin):
    erm = "from irmbench.methods.erm import ERM\n\nclass Uninvited(ERM):\n    pass\n"
    write_plugin("methods", "uninvited", erm)
    assert "uninvited" in {t.method for t in planned(OPEN)}
    assert {t.method for t in planned(OPEN, methods=["erm"])} == {"erm"}


def test_an_unknown_method_is_refused_with_a_suggestion():
    assert "unknown method 'vrx'. Did you mean 'vrex'?" in refusal(methods=["vrx"])


def test_only_the_datasets_asked_for_run():
    (first,) = changed(datasets=["irm_chain"])
    assert first.datasets == [{"id": "irm_chain", "n": 50, "y_noise": ["unit", "environment"]}]


def test_a_dataset_that_the_suite_does_not_name_is_added():
    assert [ids(e.datasets) for e in changed(datasets=["unit_test_1"])] == [["unit_test_1"], ["unit_test_1"]]


def test_an_unknown_dataset_is_refused_with_a_suggestion():
    assert "unknown dataset 'irm_chian'. Did you mean 'irm_chain'?" in refusal(datasets=["irm_chian"])


def test_one_method_on_one_dataset():
    assert {(t.method, t.dataset) for t in planned(methods=["vrex"], datasets=["irm_chain"])} == {("vrex", "irm_chain")}


def test_the_solver_asked_for_keeps_the_suites_settings():
    first, second = changed(solver="official")
    assert first.solvers == [{"name": "official", "steps": 20}]
    assert second.solvers == [{"name": "official", "steps": 30}]


def test_a_solver_that_the_suite_does_not_name_replaces_its_own():
    assert [e.solvers for e in changed(solver="population")] == [["population"], ["population"]]


def test_an_unknown_solver_is_refused_with_a_suggestion():
    assert "got 'convergd'. Did you mean 'converged'?" in refusal(solver="convergd")


def test_recording_is_changed_everywhere():
    assert {t.record_every for t in planned(record_every=7)} == {7}
    assert {t.record_every for t in planned(record_every=0)} == {0}


def test_recording_backwards_is_refused():
    assert "record_every" in refusal(record_every=-1)


@pytest.mark.parametrize(
    ("value", "parameter", "expected"),
    [
        ("methods.irmv1.penalty_weight=1e4", "penalty_weight", 1e4),
        ("methods.irmv1.penalty_weight=7", "penalty_weight", 7.0),
        ("methods.irmv1.variant=diag", "variant", "diag"),
        ('methods.irmv1.variant="diag"', "variant", "diag"),
    ],
)
def test_a_value_is_set_wherever_the_method_is_named(value, parameter, expected):
    found = {t.method_params[parameter] for t in planned(values=[value]) if t.method == "irmv1"}
    assert found == {expected}


def test_a_value_set_leaves_the_other_methods_alone():
    before, after = planned(), planned(values=["methods.irmv1.variant=diag"])
    assert [t for t in before if t.method != "irmv1"] == [t for t in after if t.method != "irmv1"]


def test_a_value_set_keeps_the_others_given_in_the_suite():
    found = planned(methods=["irmv1"], values=["methods.irmv1.variant=diag"])
    assert {t.method_params["penalty_weight"] for t in found} == {1e2, 1e5}


def test_a_value_of_a_dataset_is_set():
    found = {t.dataset_params["n"] for t in planned(values=["datasets.irm_chain.n=60"]) if t.dataset == "irm_chain"}
    assert found == {60}


def test_a_list_set_makes_a_grid():
    found = planned(methods=["vrex"], values=["methods.vrex.penalty_weight=[1, 10]"])
    assert {t.method_params["penalty_weight"] for t in found} == {1.0, 10.0}


def test_of_two_values_the_last_holds():
    found = planned(values=["methods.vrex.ddof=0", "methods.vrex.ddof=1"])
    assert {t.method_params["ddof"] for t in found if t.method == "vrex"} == {1}


def test_a_value_can_be_set_of_a_method_that_was_asked_for():
    found = planned(methods=["iga"], values=["methods.iga.penalty_weight=3.0"])
    assert {t.method_params["penalty_weight"] for t in found} == {3.0}


@pytest.mark.parametrize(
    "value",
    ["", "x", "methods", "methods.vrex=1", "methods.vrex.ddof", "methods.vrex.=1", "solvers.official.steps=3",
     "methods.vrex.ddof.x=1", "=1"],
)  # fmt: skip
def test_an_assignment_that_is_none_is_told_the_form(value):
    assert refusal(values=[value]) == (
        f"--set {value}: expected methods.ID.PARAMETER=VALUE or datasets.ID.PARAMETER=VALUE"
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("methods.vrx.ddof=1", "the suite runs no method 'vrx'. Did you mean 'vrex'?"),
        ("datasets.irm_chian.n=10", "the suite runs no dataset 'irm_chian'. Did you mean 'irm_chain'?"),
        ("methods.vrex.dof=1", "unknown parameter 'dof'. Did you mean 'ddof'?"),
        ("methods.vrex.ddof=3", "vrex.ddof: expected at most 1, got 3"),
        ("methods.vrex.ddof=1.5", "vrex.ddof: expected `int`, got `float`"),
        ("methods.vrex.penalty_weight=much", "vrex.penalty_weight: expected `float`, got `str`"),
        ("methods.vrex.penalty_weight=nan", "vrex.penalty_weight: expected a finite number, got nan"),
        ("methods.vrex.penalty_weight=", "vrex.penalty_weight: expected `float`, got `str`"),
        ("methods.vrex.penalty_weight=[]", "vrex.penalty_weight"),
        ("methods.vrex.id=erm", "unknown parameter 'id'"),
    ],
)
def test_a_value_that_cannot_be_set_is_refused(value, said):
    assert said in refusal(values=[value])
