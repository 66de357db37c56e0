"""Properties of suites and of changes to them: whatever text comes, they are understood or refused in one line."""

import copy
import json
from functools import lru_cache

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irmbench import plugins
from irmbench.changes import Changes, change
from irmbench.errors import UserError
from irmbench.suite import Suite, Trial, load_suite, parse, trials, validated

TINY = """
name = "tiny"
seeds = 2

[[experiments]]
datasets = [{ id = "irm_appendix_d", n = 50 }]
methods = ["erm", { id = "vrex", penalty_weight = 10.0 }]
solvers = ["converged", { name = "official", steps = 20 }]
"""
FEW = settings(max_examples=50, derandomize=True, deadline=None, database=None)

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), st.times(), st.datetimes()
)
keys = st.text(max_size=8) | st.sampled_from(
    [
        "name",
        "seeds",
        "experiments",
        "datasets",
        "methods",
        "solvers",
        "id",
        "n",
        "draws",
        "search",
        "uniform",
        "timing",
    ]
)
values = st.recursive(
    scalars | st.sampled_from(["erm", "vrex", "irm_chain", "official"]),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(keys, inside, max_size=4),
    max_leaves=10,
)
tables = st.dictionaries(keys, values, max_size=5)
# Suites that are nearly right: what is arbitrary is the content of an experiment.
near = st.fixed_dictionaries(
    {"name": st.just("near"), "experiments": st.lists(st.dictionaries(keys, values, max_size=6), max_size=2)},
    optional={"seeds": scalars, "selection": values, "timing": values},
)


