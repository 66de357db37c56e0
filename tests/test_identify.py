"""The identification matrix: its cells against closed forms, how a cell comes about, its tables, pictures, command."""

import dataclasses
import io
import json
import math
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from rich.console import Console
from support import dataset, method
from torch.testing import assert_close

from irmbench import plugins
from irmbench.analysis import identify
from irmbench.analysis.identify import AssumptionClass, Cell, answer, within_limit
from irmbench.errors import UserError
from irmbench.interface import CLOSED_FORM, Method, Solver, hyper
from irmbench.moments import compress, merge
from irmbench.parameters import checked
from irmbench.views import identify as identify_views

CLASSES = tomllib.loads(identify.CLASSES.read_text(encoding="utf-8"))["class"]
SAMPLED = "eills_scm"  # the one dataset without exact moments


def of(data, seeds=1):
    """Return the class of assumptions that a dataset with exact moments stands for."""
    moments, truths = zip(*[(data.population(seed), data.truth(seed)) for seed in range(seeds)], strict=True)
    return AssumptionClass("made", data, list(moments), list(truths))


def limit(name):
    return within_limit(plugins.load("methods", name))


@pytest.fixture(scope="module")
def by_dataset():
    """Every class of assumptions by its dataset's label, with an eighth of the examples where it is sampled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identify, "PARTS", 2)
        return {one.dataset.label: one for one in identify.classes()}


@pytest.fixture
def few_rows(monkeypatch):
    monkeypatch.setattr(identify, "ROWS", 1_000)
    monkeypatch.setattr(identify, "PARTS", 1)


# Methods that a cell is asked of: closed forms and updates of a line.


@dataclass(frozen=True)
class Constant(Method):
    """Every coefficient is the same."""

    official = CLOSED_FORM
    value: float = hyper(1.0, "the coefficient")

    def fit(self, moments):
        return torch.ones_like(moments.cross[0]) * self.value


@dataclass(frozen=True)
class Root(Method):
    """The root of the first environment's inner products: not a number where one is negative."""

    official = CLOSED_FORM

    def fit(self, moments):
        return moments.cross[0].sqrt()


@dataclass(frozen=True)
class TowardsThree(Method):
    """A quarter of the way to 3 in every update."""

    official = Solver(optimizer="sgd", learning_rate=0.25, steps=1)

    def direction(self, env):
        return env.parameters - 3


@dataclass(frozen=True)
class Descent(Method):
    """Gradient descent on the mean of the risks."""

    official = Solver(optimizer="sgd", learning_rate=0.1)

    def direction(self, env):
        return env.gradient.mean(0)


