"""Finding, loading and refusing plugins."""

import shutil
import sys
from pathlib import Path

import pytest

import irmbench
from irmbench.errors import UserError, suggest
from irmbench.plugins import discover, load

ROOT = Path(__file__).resolve().parents[1]
KINDS = {"methods": "Method", "datasets": "Dataset"}
BUNDLED = [(kind, file.stem) for kind in KINDS for file in sorted((ROOT / kind).glob("[!_]*.py"))]


def source(class_name, kind="methods", base=None):
    return f'''"""First line.

More lines.
"""

from dataclasses import dataclass

from irmbench.interface import Dataset, Method


@dataclass(frozen=True)
class {class_name}({base or KINDS[kind]}):
    """A plugin."""
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on the plugin path, with methods/ and datasets/ in it; every test names its plugins differently."""
    for kind in KINDS:
        (tmp_path / kind).mkdir()
    monkeypatch.setattr(irmbench, "__path__", [*irmbench.__path__, str(tmp_path)])
    return tmp_path


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution with one module and one entry point."""

    def install(module, code, entry_point, group="irmbench.methods"):
        file = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
        information = tmp_path / "peer-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: peer\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[{group}]\n{entry_point}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


def refusal(kind, name):
    with pytest.raises(UserError) as caught:
        load(kind, name)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", KINDS)
def test_bundled_ids_are_the_file_names(kind):
    assert list(discover(kind)) == [name for other, name in BUNDLED if other == kind]


@pytest.mark.parametrize(("kind", "name"), BUNDLED)
def test_bundled_plugins_load_as_ordinary_modules(kind, name):
    assert load(kind, name).__module__ == f"irmbench.{kind}.{name}"


@pytest.mark.parametrize(("kind", "name"), BUNDLED)
def test_bundled_plugins_say_what_they_are_in_one_line(kind, name):
    assert discover(kind)[name].summary


def test_a_new_file_is_seen_at_once(folder):
    assert "seen_at_once" not in discover("methods")
    (folder / "methods" / "seen_at_once.py").write_text(source("SeenAtOnce"))
    assert load("methods", "seen_at_once").__name__ == "SeenAtOnce"


def test_a_dataset_is_found_like_a_method(folder):
    (folder / "datasets" / "some_data.py").write_text(source("SomeData", "datasets"))
    assert load("datasets", "some_data").__name__ == "SomeData"
    assert "some_data" not in discover("methods")


def test_the_summary_is_read_without_importing(folder):
    file = folder / "methods" / "never_imported.py"
    file.write_text('"""What it does.\n\nMore."""\nraise RuntimeError("imported")\n')
    assert discover("methods")["never_imported"].summary == "What it does."


@pytest.mark.parametrize("name", ["_helper.py", ".hidden.py", "notes.txt"])
def test_other_files_are_no_plugins(folder, name):
    before = discover("methods")
    (folder / "methods" / name).write_text("")
    assert discover("methods") == before


def test_two_plugins_of_one_name_are_both_named(folder):
    twin = folder / "methods" / "erm.py"
    twin.write_text(source("ERM"))
    with pytest.raises(UserError, match="two methods are named 'erm'") as caught:
        discover("methods")
    assert str(twin) in str(caught.value)
    assert str(ROOT / "methods" / "erm.py") in str(caught.value)


def test_a_folder_named_twice_does_not_collide_with_itself(folder, monkeypatch):
    (folder / "methods" / "named_twice.py").write_text(source("NamedTwice"))
    monkeypatch.setattr(irmbench, "__path__", [*irmbench.__path__, f"{folder}/methods/.."])
    assert "named_twice" in discover("methods")


def test_a_file_whose_name_is_no_identifier_is_refused(folder):
    (folder / "methods" / "my-method.py").write_text("")
    with pytest.raises(UserError, match=r"my-method\.py: 'my-method' is no Python identifier"):
        discover("methods")


def test_a_plugin_folder_that_is_a_package_is_refused(folder):
    (folder / "methods" / "__init__.py").write_text("")
    with pytest.raises(UserError, match=r"methods/__init__\.py: remove it"):
        discover("methods")


def test_a_path_without_plugin_folders_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(irmbench, "__path__", [*irmbench.__path__, str(tmp_path / "typo")])
    with pytest.raises(UserError, match=r"IRMBENCH_PATH: .*typo holds neither"):
        discover("methods")


def test_a_typo_gets_a_suggestion():
    assert refusal("methods", "vrx") == "unknown method 'vrx'. Did you mean 'vrex'? See `irmbench list methods`."


def test_a_name_like_no_other_gets_none():
    assert refusal("datasets", "qqqqqq") == (
        "unknown dataset 'qqqqqq'. A folder with plugins of your own is named by IRMBENCH_PATH. "
        "See `irmbench list datasets`."
    )


def test_suggestions_ignore_case():
    assert suggest("IRMV1", ["vrex", "irmv1"]) == " Did you mean 'irmv1'?"
    assert suggest("vrex", ["V-REx"]) == " Did you mean 'V-REx'?"


def test_a_failing_import_names_the_file_the_line_and_the_cause(folder):
    file = folder / "methods" / "failing.py"
    file.write_text("import math\n\nmath.no_such_function()\n")
    message = refusal("methods", "failing")
    assert message.startswith(f"{file}: cannot be imported: AttributeError")
    assert message.endswith("(line 3)")


def test_a_syntax_error_does_not_stop_the_listing(folder):
    file = folder / "methods" / "unparsable.py"
    file.write_text("def (:\n")
    assert discover("methods")["unparsable"].summary.startswith("(cannot be parsed: invalid syntax")
    assert f"{file}: cannot be imported: SyntaxError" in refusal("methods", "unparsable")


def test_a_file_without_a_plugin_class_is_refused(folder):
    file = folder / "methods" / "no_class.py"
    file.write_text(source("_Private"))
    assert refusal("methods", "no_class") == f"{file}: needs one public subclass of interface.Method, has none"


def test_a_file_of_the_other_kind_is_refused(folder):
    (folder / "methods" / "other_kind.py").write_text(source("OtherKind", base="Dataset"))
    assert "needs one public subclass of interface.Method" in refusal("methods", "other_kind")


def test_a_file_with_two_plugin_classes_is_refused(folder):
    (folder / "methods" / "two_classes.py").write_text(source("One") + source("Two"))
    assert refusal("methods", "two_classes").endswith("has One, Two")


def test_an_imported_class_does_not_count(folder):
    (folder / "methods" / "base_method.py").write_text(source("BaseMethod"))
    derived = "from irmbench.methods.base_method import BaseMethod\n" + source("Derived", base="BaseMethod")
    (folder / "methods" / "derived_method.py").write_text(derived)
    assert load("methods", "derived_method").__name__ == "Derived"


@pytest.mark.parametrize("suffix", ["", ":Peer"])
def test_an_entry_point_is_a_plugin(install, suffix):
    module = f"peer{len(suffix)}.peer_method"
    install(module, source("Peer"), f"peer_method = {module}{suffix}")
    plugin = discover("methods")["peer_method"]
    assert plugin.origin == f"entry point peer_method = {module}{suffix}"
    assert plugin.summary == "First line."
    assert module not in sys.modules
    assert load("methods", "peer_method").__module__ == module


def test_an_entry_point_that_is_uninstalled_is_gone(install, tmp_path):
    install("leaving.leaving_method", source("Leaving"), "leaving_method = leaving.leaving_method")
    assert "leaving_method" in discover("methods")
    shutil.rmtree(tmp_path / "peer-1.0.dist-info")
    assert "leaving_method" not in discover("methods")


def test_an_entry_point_whose_file_cannot_be_found_is_refused_on_loading(install):
    install("elsewhere.other", "", "gone = elsewhere.gone")
    assert discover("methods")["gone"].summary == ""
    assert refusal("methods", "gone").startswith("entry point gone = elsewhere.gone: cannot be imported: Module")


def test_an_entry_point_to_a_missing_class_is_refused(install):
    install("classless.peer_class", source("Peer"), "peer_class = classless.peer_class:Pear")
    assert refusal("methods", "peer_class").endswith("needs one public subclass of interface.Method, has none")


def test_an_entry_point_collides_with_a_file(install):
    install("twin.erm", source("ERM"), "erm = twin.erm")
    with pytest.raises(UserError, match=r"methods/erm\.py and entry point erm = twin\.erm"):
        discover("methods")


def test_an_entry_point_must_have_its_modules_name(install):
    install("misnamed.alpha", source("Alpha"), "beta = misnamed.alpha")
    with pytest.raises(UserError, match=r"entry point beta = misnamed\.alpha: a plugin's id is its file's name"):
        discover("methods")


WORKERS = """
import loky, multiprocessing
from irmbench.plugins import load

if __name__ == "__main__":
    print("here", load("methods", "outside").__name__)
    print("spawned", multiprocessing.get_context("spawn").Pool(1).apply(load, ("methods", "outside")).__name__)
    print("by loky", loky.get_reusable_executor(1).submit(load, "methods", "outside").result().__name__)
"""


def test_a_plugin_outside_the_checkout_is_found_through_irmbench_path_by_workers_too(run_python, tmp_path):
    (tmp_path / "mine" / "methods").mkdir(parents=True)
    (tmp_path / "mine" / "methods" / "outside.py").write_text(source("Outside"))
    found = run_python("-c", WORKERS, IRMBENCH_PATH=str(tmp_path / "mine"))
    assert found.splitlines() == ["here Outside", "spawned Outside", "by loky Outside"]
