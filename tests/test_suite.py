"""Suites: what a TOML file may say, what it is told where it is wrong, and the trials that come of it."""

import dataclasses
import json

import msgspec
import pytest

from irmbench import plugins
from irmbench.errors import UserError
from irmbench.interface import Solver
from irmbench.suite import Trial, load_suite, parse, trials

TINY = """
name = "tiny"
seeds = 2

[[experiments]]
datasets = [{ id = "irm_appendix_d", n = 50 }]
methods = ["erm", { id = "vrex", penalty_weight = 10.0 }]
solvers = ["converged", { name = "official", steps = 20 }]
"""

TWO_SEARCHED = '''"""A method with two searched hyper-parameters."""

from dataclasses import dataclass

from irmbench.interface import Method, hyper, log_uniform, uniform


@dataclass(frozen=True)
class TwoSearched(Method):
    """A plugin."""

    first: float = hyper(1.0, "one", search=log_uniform(-1, 5), low=0)
    second: float = hyper(0.5, "another", search=uniform(0, 1))
    fixed: int = hyper(3, "not searched")

    def objective(self, env):
        return env.risk.mean()
'''


def refusal(text):
    with pytest.raises(UserError) as caught:
        parse(text)
    message = str(caught.value)
    assert "\n" not in message
    return message


def edited(old, new):
    assert old in TINY
    return TINY.replace(old, new)


def planned(*changes):
    text = TINY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return trials(parse(text))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("datasets", "dataset", ["`dataset`", "`$.experiments[0]`", "Did you mean 'datasets'?"]),
        ("seeds", "sedes", ["`sedes`", "Did you mean 'seeds'?"]),
        ("seeds = 2", "qqqq = 2", ["`qqqq`"]),
    ],
)
def test_an_unknown_key_is_named_with_its_place_and_the_nearest_known_one(old, new, said):
    message = refusal(edited(old, new))
    assert all(fragment in message for fragment in said)


def test_an_unknown_key_like_no_other_gets_no_suggestion():
    assert "Did you mean" not in refusal(edited("seeds = 2", "qqqq = 2"))


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ('seeds = "2"', "Expected `int`, got `str`"),
        ("seeds = 2.0", "Expected `int`, got `float`"),
        ("seeds = true", "Expected `int`, got `bool`"),
        ("seeds = nan", "Expected `int`, got `float`"),
        ("seeds = 0", "Expected `int` >= 1"),
        ("seeds = -3", "Expected `int` >= 1"),
        ("seeds = 2000000", "Expected `int` <= 1000000"),
    ],
)
def test_a_wrong_number_of_seeds_is_refused_where_it_stands(new, said):
    assert refusal(edited("seeds = 2", new)) == f"{said} - at `$.seeds`"


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"erm"', "3", "$.experiments[0].methods[1]"),
        ("[[experiments]]", "[experiments]", "$.experiments"),
        ('solvers = ["converged", { name = "official", steps = 20 }]', 'solvers = "converged"', "$.experiments[0].sol"),
        ('name = "tiny"', 'name = "../up"', "$.name"),
        ('name = "tiny"', 'name = ""', "$.name"),
    ],
)
def test_a_wrong_type_or_name_is_refused_where_it_stands(old, new, place):
    text = edited(old, new) if new != "3" else edited('"erm", {', '"erm", 3, {')
    assert f"`{place}" in refusal(text)


@pytest.mark.parametrize("missing", ['name = "tiny"', 'datasets = [{ id = "irm_appendix_d", n = 50 }]'])
def test_a_missing_required_key_is_named(missing):
    assert f"missing required field `{missing.partition(' ')[0]}`" in refusal(edited(missing, ""))


def test_a_suite_without_experiments_is_refused():
    assert "experiments" in refusal('name = "none"\nexperiments = []')