# Appendix D with one cause x and one effect z, coordinate by coordinate: E[x x] = E[x y] = E[x z] = e^2,
# E[z z] = 2 e^2 + 1, E[z y] = 2 e^2. Least squares of the mean s of e^2 is (1, s) / (1 + s).
S = (0.1**2 + 1) / 2
CHAIN, WEAK = {"d": 1}, 1 - 2 * 0.1
# dataset, parameters, method, where its limit is (causes first)
FACTS = [
    # The target's noise varies: risks and gradients are alike only at z, which is the target and noise of unit scale.
    ("irm_appendix_d", CHAIN, "erm", (1 / (1 + S), S / (1 + S))),
    ("irm_appendix_d", CHAIN, "group_dro", (0.5, 0.5)),  # least squares of the environment e = 1
    ("irm_appendix_d", CHAIN, "irmv1", (1, 0)),
    ("irm_appendix_d", CHAIN, "eills", (1, 0)),
    *[("irm_appendix_d", CHAIN, name, (0, 1)) for name in ("vrex", "iga", "causal_dantzig", "drig")],
    ("irm_chain", {**CHAIN, "y_noise": "environment"}, "eills", (1, 0)),
    *[("irm_chain", {**CHAIN, "y_noise": "environment"}, name, (0, 1)) for name in ("causal_dantzig", "drig")],
    # The effect's noise varies instead: all of them agree, except those that promise nothing.
    *[
        ("irm_chain", {**CHAIN, "y_noise": "unit"}, name, (1, 0))
        for name in ("vrex", "causal_dantzig", "drig", "icp", "eills")
    ],
    # Two bits. No dummy gradient has (w1, w2) for all b_e where w1 = 1 / (2 a), w2^2 = 1 / 2 - w1^2, too; less risk.
    ("two_bit", {}, "irmv1", (1 / (2 * WEAK), math.sqrt(1 / 2 - 1 / (4 * WEAK**2)))),
    ("two_bit", {}, "eills", (WEAK, 0)),
    *[("two_bit", {}, name, (1 / WEAK, 0)) for name in ("iga", "causal_dantzig")],
    # An anchor in {0, 1}: E[x x] = 2 + e^2, E[x y] = 4 + e^2. In {-1, 1} all second moments are alike: nothing to vary.
    ("anchor_iv", {}, "erm", (9 / 5,)),
    *[("anchor_iv", {}, name, (1,)) for name in ("causal_dantzig", "drig", "anchor_regression", "iv_2sls")],
    *[("anchor_iv", {"anchors": "plus_minus"}, name, (5 / 3,)) for name in ("erm", "vrex")],
    *[("anchor_iv", {"anchors": "plus_minus"}, name, (1,)) for name in ("anchor_regression", "iv_2sls")],
    # E[x x] = 1, E[x y] = 2.5 in the reference, 2.25 and 5 in the other. The cause is confounded, so nothing but 0 is
    # without dummy gradients. Where the shift reaches the target E[x y] has .15 more, and E[y] / E[x] is 1.1 / .5.
    ("drig_toy", {}, "erm", (7.5 / 3.25,)),
    ("drig_toy", {}, "irmv1", (0,)),
    ("drig_toy", {}, "eills", (0,)),
    *[("drig_toy", {}, name, (2,)) for name in ("iga", "causal_dantzig", "drig", "anchor_regression", "iv_2sls")],
    *[
        ("drig_toy", {"identifiable": False}, name, (2.5 / 1.25 + 0.15 / 1.25,))
        for name in ("vrex", "causal_dantzig", "drig")
    ],
    *[("drig_toy", {"identifiable": False}, name, (1.1 / 0.5,)) for name in ("anchor_regression", "iv_2sls")],
    *[("causal_dantzig_example", {}, name, (1, 0, 0)) for name in ("causal_dantzig", "drig")],
]


@pytest.mark.parametrize(
    ("data", "params", "name", "where"), FACTS, ids=[f"{name} {data}" for data, _, name, _ in FACTS]
)
def test_a_limit_is_where_algebra_has_it(data, params, name, where):
    one = of(dataset(data, **params))
    cell = answer(name, limit(name), one)
    assert cell.coefficients == pytest.approx(where, abs=0.01)
    is_causal = torch.allclose(torch.tensor(where).double(), one.truths[0].coefficients)
    assert (cell.verdict, cell.reason) == ("identified" if is_causal else "not identified", "")


@pytest.mark.parametrize(
    ("data", "params", "name", "why"),
    [
        ("irm_appendix_d", {}, "iv_2sls", "the environment is no instrument here: it does not shift the inputs' means"),
        ("causal_dantzig_example", {}, "iv_2sls", "it does not shift the inputs' means"),
        ("fiif_linear", {}, "iv_2sls", "the inputs' means span 2 of 10 dimensions"),
        ("irm_chain", {}, "anchor_regression", "the inputs' means do not differ between environments"),
        ("anchor_iv", {"anchors": "plus_minus"}, "causal_dantzig", "their contrast is singular"),
        ("anchor_iv", {"anchors": "plus_minus"}, "drig", "do not exceed the reference's"),
        ("two_bit", {}, "drig", "no minimum at gamma = 1e+08"),
        ("iid_null", {}, "causal_dantzig", "their contrast is singular"),
    ],
)
def test_a_method_without_a_solution_is_undefined_and_says_why(data, params, name, why):
    cell = answer(name, limit(name), of(dataset(data, **params)))
    assert cell.verdict == "undefined"
    assert why in cell.reason
    assert (cell.distance, cell.causal, cell.other, cell.coefficients) == (None, None, None, ())


def test_the_oracle_is_identified_everywhere(by_dataset):
    cells = [answer("oracle_beta", method("oracle_beta"), one) for one in by_dataset.values()]
    assert {cell.dataset: (cell.verdict, cell.distance) for cell in cells} == {
        label: ("identified", pytest.approx(0, abs=1e-12)) for label in by_dataset
    }


