"""What ``list`` says of plugins and suites."""

import dataclasses
import json

import pytest

from irmbench import plugins
from irmbench.errors import UserError
from irmbench.views.listing import KINDS, describe, details, summaries

MINE = '''"""What mine does.

More.
"""

from dataclasses import dataclass
from typing import Literal

from irmbench.interface import Method, hyper, uniform


@dataclass(frozen=True)
class {name}(Method):
    """min of my own."""

    paper = "Me 2026"
    family = "my own"

    size: float = hyper(0.5, "how much of it", search=uniform(0, 1), low=0, high=1)
    kind: Literal["round", "square"] = hyper("round", "its kind")
    plain: int = 3

    def objective(self, env):
        return env.risk.mean()
'''


def known(kind):
    return plugins.suites() if kind == "suites" else plugins.discover(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_summary_has_a_line_for_every_name(kind):
    first, *rest = summaries(kind).splitlines()
    assert first == f"{kind}:"
    assert [line.split()[0] for line in rest] == list(known(kind))
    assert all(len(line.split()) > 1 for line in rest)


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_of_a_kind_has_an_id_and_a_summary(kind):
    found = details(kind)
    assert [entry["id"] for entry in found] == list(known(kind))
    assert {entry["kind"] for entry in found} == {kind[:-1]}
    assert all(entry["summary"] for entry in found)


def test_without_a_name_everything_is_listed():
    assert [e["id"] for e in details("")] == [name for kind in KINDS for name in known(kind)]


@pytest.mark.parametrize("name", ["erm", "irm_chain", "quick"])
def test_a_name_is_one_object(name):
    assert [entry["id"] for entry in details(name)] == [name]


@pytest.mark.parametrize("what", ["", *KINDS, "vrex", "unit_test_2", "notebook"])
def test_all_that_is_listed_is_json(what):
    listed = details(what)
    assert json.loads(json.dumps(listed, allow_nan=False)) == listed


def test_a_method_says_where_it_comes_from_and_what_it_assumes():
    (found,) = details("vrex")
    cls = plugins.load("methods", "vrex")
    assert found["paper"] == cls.paper
    assert found["family"] == cls.family
    assert found["assumptions"] == dataclasses.asdict(cls.tolerates)
    assert found["levels"] == ["objective"]
    assert found["min_environments"] == 2
    assert found["limit"] == {"penalty_weight": 1e8}


@pytest.mark.parametrize(
    ("name", "levels"),
    [("erm", ["fit", "objective"]), ("and_mask", ["direction"]), ("group_dro", ["direction", "objective"])],
)
def test_a_method_says_at_which_levels_it_is_defined(name, levels):
    assert details(name)[0]["levels"] == levels


def test_a_dataset_says_which_assumptions_hold():
    (found,) = details("unit_test_2")
    assert (found["loss"], found["intercept"]) == ("logistic", True)
    assert found["assumptions"]["mean_shift"] is True


@pytest.mark.parametrize("kind", ["methods", "datasets"])
def test_every_hyper_parameter_is_listed_with_a_sentence(kind):
    for entry in details(kind):
        fields = dataclasses.fields(plugins.load(kind, entry["id"]))
        assert [p["name"] for p in entry["parameters"]] == [f.name for f in fields]
        assert all(p["help"] for p in entry["parameters"])
        assert entry["paper"]
        assert entry["definition"]


def test_hyper_parameters_are_listed_with_type_default_range_and_limits(write_plugin):
    write_plugin("methods", "mine_listed", MINE.format(name="MineListed"))
    (found,) = details("mine_listed")
    size, kind, plain = found["parameters"]
    assert size == {
        **{"name": "size", "type": "float", "default": 0.5, "help": "how much of it"},
        **{"search": "U(0, 1)", "low": 0, "high": 1},
    }
    assert (kind["type"], kind["default"], kind["search"]) == ("round | square", "round", None)
    assert (plain["type"], plain["default"], plain["help"]) == ("int", 3, "")


def test_a_method_of_a_users_own_is_listed_with_its_file(write_plugin):
    file = write_plugin("methods", "mine_found", MINE.format(name="MineFound"))
    assert ["mine_found", "What mine does."] in [line.split(maxsplit=1) for line in summaries("methods").splitlines()]
    assert details("mine_found")[0]["origin"] == str(file)


def test_a_method_that_cannot_be_imported_does_not_stop_the_summary(write_plugin):
    write_plugin("methods", "broken_listed", '"""Broken."""\n1 / 0\n')
    assert "broken_listed" in summaries("methods")


def test_a_method_that_cannot_be_imported_is_named_in_the_details(write_plugin):
    file = write_plugin("methods", "broken_detail", '"""Broken."""\n1 / 0\n')
    with pytest.raises(UserError, match="ZeroDivisionError") as caught:
        details("broken_detail")
    assert str(file) in str(caught.value)


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(UserError, match=r"nothing is named 'vrx'\. Did you mean 'vrex'\?"):
        details("vrx")


def test_a_misspelt_kind_gets_a_suggestion():
    with pytest.raises(UserError, match="Did you mean 'datasets'"):
        details("dataset")


def test_a_description_for_people_holds_all_that_the_objects_do():
    text = describe(details("irmv1"))
    (found,) = details("irmv1")
    for parameter in found["parameters"]:
        assert f"{parameter['name']}: {parameter['type']} = {parameter['default']}" in text
        assert parameter["help"] in text
    assert f"paper: {found['paper']}" in text
    assert f"family: {found['family']}" in text
    assert "search 10^U(-1, 5)" in text


def test_a_description_tells_bounds_and_the_limit_that_identify_takes():
    text = describe(details("fishr"))
    assert "limit (for identify): penalty_weight = 1e+08\n" in text
    assert "penalty_weight: float = 1000.0, at least 0, search" in text
    assert "ema: float = 0.95, 0 to 0.9999, search" in text
    assert "centred: bool = True  variances" in text


def test_a_description_says_yes_and_no():
    text = describe(details("irm_chain"))
    assert "anti_causal yes" in text
    assert "mean_shift no" in text


@pytest.mark.parametrize("name", ["erm", "irm_chain"])
def test_a_description_has_no_trailing_blanks(name):
    assert all(line == line.rstrip() for line in describe(details(name)).splitlines())