@pytest.mark.parametrize("kind", ["datasets", "methods", "solvers"])
def test_an_experiment_without_any_dataset_method_or_solver_is_refused(kind):
    lines = [f"{kind} = []" if line.startswith(kind) else line for line in TINY.splitlines()]
    assert kind in refusal("\n".join(lines))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('"vrx"', "unknown method 'vrx'. Did you mean 'vrex'?"),
        ("{ penalty_weight = 1.0 }", 'needs its id, as in { id = "erm" }'),
        ("{ id = 3 }", "needs its id"),
        ('{ id = "vrex", penalty_wieght = 1.0 }', "unknown parameter 'penalty_wieght'. Did you mean 'penalty_weight'?"),
        ('{ id = "vrex", penalty_weight = "1" }', "vrex.penalty_weight: expected `float`, got `str`"),
        ('{ id = "vrex", penalty_weight = nan }', "vrex.penalty_weight: expected a finite number, got nan"),
        ('{ id = "vrex", penalty_weight = inf }', "vrex.penalty_weight: expected a finite number, got inf"),
        ('{ id = "vrex", penalty_weight = -1 }', "vrex.penalty_weight: expected at least 0, got -1"),
        ('{ id = "vrex", penalty_weight = [1.0, -1.0] }', "vrex.penalty_weight: expected at least 0, got -1"),
        ('{ id = "and_mask", tau = 1.5 }', "and_mask.tau: expected at most 1, got 1.5"),
        ('{ id = "vrex", penalty_weight = [] }', "vrex.penalty_weight"),
    ],
)
def test_a_wrong_method_is_refused_with_its_experiment(entry, said):
    message = refusal(edited('{ id = "vrex", penalty_weight = 10.0 }', entry))
    assert message.startswith("experiments[0]: ")
    assert said in message


def test_an_unknown_dataset_gets_a_suggestion():
    assert "unknown dataset 'irm_chian'. Did you mean 'irm_chain'?" in refusal(edited("irm_appendix_d", "irm_chian"))


@pytest.mark.parametrize(
    ("solver", "said"),
    [
        ('"convergd"', "got 'convergd'. Did you mean 'converged'?"),
        ("{ steps = 20 }", "expected a name among official, converged, population"),
        ('{ name = "official", step = 20 }', "unknown parameter 'step'. Did you mean 'steps'?"),
        ('{ name = "official", steps = 20.5 }', "solver.steps: expected `int`, got `float`"),
        ('{ name = "official", learning_rate = nan }', "solver.learning_rate: expected a finite number"),
        ('{ name = "official", optimizer = "rmsprop" }', "solver.optimizer"),
        ('{ name = "official", steps = -1 }', "solver.steps: expected at least"),
        ('{ name = "official", learning_rate = -1.0 }', "solver.learning_rate: expected at least"),
    ],
)
def test_a_wrong_solver_is_refused(solver, said):
    message = refusal(edited('"converged", {', f"{solver}, {{"))
    assert message.startswith("experiments[0]: ")
    assert said in message


@pytest.mark.parametrize(
    ("timing", "place"),
    [("cases = [[1, 1]]", "$.timing.cases[0][1]"), ("cases = [[1, 10]]\npears = 3", "$.timing"), ("", "$.timing")],
)
def test_a_wrong_timing_is_refused_where_it_stands(timing, place):
    assert f"`{place}`" in refusal(f"{TINY}\n[timing]\n{timing}\n")


def test_text_that_is_no_toml_is_refused_with_the_line():
    message = refusal(TINY + "\nname: tiny\n")
    assert message.startswith("not TOML: ")
    assert "line 10" in message


@pytest.mark.parametrize("name", plugins.suites())
def test_a_bundled_suite_is_loaded_by_its_name(name):
    suite = load_suite(name)
    assert suite.name == name
    assert suite.description
    assert trials(suite)


def test_a_suite_is_loaded_from_a_file(tmp_path):
    (tmp_path / "mine.toml").write_text(TINY)
    assert load_suite(str(tmp_path / "mine.toml")) == parse(TINY)