def test_no_coefficient_at_all_is_as_far_as_the_causal_ones_are_long_everywhere(by_dataset):
    cells = [answer("zero", method("zero"), one) for one in by_dataset.values()]
    assert {(cell.verdict, cell.causal, cell.other or 0.0) for cell in cells} == {("not identified", 0.0, 0.0)}
    assert [cell.distance for cell in cells] == pytest.approx([1.0] * len(cells), rel=1e-12)


class TestClasses:
    def test_every_entry_is_a_class(self, by_dataset):
        assert [one.name for one in by_dataset.values()] == [entry["name"] for entry in CLASSES]

    def test_names_and_datasets_are_told_apart(self, by_dataset):
        assert len(by_dataset) == len({one.name for one in by_dataset.values()}) == len(CLASSES)

    def test_datasets_have_the_parameters_of_their_entries(self, by_dataset):
        for one, entry in zip(by_dataset.values(), CLASSES, strict=True):
            given = {key: value for key, value in entry["dataset"].items() if key != "id"}
            assert one.dataset == dataset(entry["dataset"]["id"], **given)

    def test_there_are_moments_and_a_truth_for_every_seed(self, by_dataset):
        for one in by_dataset.values():
            assert len(one.moments) == len(identify.SEEDS)
            for seed, truth in zip(identify.SEEDS, one.truths, strict=True):
                assert_close(truth.coefficients, one.dataset.truth(seed).coefficients)

    def test_only_one_population_is_sampled(self, by_dataset):
        assert [label for label, one in by_dataset.items() if not one.moments[0].population] == [SAMPLED]

    def test_a_sampled_population_is_all_the_parts_of_its_seed(self, monkeypatch):
        monkeypatch.setattr(identify, "ROWS", 100)
        monkeypatch.setattr(identify, "PARTS", 3)
        (one,) = (one for one in identify.classes() if one.dataset.label == SAMPLED)
        for seed, moments in zip(identify.SEEDS, one.moments, strict=True):
            parts = [compress(one.dataset.sample(100, 3 * seed + part)) for part in range(3)]
            assert_close(moments.second, merge(parts).second)
            assert moments.count.tolist() == [300, 300]

    def test_the_truth_of_a_sampled_population_is_that_of_its_parts(self, by_dataset):
        one = by_dataset[SAMPLED]
        parts = range(identify.PARTS * len(identify.SEEDS))
        told = torch.stack([torch.cat([t.coefficients, t.unscramble.flatten()]) for t in map(one.dataset.truth, parts)])
        assert_close(told, told[:1].expand_as(told))


class TestApproximateCells:
    def test_eills_identifies_its_own_example(self, by_dataset):
        cell = answer("eills", limit("eills"), by_dataset[SAMPLED])
        assert (cell.verdict, cell.exact) == ("identified", False)
        assert cell.coefficients[:3] == pytest.approx((3, 2, -0.5), abs=0.02)

    def test_least_squares_does_not(self, by_dataset):
        cell = answer("erm", limit("erm"), by_dataset[SAMPLED])
        assert (cell.verdict, cell.exact) == ("not identified", False)

    def test_cells_of_exact_moments_are_exact(self, by_dataset):
        assert answer("erm", limit("erm"), by_dataset["two_bit"]).exact

    def test_what_needs_examples_is_undefined(self, by_dataset):
        cell = answer("irmv1", method("irmv1", variant="ustat"), by_dataset[SAMPLED])
        assert (cell.verdict, cell.exact) == ("undefined", False)
        assert "needs the moments of a population" in cell.reason

    def test_what_needs_examples_takes_exact_moments_in_their_place(self):
        cell = answer("irmv1", method("irmv1", variant="ustat"), of(dataset("drig_toy")))
        assert cell.verdict == "not identified"


