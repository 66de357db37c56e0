"""What must start fast imports nothing slow; the lazy names work."""

import pytest

import irmbench

SLOW = ["matplotlib", "pandas", "scipy", "seaborn", "torch"]

COMMAND_LINE = """
import runpy, sys
sys.argv = ["irmbench", *sys.argv[1:]]
try:
    runpy.run_module("irmbench", run_name="__main__")
except SystemExit as stop:
    assert not stop.code, stop.code
"""


def slow_imports(output):
    return [name for name in SLOW if name in output.splitlines()[-1].split(",")]


def program(code):
    return f"{code}\nimport sys; print(); print(','.join(sys.modules))"


def test_the_package_imports_nothing_slow(run_python):
    assert slow_imports(run_python("-c", program("import irmbench"))) == []


@pytest.mark.parametrize(
    "arguments", [["--help"], ["list"], ["list", "methods"], ["list", "datasets"], ["list", "suites"]], ids=" ".join
)
def test_the_command_line_imports_nothing_slow(run_python, arguments):
    assert slow_imports(run_python("-c", program(COMMAND_LINE), *arguments)) == []


def test_a_slow_import_would_be_noticed(run_python):
    assert slow_imports(run_python("-c", program("import pandas"))) == ["pandas"]


def test_the_python_interface_is_there_on_first_use():
    assert callable(irmbench.run)
    assert callable(irmbench.load)
    assert set(irmbench.__all__) <= set(dir(irmbench))


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        irmbench.rum  # noqa: B018 - reading it is the test