def test_an_unknown_suite_gets_a_suggestion():
    with pytest.raises(UserError, match=r"unknown suite 'quik'\. Did you mean 'quick'\?"):
        load_suite("quik")


@pytest.mark.parametrize(
    "content",
    [None, b"name = ", b"\x80\x81\x82", b"\x00\x01", b"name = 'x'\nexperiments = 3"],
    ids=["missing", "no TOML", "binary", "control characters", "wrong"],
)
def test_a_bad_file_is_refused_in_one_line_that_names_it(tmp_path, content):
    file = tmp_path / "mine.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_suite(str(file))
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_suite(tmp_path):
    with pytest.raises(UserError, match="is a folder, not a TOML file"):
        load_suite(str(tmp_path))


@pytest.mark.parametrize("name", ["", "x" * 300, "a\0b"], ids=["empty", "too long", "null"])
def test_a_name_that_no_file_can_have_is_refused(name):
    with pytest.raises(UserError):
        load_suite(name)


def test_trials_are_datasets_by_methods_by_solvers_by_seeds():
    found = planned()
    assert len(found) == 1 * 2 * 2 * 2
    assert {(t.dataset, t.method, t.solver, t.data_seed) for t in found} == {
        ("irm_appendix_d", method, solver, seed)
        for method in ("erm", "vrex")
        for solver in ("converged", "official")
        for seed in (0, 1)
    }


def test_a_list_of_values_makes_a_grid():
    found = planned(("penalty_weight = 10.0", 'penalty_weight = [1.0, 10.0], risk = ["mean", "sum"]'))
    vrex = [t.method_params for t in found if (t.method, t.solver, t.data_seed) == ("vrex", "converged", 0)]
    assert [(p["penalty_weight"], p["risk"]) for p in vrex] == [(w, r) for w in (1.0, 10.0) for r in ("mean", "sum")]


def test_a_grid_of_a_dataset_works_likewise():
    assert {t.dataset_params["n"] for t in planned(("n = 50", "n = [50, 60]"))} == {50, 60}


def test_a_trial_that_two_experiments_name_is_run_once():
    twice = TINY + TINY.partition("seeds = 2\n")[2]
    assert trials(parse(twice)) == trials(parse(TINY))


def test_an_experiments_own_seeds_replace_the_suites():
    assert {t.data_seed for t in planned(("[[experiments]]", "[[experiments]]\nseeds = 3"))} == {0, 1, 2}


def test_an_experiment_without_datasets_takes_the_suites():
    line = 'datasets = [{ id = "irm_appendix_d", n = 50 }]\n'
    shared = edited(line, "").replace("[[experiments]]", f"{line}\n[[experiments]]")
    own = TINY.partition("seeds = 2\n")[2].replace("n = 50", "n = 60")
    assert trials(parse(shared)) == trials(parse(TINY))
    assert trials(parse(shared + own)) == trials(parse(TINY + own))


def test_every_parameter_is_resolved_in_the_trial():
    (trial, *_) = [t for t in planned() if t.method == "vrex" and t.solver == "official"]
    assert trial.method_params == {"penalty_weight": 10.0, "risk": "mean", "ddof": 0, "divided": False, "anneal": 0}
    assert set(trial.solver_params) == {f.name for f in dataclasses.fields(Solver)} - {"name"}
    assert trial.solver_params["steps"] == 20


def test_a_solver_starts_from_the_methods_own_protocol():
    solvers = {t.solver_params["optimizer"] for t in planned() if t.method == "erm" and t.solver == "official"}
    assert solvers == {"closed_form"}


def test_methods_of_a_users_own_join_an_open_experiment_only(write_plugin):
    write_plugin("methods", "joins_open", TWO_SEARCHED)
    assert "joins_open" not in {t.method for t in planned()}
    assert "joins_open" in {t.method for t in planned(("[[experiments]]", "[[experiments]]\nopen = true"))}