class TestAnswer:
    @pytest.mark.parametrize(("value", "verdict"), [(2.03, "identified"), (2.05, "not identified")])
    def test_close_is_two_per_cent_of_the_causal_coefficients(self, value, verdict):
        cell = answer("constant", Constant(value), of(dataset("drig_toy")))  # b* = 2
        assert (cell.verdict, cell.distance) == (verdict, pytest.approx(value / 2 - 1))

    def test_the_distance_is_over_all_inputs(self):
        cell = answer("constant", Constant(0.5), of(dataset("irm_appendix_d", d=2)))  # b* = (1, 1, 0, 0)
        assert cell.distance == pytest.approx(math.sqrt(4 * 0.5**2) / math.sqrt(2))
        assert cell.coefficients == (0.5,) * 4

    def test_causes_are_compared_one_by_one(self):
        one = of(dataset("gaussian_iv"))
        cell = answer("constant", Constant(1.0), one)
        assert cell.causal == pytest.approx(np.mean(1 / one.truths[0].coefficients.numpy()))

    def test_causes_and_others_have_means_of_their_own(self):
        cell = answer("erm", limit("erm"), of(dataset("irm_appendix_d")))
        assert (cell.causal, cell.other) == (pytest.approx(1 / (1 + S)), pytest.approx(S / (1 + S)))

    def test_without_other_inputs_there_is_no_mean_of_them(self):
        assert answer("constant", Constant(), of(dataset("drig_toy"))).other is None

    def test_the_distance_is_the_largest_of_the_seeds_and_the_coefficients_are_the_first_s(self):
        one = of(dataset("gaussian_iv"), seeds=3)
        truths = [truth.coefficients.numpy() for truth in one.truths]
        distances = [np.linalg.norm(1 - b) / np.linalg.norm(b) for b in truths]
        assert max(distances) > distances[0]
        cell = answer("constant", Constant(1.0), one)
        assert cell.distance == pytest.approx(max(distances))
        assert cell.causal == pytest.approx(np.mean(1 / truths[0]))

    def test_coefficients_are_unscrambled(self):
        plain, scrambled = (of(dataset("irm_appendix_d", d=1, scrambled=scrambled)) for scrambled in (False, True))
        assert not torch.allclose(scrambled.moments[0].second, plain.moments[0].second)
        cell = answer("erm", limit("erm"), scrambled)
        assert cell.coefficients == pytest.approx(answer("erm", limit("erm"), plain).coefficients)

    def test_a_dataset_may_compare_directions_only(self):
        data = dataset("drig_toy")
        scale_free = type("ScaleFree", (type(data),), {"scale_free": True})()
        assert answer("constant", Constant(7.0), of(scale_free)).verdict == "identified"

    def test_a_cell_says_which_it_is(self):
        cell = answer("constant", Constant(), of(dataset("drig_toy", identifiable=False)))
        assert (cell.method, cell.assumptions, cell.dataset) == ("constant", "made", "drig_toy identifiable=False")

    def test_a_solution_that_is_not_finite_under_one_seed_is_none(self):
        one = of(dataset("drig_toy"), seeds=2)
        assert answer("root", Root(), one).verdict == "not identified"
        first, second = one.moments
        negative = first.with_tensors(-second.second, second.count)
        cell = answer("root", Root(), dataclasses.replace(one, moments=[first, negative]))
        assert (cell.verdict, cell.reason, cell.distance) == ("undefined", "the solution is not finite", None)

    def test_moments_of_one_seed_that_define_no_solution_suffice(self):
        one, other = of(dataset("anchor_iv")), of(dataset("anchor_iv", anchors="plus_minus"))
        both = dataclasses.replace(one, moments=one.moments + other.moments, truths=one.truths + other.truths)
        assert answer("causal_dantzig", limit("causal_dantzig"), one).verdict == "identified"
        assert answer("causal_dantzig", limit("causal_dantzig"), both).verdict == "undefined"

    def test_too_few_environments_are_a_reason(self):
        one = of(dataset("drig_toy"))
        single = one.moments[0].with_tensors(*(tensor[:1] for tensor in one.moments[0].tensors))
        cell = answer("vrex", limit("vrex"), dataclasses.replace(one, moments=[single]))
        assert (cell.verdict, cell.reason) == ("undefined", "VREx needs 2 environments, the dataset has 1")


