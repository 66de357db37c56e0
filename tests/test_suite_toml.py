"""A suite written as TOML is the suite that was read."""

import tomllib

import pytest

from irmbench import plugins
from irmbench.report.suite_toml import to_toml
from irmbench.suite import Experiment, Suite, load_suite, parse


@pytest.mark.parametrize("name", plugins.suites())
def test_a_bundled_suite_comes_back_as_it_was(name):
    suite = load_suite(name)
    assert parse(to_toml(suite)) == suite


def test_defaults_are_left_out():
    text = to_toml(Suite("plain", [Experiment(["irm_appendix_d"], ["erm"])]))
    assert text == 'name = "plain"\n\n[[experiments]]\ndatasets = ["irm_appendix_d"]\nmethods = ["erm"]\n'


@pytest.mark.parametrize("text", ['"quoted" \\ back', "two\nlines", "tab\t, \x7f and \x01", "Émile </script> 🐍"])
def test_any_description_comes_back(text):
    suite = Suite("plain", [Experiment(["irm_appendix_d"], ["erm"])], description=text)
    assert parse(to_toml(suite)).description == text


@pytest.mark.parametrize("number", [1e-5, 1e16, 3, True, float("inf")])
def test_any_number_comes_back(number):
    experiment = Experiment(["irm_appendix_d"], ["erm"], search={"odd key": [number]}, draws=2)
    text = to_toml(Suite("plain", [experiment]))
    assert tomllib.loads(text)["experiments"][0]["search"] == {"odd key": [number]}


def test_a_long_list_has_a_line_for_each_item():
    suite = Suite("plain", [Experiment(["irm_appendix_d"], [f"method_{i}" for i in range(20)])])
    assert '    "method_7",\n' in to_toml(suite)