@pytest.fixture(autouse=True, scope="module")
def plugins_found_once():
    """Plugins are looked for once, not for every entry of every suite."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "discover", lru_cache(plugins.discover))
        yield


def understood(function, *arguments):
    """Return what a function returns, or None where it refuses in one line; any other error is a failure."""
    try:
        return function(*arguments)
    except UserError as error:
        message = str(error)
    assert message
    return None


@FEW
@given(tables | near)
def test_any_table_is_understood_or_refused(table):
    suite = understood(validated, table)
    assert suite is None or isinstance(suite, Suite)


@FEW
@given(st.text() | st.text(alphabet='[]{}="\n.,# ae0\\'))
def test_any_text_is_understood_or_refused(text):
    suite = understood(parse, text)
    assert suite is None or suite.experiments


@FEW
@given(st.binary(max_size=200))
def test_any_file_is_understood_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("suites") / "any.toml"
    path.write_bytes(content)
    assert understood(load_suite, str(path)) is None


@FEW
@given(st.data())
def test_any_change_of_a_letter_is_understood_or_refused(data):
    place = data.draw(st.integers(0, len(TINY) - 1))
    letter = data.draw(st.characters(codec="utf-8"))
    suite = understood(parse, TINY[:place] + letter + TINY[place + 1 :])
    assert suite is None or suite.experiments


experiments = st.fixed_dictionaries(
    {
        "datasets": st.lists(
            st.fixed_dictionaries(
                {"id": st.just("irm_appendix_d")}, optional={"n": st.integers(2, 9), "d": st.integers(1, 3)}
            ),
            min_size=1,
            max_size=2,
        ),
        "methods": st.lists(
            st.sampled_from(["erm", "zero"])
            | st.fixed_dictionaries(
                {"id": st.just("vrex")},
                optional={"penalty_weight": st.floats(0, 1e6) | st.integers(0, 9), "ddof": st.integers(0, 1)},
            ),
            min_size=1,
            max_size=3,
        ),
    },
    optional={
        "solvers": st.lists(
            st.sampled_from(["converged", "population", "official"])
            | st.fixed_dictionaries({"name": st.just("official"), "steps": st.integers(1, 99)}),
            min_size=1,
            max_size=2,
        ),
        "seeds": st.integers(1, 3),
        "draws": st.integers(1, 3),
        "record_every": st.integers(0, 5),
        "validate": st.booleans(),
    },
)
suites = st.fixed_dictionaries(
    {"name": st.just("made"), "experiments": st.lists(experiments, min_size=1, max_size=2)},
    optional={"seeds": st.integers(1, 3), "description": st.text(max_size=20)},
)


@FEW
@given(suites)
def test_a_suite_survives_run_json(table):
    suite = validated(table)
    stored = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(suite)))
    assert msgspec.convert(stored, Suite) == suite
    assert [trial.id for trial in trials(validated(stored))] == [trial.id for trial in trials(suite)]


@FEW
@given(suites)
def test_a_trial_survives_its_record(table):
    for trial in trials(validated(table)):
        stored = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(trial)))
        assert msgspec.convert(stored, Trial).id == trial.id


@FEW
@given(suites)
def test_ids_tell_trials_apart(table):
    found = trials(validated(table))
    contents = {json.dumps(msgspec.to_builtins(trial), sort_keys=True) for trial in found}
    assert len(contents) == len(found) == len({trial.id for trial in found})


def reordered(value, random):
    """Return the same with the keys of all tables in another order."""
    if isinstance(value, list):
        return [reordered(one, random) for one in value]
    if not isinstance(value, dict):
        return value
    names = list(value)
    random.shuffle(names)
    return {name: reordered(value[name], random) for name in names}


@FEW
@given(suites, st.randoms(use_true_random=False))
def test_ids_do_not_depend_on_the_order_of_keys(table, random):
    ids = [trial.id for trial in trials(validated(table))]
    assert [trial.id for trial in trials(validated(reordered(table, random)))] == ids


@FEW
@given(st.integers(0, 10**6))
def test_ids_do_not_depend_on_how_a_number_is_written(weight):
    def ids(written):
        text = TINY.replace("penalty_weight = 10.0", f"penalty_weight = {written}")
        return [trial.id for trial in trials(parse(text))]

    assert ids(weight) == ids(float(weight)) == ids(f"{weight}e0") == ids(f"{float(weight):.3f}")


TRIAL = trials(parse(TINY))[-1]
OTHERS = {
    "dataset": st.text(), "dataset_params": tables, "data_seed": st.integers(), "method": st.text(),
    "method_params": tables, "draw": st.integers(), "solver": st.text(), "solver_params": tables,
    "record_every": st.integers(), "name": st.text(), "held_out": st.none() | st.integers(), "validate": st.booleans(),
}  # fmt: skip


def test_every_field_of_a_trial_is_tried():
    assert set(OTHERS) == set(Trial.__struct_fields__)


@pytest.mark.parametrize("field", OTHERS)
def test_another_value_of_any_field_is_another_id(field):
    @settings(FEW, max_examples=25)
    @given(OTHERS[field])
    def check(value):
        content = msgspec.to_builtins(TRIAL)
        other = msgspec.convert(content | {field: msgspec.to_builtins(value)}, Trial)
        same = msgspec.json.encode(msgspec.to_builtins(other), order="sorted") == msgspec.json.encode(
            content, order="sorted"
        )
        assert (other.id == TRIAL.id) == same

    check()


@FEW
@given(st.data())
def test_another_value_of_a_parameter_is_another_id(data):
    kind = data.draw(st.sampled_from(["dataset_params", "method_params", "solver_params"]))
    params = getattr(TRIAL, kind)
    name = data.draw(st.sampled_from(sorted(params)))
    value = data.draw(st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3))
    other = msgspec.structs.replace(TRIAL, **{kind: params | {name: value}})
    assert (other.id == TRIAL.id) == (msgspec.json.encode(value) == msgspec.json.encode(params[name]))


assignments = st.text() | st.builds(
    "{}.{}.{}={}".format,
    st.sampled_from(["methods", "datasets", "solvers", ""]),
    st.sampled_from(["vrex", "erm", "irm_appendix_d", "vrx", ""]),
    st.sampled_from(["penalty_weight", "ddof", "n", "d", "scrambled", "id", ""]) | st.text(max_size=4),
    st.sampled_from(["1", "1.5", "nan", "[1, 2]", "[]", "{}", "true", '"x"', "1979-05-27", "1\nx = 2", "'''"])
    | st.text(max_size=6),
)


@FEW
@given(assignments)
def test_any_assignment_is_made_or_refused(assignment):
    suite = parse(TINY)
    before = copy.deepcopy(suite)
    changed = understood(change, suite, Changes(values=[assignment]))
    assert changed is None or isinstance(changed, Suite)
    assert suite == before


@FEW
@given(st.floats(0, 1e300) | st.integers(0, 10**9), st.integers(2, 10**9))
def test_numbers_set_are_the_numbers_of_the_trials(weight, n):
    values = [f"methods.vrex.penalty_weight={weight!r}", f"datasets.irm_appendix_d.n={n}"]
    found = trials(change(parse(TINY), Changes(values=values, methods="vrex")))
    assert {trial.method_params["penalty_weight"] for trial in found} == {float(weight)}
    assert {trial.dataset_params["n"] for trial in found} == {n}


numbers = st.none() | st.integers(-2, 5)
names = st.lists(
    st.sampled_from(["erm", "vrex", "zero", "irm_chain", "irm_appendix_d"]) | st.text(max_size=5), max_size=3
)


@FEW
@given(names, names, numbers, numbers, st.none() | st.sampled_from(["official", "converged"]) | st.text())
def test_any_change_is_made_or_refused(methods, datasets, seeds, record_every, solver):
    changes = Changes(seeds, methods, datasets, solver, record_every)
    changed = understood(change, parse(TINY), changes)
    if changed is not None and methods:
        assert {trial.method for trial in trials(changed)} <= set(methods)