class TestHowAMethodIsSolved:
    def test_one_defined_by_updates_makes_so_many_of_its_own(self, monkeypatch):
        monkeypatch.setattr(identify, "STEPS", 5)
        (found,) = answer("towards_three", TowardsThree(), of(dataset("drig_toy"))).coefficients
        assert found == pytest.approx(3 - 2 * 0.75**5)  # from 1

    def test_its_steps_see_exact_moments(self, monkeypatch):
        monkeypatch.setattr(identify, "STEPS", 200)
        (found,) = answer("descent", Descent(), of(dataset("drig_toy"))).coefficients
        assert found == pytest.approx(7.5 / 3.25, abs=1e-9)

    def test_one_with_an_objective_is_converged_whatever_its_updates(self, monkeypatch):
        monkeypatch.setattr(identify, "STEPS", 1)
        cell = answer("group_dro", limit("group_dro"), of(dataset("anchor_iv")))
        assert cell.coefficients == pytest.approx((5 / 3,), abs=1e-6)

    def test_a_weight_is_at_its_limit_not_at_its_default(self):
        one = of(dataset("drig_toy"))
        assert answer("drig", method("drig"), one).verdict == "not identified"
        assert answer("drig", limit("drig"), one).verdict == "identified"

    @pytest.mark.parametrize("name", plugins.discover("methods"))
    def test_limits_are_hyper_parameters_within_their_ranges(self, name):
        cls = plugins.load("methods", name)
        assert within_limit(cls) == checked(cls, name, dict(cls.limit))


class TestMatrix:
    @pytest.fixture(autouse=True)
    def two_classes(self, monkeypatch):
        made = [dataclasses.replace(of(dataset(name)), name=name) for name in ("drig_toy", "anchor_iv")]
        monkeypatch.setattr(identify, "classes", lambda: iter(made))

    def test_every_method_is_asked_under_every_class(self):
        cells = identify.identify(["iv_2sls", "erm"])
        assert [(cell.method, cell.assumptions, cell.verdict) for cell in cells] == [
            ("iv_2sls", "drig_toy", "identified"),
            ("iv_2sls", "anchor_iv", "identified"),
            ("erm", "drig_toy", "not identified"),
            ("erm", "anchor_iv", "not identified"),
        ]

    def test_methods_are_all_that_train_on_training_data_at_their_limits_where_none_is_named(self, monkeypatch):
        monkeypatch.setattr(identify, "answer", lambda name, asked, one: (name, asked))
        asked = dict(identify.identify())
        assert list(asked) == [name for name in plugins.discover("methods") if name != "oracle_shuffled"]
        assert asked == {name: limit(name) for name in asked}

    def test_an_unknown_method_is_told_before_moments_are_computed(self, monkeypatch):
        monkeypatch.setattr(identify, "classes", lambda: pytest.fail("moments are computed"))
        with pytest.raises(UserError, match="Did you mean 'vrex'"):
            identify.identify(["erm", "vrx"])

    def test_progress_is_on_standard_error_and_only_where_asked_for(self, capsys):
        identify.identify(["erm"])
        assert capsys.readouterr() == ("", "")
        identify.identify(["erm"], progress=True)
        out, err = capsys.readouterr()
        assert (out, "identify" in err) == ("", True)

    def test_as_json_holds_all_of_a_cell(self):
        cells = identify.identify(["iv_2sls"])
        (first, _) = json.loads(json.dumps(identify.as_json(cells)))
        assert Cell(**{**first, "coefficients": tuple(first["coefficients"])}) == cells[0]


# Views are of cells made up: two methods under three classes, the second sampled.
NAMES = ("shift", "noise", "bits")
CELLS = [
    Cell("mine", "shift", "a", "identified", "", 0.0123, 1.01, 0.003, (1.01, 0.003)),
    Cell("mine", "noise", "b", "not identified", "", 1.516, 0.529, 0.147, (0.529, 0.147), exact=False),
    Cell("mine", "bits", "c", "undefined", "there is no minimum"),
    Cell("an_other", "shift", "a", "not identified", "", 0.03, 0.97, None, (0.97,)),
    Cell("an_other", "noise", "b", "undefined", "no reason", exact=False),
    Cell("an_other", "bits", "c", "identified", "", 0.02, 1.0, 0.0, (1.0, 0.0)),
]


def printed(table, width=120):
    text = io.StringIO()
    Console(width=width, file=text).print(table)
    return text.getvalue()


def column(table, index):
    return [str(cell) for cell in table.columns[index].cells]