@pytest.fixture
def drawn(write_plugin):
    """Return a function from an entry's parameters to the method's parameters by draw and seed."""
    write_plugin("methods", "two_searched", TWO_SEARCHED)

    def draw(given="", draws=4):
        entry = f'{{ id = "two_searched"{given} }}'
        found = planned(
            ('"erm", { id = "vrex", penalty_weight = 10.0 }', entry),
            ("[[experiments]]", f"[[experiments]]\ndraws={draws}"),
        )
        return {(t.draw, t.data_seed): t.method_params for t in found if t.solver == "converged"}

    return draw


def test_draw_0_is_as_given(drawn):
    assert drawn(", first = 7.0")[0, 0] == {"first": 7.0, "second": 0.5, "fixed": 3}


def test_other_draws_come_from_the_search_range(drawn):
    others = [params for (draw, _), params in drawn(draws=50).items() if draw]
    assert all(0.1 <= p["first"] <= 1e5 and 0 <= p["second"] <= 1 and p["fixed"] == 3 for p in others)
    assert len({p["first"] for p in others}) == len({p["second"] for p in others}) == 49


def test_draws_are_shared_by_all_seeds(drawn):
    found = drawn()
    assert [found[draw, 0] for draw in range(4)] == [found[draw, 1] for draw in range(4)]


def test_what_is_given_is_not_drawn(drawn):
    assert {params["first"] for params in drawn(", first = 7.0").values()} == {7.0}


def test_a_fields_draws_do_not_depend_on_other_fields(drawn):
    free, given = drawn(), drawn(", first = 7.0")
    assert [p["second"] for p in free.values()] == [p["second"] for p in given.values()]


def test_a_draw_does_not_depend_on_how_many_there_are(drawn):
    few, many = drawn(draws=2), drawn(draws=5)
    assert few == {key: many[key] for key in few}


TRIAL = {
    "dataset": "irm_appendix_d",
    "dataset_params": {"n": 50, "d": 2, "scrambled": False},
    "data_seed": 0,
    "method": "vrex",
    "method_params": {"penalty_weight": 1e4, "risk": "mean", "ddof": 0},
    "draw": 0,
    "solver": "official",
    "solver_params": {"optimizer": "adam", "learning_rate": 1e-3, "steps": 20},
    "record_every": 0,
}


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "irm_chain"},
        {"dataset_params": {"n": 51, "d": 2, "scrambled": False}},
        {"data_seed": 1},
        {"method": "iga"},
        {"method_params": {"penalty_weight": 1e4 + 1e-9, "risk": "mean", "ddof": 0}},
        {"draw": 1},
        {"solver": "converged"},
        {"solver_params": {"optimizer": "adam", "learning_rate": 1e-3, "steps": 21}},
        {"record_every": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_trials_id_changes_with_anything_that_it_depends_on(change):
    assert Trial(**TRIAL | change).id != Trial(**TRIAL).id


def test_a_trials_id_does_not_depend_on_the_order_of_keys():
    reversed_ = {k: dict(reversed(v.items())) if isinstance(v, dict) else v for k, v in reversed(TRIAL.items())}
    assert Trial(**reversed_).id == Trial(**TRIAL).id


def test_a_whole_number_given_for_a_real_one_is_the_same_trial():
    assert planned() == planned(("penalty_weight = 10.0", "penalty_weight = 10"))


def test_a_trials_id_is_the_same_in_another_process(run_python):
    code = "import json, sys; from irmbench.suite import Trial; print(Trial(**json.loads(sys.argv[1])).id)"
    assert run_python("-c", code, json.dumps(TRIAL), PYTHONHASHSEED="1").strip() == Trial(**TRIAL).id


def test_a_trial_survives_its_record():
    trial = planned()[-1]
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(trial)), Trial).id == trial.id
