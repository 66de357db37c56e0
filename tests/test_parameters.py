"""The parameters of plugins: names, types, ranges and grids."""

from dataclasses import dataclass
from typing import Literal

import pytest

from irmbench.errors import UserError
from irmbench.interface import hyper
from irmbench.parameters import checked, instances, split


@dataclass(frozen=True)
class Thing:
    """A plugin's parameters."""

    weight: float = hyper(1.0, "a float", low=0, high=10)
    count: int = hyper(3, "an int", low=1)
    on: bool = hyper(False, "a switch")
    kind: Literal["round", "square"] = hyper("round", "a choice")
    plain: float = 0.5


def refusal(**given):
    with pytest.raises(UserError) as caught:
        checked(Thing, "thing", given)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_is_not_given_is_the_default():
    assert checked(Thing, "thing", {}) == Thing()


def test_what_is_given_is_kept():
    given = {"weight": 2.5, "count": 4, "on": True, "kind": "square", "plain": -1.0}
    assert checked(Thing, "thing", given) == Thing(**given)


def test_a_whole_number_becomes_a_float_where_one_is_expected():
    assert isinstance(checked(Thing, "thing", {"weight": 2}).weight, float)


@pytest.mark.parametrize(("name", "value"), [("weight", 0), ("weight", 10), ("count", 1)])
def test_limits_are_allowed(name, value):
    assert getattr(checked(Thing, "thing", {name: value}), name) == value


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"weight": -0.1}, "thing.weight: expected at least 0, got -0.1"),
        ({"weight": 10.1}, "thing.weight: expected at most 10, got 10.1"),
        ({"count": 0}, "thing.count: expected at least 1, got 0"),
        ({"weight": float("nan")}, "thing.weight: expected a finite number, got nan"),
        ({"plain": float("-inf")}, "thing.plain: expected a finite number, got -inf"),
        ({"weight": "2"}, "thing.weight: expected `float`, got `str`"),
        ({"weight": True}, "thing.weight: expected `float`, got `bool`"),
        ({"count": 2.5}, "thing.count: expected `int`, got `float`"),
        ({"count": True}, "thing.count: expected `int`, got `bool`"),
        ({"on": 1}, "thing.on: expected `bool`, got `int`"),
        ({"on": "yes"}, "thing.on: expected `bool`, got `str`"),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_is_refused_with_its_name(given, said):
    assert refusal(**given) == said


def test_an_unknown_choice_is_told_the_known_ones():
    message = refusal(kind="rund")
    assert message.startswith("thing.kind: ")
    assert "round" in message
    assert "square" in message


def test_an_unknown_parameter_is_told_the_known_ones():
    message = refusal(wieght=1.0)
    assert message.startswith("thing: unknown parameter 'wieght'. Did you mean 'weight'?")
    assert message.endswith("It has: weight, count, on, kind, plain")


def test_a_method_without_parameters_says_so():
    with pytest.raises(UserError, match=r"zero: unknown parameter 'weight'\. It has: none"):
        instances("methods", {"id": "zero", "weight": 1.0})


def test_an_id_alone_is_the_default_instance():
    (method,) = instances("methods", "vrex")
    assert method == type(method)()


def test_lists_make_the_product_of_their_values_in_order():
    found = instances("methods", {"id": "vrex", "penalty_weight": [1.0, 2.0], "ddof": [0, 1], "risk": "sum"})
    assert [(m.penalty_weight, m.ddof) for m in found] == [(1.0, 0), (1.0, 1), (2.0, 0), (2.0, 1)]
    assert {m.risk for m in found} == {"sum"}


def test_a_value_of_a_grid_is_checked_like_any_other():
    with pytest.raises(UserError, match=r"vrex\.ddof: expected at most 1, got 2"):
        instances("methods", {"id": "vrex", "ddof": [0, 2]})


def test_an_empty_grid_is_refused():
    with pytest.raises(UserError, match=r"vrex\.ddof"):
        instances("methods", {"id": "vrex", "ddof": []})


def test_an_entry_is_an_id_with_parameters():
    assert split("erm") == ("erm", {})
    assert split({"id": "erm", "weighting": "balanced"}) == ("erm", {"weighting": "balanced"})


def test_splitting_an_entry_leaves_it_as_it_was():
    entry = {"id": "erm", "weighting": "balanced"}
    split(entry)
    assert entry == {"id": "erm", "weighting": "balanced"}


@pytest.mark.parametrize("entry", [{}, {"weighting": "balanced"}, {"id": 3}])
def test_a_table_without_an_id_is_refused(entry):
    with pytest.raises(UserError, match="needs its id"):
        split(entry)