class TestTables:
    def test_the_matrix_has_a_row_a_method_and_a_letter_a_class(self):
        table = identify_views.matrix(CELLS)
        assert [str(one.header) for one in table.columns] == ["method", "A", "B", "C"]
        assert column(table, 0) == ["mine", "an_other"]

    def test_the_matrix_says_what_every_cell_is(self):
        table = identify_views.matrix(CELLS)
        assert [column(table, i) for i in (1, 2, 3)] == [["yes", "no"], ["no", "-"], ["-", "yes"]]

    def test_cells_may_come_in_any_order(self):
        table = identify_views.matrix([CELLS[0], CELLS[2], CELLS[1], *reversed(CELLS[3:])])
        assert "B  bits" in str(table.caption)
        assert [column(table, i) for i in (1, 2, 3)] == [["yes", "no"], ["-", "yes"], ["no", "-"]]

    def test_the_legend_names_classes_and_marks_those_that_are_sampled(self):
        lines = [line.strip() for line in printed(identify_views.matrix(CELLS)).splitlines()]
        assert lines[-3:] == ["A  shift", "B  ~ noise", "C  bits"]

    def test_the_matrix_loses_nothing_in_eighty_columns(self):
        longest = max(plugins.discover("methods"), key=len)
        cells = [Cell(name, entry["name"], "a", "identified") for name in (longest, "x") for entry in CLASSES]
        text = printed(identify_views.matrix(cells), width=80)
        assert "…" not in text
        assert Counter(text.split())["yes"] == 2 * len(CLASSES)

    @pytest.mark.parametrize(
        ("cell", "said"),
        [
            (CELLS[0], "the causal coefficients, to 0.01"),
            (
                CELLS[1],
                "0.53 of the causal coefficients on average, 0.15 on average off the causes; distance up to 1.5",
            ),
            (CELLS[3], "0.97 of the causal coefficients on average; distance up to 0.03"),
            (
                dataclasses.replace(CELLS[3], other=0.0),
                "0.97 of the causal coefficients on average, 0.00 on average off the causes; distance up to 0.03",
            ),
            (CELLS[2], "there is no minimum"),
        ],
        ids=[
            "identified",
            "not identified",
            "not identified, no other inputs",
            "not identified, others 0",
            "undefined",
        ],
    )
    def test_a_finding_is_a_sentence(self, cell, said):
        assert identify_views.finding(cell) == said

    def test_the_answers_have_a_row_a_cell(self):
        table = identify_views.answers(CELLS)
        assert column(table, 0) == ["mine"] * 3 + ["an_other"] * 3
        assert column(table, 1) == ["shift", "~ noise", "bits"] * 2
        assert column(table, 2) == ["yes", "no", "-", "no", "-", "yes"]
        assert column(table, 3) == list(map(identify_views.finding, CELLS))

    def test_the_frame_has_a_row_a_cell_and_a_column_a_field(self):
        data = identify_views.frame(CELLS)
        assert list(data.columns) == [field.name for field in dataclasses.fields(Cell)]
        assert data["verdict"].tolist() == [cell.verdict for cell in CELLS]


class TestHeatMap:
    @pytest.mark.parametrize("size", [(6, 4), (0.3, 0.3)], ids=["roomy", "narrow"])
    def test_it_names_every_method_and_class(self, size):
        ax = Figure(figsize=size).subplots()
        identify_views.heat_map(CELLS, ax)
        assert [text.get_text() for text in ax.get_yticklabels()] == ["mine", "an_other"]
        assert [text.get_text() for text in ax.get_xticklabels()] == ["shift", "~ noise", "bits"]

    def test_it_ticks_what_is_identified_and_has_the_distance_of_what_is_not(self):
        ax = Figure().subplots()
        identify_views.heat_map(CELLS, ax)
        at = {text.get_position(): text.get_text() for text in ax.texts}
        words = [[at.get((x + 0.5, y + 0.5), "") for x in range(3)] for y in range(2)]
        assert words == [["✓", "1.5", ""], ["0.03", "", "✓"]]

    def test_colours_are_distances_and_undefined_cells_have_none(self):
        ax = Figure().subplots()
        identify_views.heat_map(CELLS, ax)
        colours = np.ma.filled(ax.collections[0].get_array().astype(float), np.nan).reshape(2, 3)
        np.testing.assert_allclose(colours, [[0.0123, 1.516, np.nan], [0.03, np.nan, 0.02]])

    def test_there_may_be_no_distance_at_all(self):
        ax = Figure().subplots()
        identify_views.heat_map([Cell("mine", name, "a", "undefined", "no reason") for name in NAMES], ax)
        assert [text.get_text() for text in ax.texts if text.get_text()] == []


class TestSaving:
    def test_the_table_and_the_pictures_can_be_loaded(self, tmp_path):
        folder = tmp_path / "new" / "folder"
        table, png, svg, pdf = identify_views.save(CELLS, folder)
        assert {file.name for file in folder.iterdir()} == {f"identify.{kind}" for kind in ("csv", "png", "svg", "pdf")}
        stored = pd.read_csv(table, keep_default_na=False, na_values={"distance": [""]})
        assert stored["reason"].tolist() == [cell.reason for cell in CELLS]
        np.testing.assert_allclose(stored["distance"], [np.nan if c.distance is None else c.distance for c in CELLS])
        assert imread(png).std() > 0.05
        assert ET.parse(svg).getroot().tag.endswith("svg")
        assert pdf.read_bytes().startswith(b"%PDF")


@pytest.fixture
def call(tmp_path, monkeypatch, command_line):
    """The command line of `identify`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")  # whatever terminal the tests run in
    return partial(command_line, "identify")


@pytest.fixture
def asked(monkeypatch):
    """What the command asks for, in place of computing it."""
    seen = []

    def made_up(methods=None, progress=False):
        seen.append((methods, progress))
        return CELLS

    monkeypatch.setattr(identify, "identify", made_up)
    return seen


class TestCommand:
    def test_named_methods_print_their_answers_and_write_nothing(self, call, few_rows, tmp_path):
        code, out, err = call(" drig , zero ")
        assert (code, err) == (0, "")
        rows = [
            line.split()[0] for line in out.splitlines() if line.startswith("  drig ") or line.startswith("  zero ")
        ]
        assert Counter(rows).keys() == {"drig", "zero"}
        assert "no minimum at gamma" in out
        assert list(tmp_path.iterdir()) == []

    def test_json_is_a_cell_for_every_method_and_class(self, call, few_rows, tmp_path):
        code, out, err = call("erm,iv_2sls", "--json")
        assert (code, err) == (0, "")
        found = json.loads(out)
        assert [(cell["method"], cell["assumptions"]) for cell in found] == [
            (name, entry["name"]) for name in ("erm", "iv_2sls") for entry in CLASSES
        ]
        assert {tuple(cell) for cell in found} == {tuple(field.name for field in dataclasses.fields(Cell))}
        assert list(tmp_path.iterdir()) == []

    def test_json_goes_without_names_too(self, call, asked):
        code, out, _ = call("--json")
        assert (code, len(json.loads(out))) == (0, len(CELLS))
        assert asked == [(None, False)]

    def test_without_names_the_matrix_is_printed_and_saved(self, call, asked, tmp_path):
        code, out, err = call("--out", "mine")
        assert (code, err) == (0, "")
        assert asked == [(None, False)]
        assert out.startswith(printed(identify_views.matrix(CELLS), width=80))
        saved = out.splitlines()[-4:]
        assert saved == [f"mine/identify.{suffix}" for suffix in ("csv", "png", "svg", "pdf")]
        assert all((tmp_path / file).is_file() for file in saved)

    def test_the_folder_is_among_the_results_by_default(self, call, asked, monkeypatch):
        monkeypatch.setattr(identify_views, "save", lambda cells, folder: [folder / "saved"])
        assert call()[1].endswith("\nresults/identify/saved\n")

    def test_progress_is_for_terminals(self, call, asked, monkeypatch):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        call("erm")
        assert asked == [(["erm"], True)]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ("vrx", "unknown method 'vrx'. Did you mean 'vrex'?"),
            ("erm,vrx --json", "unknown method 'vrx'. Did you mean 'vrex'?"),
            (",", "METHODS: expected names separated by commas"),
            ("erm zero", "zero"),
            ("erm --out x", "--out is for the whole matrix"),
            ("--json --out x", "--out is for the whole matrix"),
            ("erm --jsn", "--jsn"),
        ],
    )
    def test_wrong_usage_is_one_line_on_standard_error_and_exit_code_2(self, call, arguments, said):
        code, out, err = call(*arguments.split())
        assert (code, out) == (2, "")
        assert err.startswith("irmbench: ")
        assert err.count("\n") == 1
        assert said in err

    def test_a_folder_that_cannot_be_made_is_told_before_the_work(self, call, asked, tmp_path):
        (tmp_path / "taken").write_text("a file")
        code, out, err = call("--out", "taken")
        assert code == 2
        assert out == ""
        assert err.startswith("irmbench: taken: the matrix cannot be written: ")
        assert err.count("\n") == 1
