"""Bad input: whatever a command is given, one line on standard error, exit code 2, and nothing written or lost.

Each table is inputs, and the commands that take such an input; a new command is one line in the second.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import irmbench
from irmbench.errors import UserError
from irmbench.runs.store import SCHEMA

ROOT = Path(__file__).resolve().parents[1]
TINY = """
name = "tiny"
seeds = 1

[[experiments]]
datasets = [{ id = "irm_appendix_d", n = 50 }]
methods = ["erm", { id = "vrex", penalty_weight = 10.0 }]
solvers = [{ name = "official", steps = 3 }]
open = true
"""
BINARY = bytes(range(256)) * 4


def edited(old, new):
    assert old in TINY
    return TINY.replace(old, new)


def in_tiny(entry):
    return edited('{ id = "vrex", penalty_weight = 10.0 }', entry)


# What a suite's file may hold, and a word of what is said of it.
SUITES = {
    "nothing": ("", "name"),
    "binary": (BINARY, "utf-8"),
    "no UTF-8": (TINY.encode().replace(b"tiny", b"t\xff"), "utf-8"),
    "UTF-16": (TINY.encode("utf-16"), "utf-8"),
    "a NUL byte": (edited("tiny", "ti\0ny"), "not TOML"),
    "an escaped NUL": (edited("tiny", "ti\\u0000ny"), "$.name"),
    "prose": ("please run everything", "not TOML"),
    "JSON": ('{"name": "tiny"}', "not TOML"),
    "one key twice": (edited("seeds = 1", "seeds = 1\nseeds = 2"), "not TOML"),
    "one table twice": (TINY + "[selection]\n[selection]\n", "not TOML"),
    "arrays a hundred thousand deep": (f"x = {'[' * 10**5}", "nested"),
    "tables five thousand deep": (f"[{'.'.join('a' * 5000)}]", ""),
    "a number of 5,000 digits": (edited("seeds = 1", f"seeds = {'9' * 5000}"), "digits"),
    "an empty name": (edited("tiny", ""), "$.name"),
    "a name that is a path": (edited("tiny", "../tiny"), "$.name"),
    "a name of 5,000 letters": (edited("tiny", "t" * 5000), "$.name"),
    "a name that is a number": (edited('"tiny"', "5"), "$.name"),
    "no experiments": ('name = "tiny"\nexperiments = []', "experiments"),
    "experiments that are no list": ('name = "tiny"\nexperiments = 5', "$.experiments"),
    "an experiment that is no table": ('name = "tiny"\nexperiments = [5]', "$.experiments[0]"),
    "datasets that are no list": ('name = "tiny"\ndatasets = 5\nexperiments = [{methods = ["erm"]}]', "datasets"),
    "no seeds": (edited("seeds = 1", "seeds = 0"), ">= 1"),
    "negative seeds": (edited("seeds = 1", "seeds = -1"), ">= 1"),
    "seeds that are not a number": (edited("seeds = 1", "seeds = nan"), "`int`"),
    "seeds without end": (edited("seeds = 1", "seeds = 1_000_000_000_000"), "<= 1000000"),
    "more seeds than an integer holds": (edited("seeds = 1", "seeds = 99999999999999999999"), "$.seeds"),
    "a misspelt key": (edited("methods", "methds"), "Did you mean 'methods'?"),
    "an unknown method": (in_tiny('"vrx"'), "Did you mean 'vrex'?"),
    "a method without a name": (in_tiny('""'), "unknown method ''"),
    "a method named by a path": (in_tiny('"../methods/erm"'), "unknown method"),
    "a method without an id": (in_tiny("{ penalty_weight = 1.0 }"), "needs its id"),
    "a method whose id is a number": (in_tiny("{ id = 5 }"), "needs its id"),
    "a method that is a date": (in_tiny("1979-05-27"), "methods"),
    "an unknown dataset": (edited("irm_appendix_d", "irm_apendix_d"), "Did you mean 'irm_appendix_d'?"),
    "an unknown parameter": (in_tiny('{ id = "vrex", dof = 1 }'), "Did you mean 'ddof'?"),
    "a parameter without a name": (in_tiny('{ id = "vrex", "" = 1 }'), "unknown parameter ''"),
    "a parameter that is no number": (in_tiny('{ id = "vrex", penalty_weight = nan }'), "finite"),
    "an infinite parameter": (in_tiny('{ id = "vrex", penalty_weight = inf }'), "finite"),
    "a negative parameter": (in_tiny('{ id = "vrex", penalty_weight = -1.0 }'), "at least 0"),
    "a text for a number": (in_tiny('{ id = "vrex", penalty_weight = "1" }'), "`float`"),
    "a table for a number": (in_tiny('{ id = "vrex", penalty_weight = { a = 1 } }'), "`float`"),
    "a list of lists": (in_tiny('{ id = "vrex", penalty_weight = [[1.0]] }'), "`float`"),
    "an empty grid": (in_tiny('{ id = "vrex", penalty_weight = [] }'), "empty list"),
    "no examples": (edited("n = 50", "n = 0"), "at least 2"),
    "a negative number of examples": (edited("n = 50", "n = -50"), "at least 2"),
    "half an example": (edited("n = 50", "n = 2.5"), "`int`"),
    "10^12 examples": (edited("n = 50", "n = 1_000_000_000_000"), "at most 10,000,000,000"),
    "10^30 examples": (edited("n = 50", "n = 1" + "0" * 30), "irm_appendix_d.n"),
    "an unknown solver": (edited("official", "oficial"), "Did you mean 'official'?"),
    "a solver without steps": (edited("steps = 3", "steps = 0"), "at least 1"),
    "a backward solver": (edited("steps = 3", "learning_rate = -1.0"), "at least 0"),
    "no draws": (edited("open = true", "draws = 0"), ">= 1"),
    "a search without bounds": (
        edited("open = true", "draws = 2\nsearch.penalty_weight = { uniform = [1] }"),
        "search",
    ),
    "a search from high to low": (
        edited("open = true", "draws = 2\nsearch.penalty_weight = { uniform = [2, 1] }"),
        "lower",
    ),
    "a search that is no number": (
        edited("open = true", "draws = 2\nsearch.penalty_weight = { uniform = [nan, 1] }"),
        "search.penalty_weight",
    ),
    "an unknown score": (TINY + '[selection]\nscores = ["test"]', "$.selection.scores"),
    "timings without examples": (TINY + "[timing]\ncases = [[1, 0]]", "$.timing"),
}
TAKE_SUITE = {
    "run": ["run", "bad.toml"],
}

RECORD = {"schema": SCHEMA, "trial_id": "abc", "status": "ok", "finished": "2026-01-01", "method": "erm"}


def line(**changes):
    return json.dumps(RECORD | changes).encode() + b"\n"


# The content of DIR, and a word of what is said of it.
FOLDERS = {
    "missing": (None, "holds no run"),
    "a file": (b"", "holds no run"),
    "an empty folder": ({}, "holds no run"),
    "records that are a file": ({"records": b""}, "holds no run"),
    "no record": ({"records/a.jsonl": b""}, "no"),
    "binary records": ({"records/a.jsonl": BINARY}, "no"),
    "records of zeros": ({"records/a.jsonl": bytes(10_000)}, "no"),
    "records that are folders": ({"records/a.jsonl/b": b""}, "a.jsonl"),
    "lines that are no record": ({"records/a.jsonl": b'5\nnull\n[]\n{}\n"abc"\n{"trial_id": 5}\n'}, "no"),
    "a torn record": ({"records/a.jsonl": line()[:-5]}, "no"),
    "records nested a million deep": ({"records/a.jsonl": b"[" * 10**6}, "no"),
    "a newer schema": ({"records/a.jsonl": line(schema=SCHEMA + 1)}, "newer irmbench"),
    "a schema that is no number": ({"records/a.jsonl": line(schema="new")}, "no"),
    "an id that is a list": ({"records/a.jsonl": line(trial_id=[1])}, "no"),
    "a time that is no text": ({"records/a.jsonl": line(finished=5)}, "no"),
    "a run.json that is none": ({"records/a.jsonl": b"", "run.json": b"[]", "planned.json": b"[]"}, "no"),
    "a run.json that is binary": ({"records/a.jsonl": b"", "run.json": BINARY, "planned.json": BINARY}, "no"),
}
TAKE_FOLDER = {
    "show": ["show", "DIR"],
    "rerun": ["rerun", "DIR", "abc"],
}

USAGE = [
    ("run --seeds 0", "--seeds"),
    ("run --seeds -5", "--seeds"),
    ("run --seeds 1.5", "--seeds"),
    ("run --seeds 1e3", "--seeds"),
    ("run --seeds nan", "--seeds"),
    ("run quick --seeds 100000000000", "$.seeds"),
    ("run quick --workers -1", "--workers"),
    ("run quick --workers 0", "--workers"),
    ("run quick --workers inf", "--workers"),
    ("run quick --record-every -1", "--record-every"),
    ("run quick --device gpu", "--device"),
    ("run quick --solver newton", "--solver"),
    ("run quick --methods ,", "--methods"),
    ("run quick --methods erm,,vrx", "Did you mean 'vrex'?"),
    ("run quick --methods ../methods/erm", "unknown method"),
    ("run quick --datasets nothing", "unknown dataset"),
    ("run quick --set", "--set"),
    ("run quick --set =", "--set ="),
    ("run quick --set methods", "expected methods.ID.PARAMETER=VALUE"),
    ("run quick --set methods.erm", "expected methods.ID.PARAMETER=VALUE"),
    ("run quick --set methods.vrex.penalty_weight=nan", "finite"),
    ("run quick --set methods.vrex.penalty_weight=-inf", "finite"),
    ("run quick --set methods.vrex.penalty_weight=-1", "at least 0"),
    ("run quick --set methods.vrex.penalty_weight=[[", "`float`"),
    ("run quick --set methods.vrex.penalty_weight={}", "`float`"),
    ("run quick --set datasets.irm_chain.n=1000000000000", "at most 10,000,000,000"),
    ("run quick --set datasets.irm_chain.n=0", "at least 2"),
    ("run quick --set datasets.irm_chain.n=2\nx=1", "`int`"),
    ("run quick --set datasets.irm_chain.d=0", "at least 1"),
    ("run quick --set seeds=3", "expected methods.ID.PARAMETER=VALUE"),
    ("run quikc", "Did you mean 'quick'?"),
    ("run ", "unknown suite ''"),
    ("run nothing.toml", "no such TOML file"),
    ("run quick more", "more"),
    ("list vrx", "Did you mean 'vrex'?"),
    ("list ../methods", "nothing is named"),
    ("list methods more", "more"),
    ("show", "Missing argument"),
    ("rerun", "Missing argument"),
    ("identify vrx", "Did you mean 'vrex'?"),
    ("identify ,", "METHODS"),
    ("identify erm --out there", "--out"),
    ("identify --out there --json", "--out"),
    ("check", "Missing argument"),
    ("check vrx", "Did you mean 'vrex'?"),
    ("check ", "unknown method or dataset ''"),
    ("check nothing.py", "no such file"),
    ("check folder.py", "no such file"),
    ("check binary.py", "binary.py: cannot be imported"),
    ("check empty.py", "needs one public subclass"),
    ("check exits.py", "exits.py: cannot be imported: SystemExit"),
    ("perf", "Missing command"),
    ("perf rn", "Did you mean 'run'?"),
    ("perf run --device tpu", "--device"),
    ("perf check", "--base"),
    ("perf check --base nothing", "nothing"),
    ("perf check --base ", "revision"),
    ("perf check --base --help", "revision"),
    ("perf compare nothing nothing", "no such record"),
    ("perf compare empty.py empty.py", "is no record"),
    ("perf compare binary.py binary.py", "is no record"),
    ("perf compare folder.py folder.py", "no such record"),
    ("perf compare  ", "record"),
    ("perf history extra", "extra"),
    ("no-such-command", "unknown command"),
    ("", "unknown command ''"),
    ("--no-such-option", "No such option"),
    ("run " + "x" * 5000, "name too long"),
    ("run " + "x" * 5000 + ".toml", "name too long"),
    ("show " + "x" * 5000, "name too long"),
    ("check " + "x" * 5000 + ".py", "name too long"),
    ("run quick --methods erm --out " + "x" * 5000, "name too long"),
]


def snapshot(folder):
    """Return every file below a folder with its content, and every folder."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path


@pytest.fixture
def refused(place, command_line):
    """Return a function from arguments to the line that refuses them; nothing may be written or lost."""

    def run(*arguments):
        before = snapshot(place)
        code, out, err = command_line(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("irmbench: ")
        assert err.count("\n") == 1
        assert len(err) < 1000
        assert snapshot(place) == before
        return err

    return run


def write(path, content):
    """Write what a folder holds: nothing of None, a file of bytes, a folder of a dictionary."""
    if isinstance(content, dict):
        path.mkdir(parents=True)
        for name, inside in content.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(inside)
    elif content is not None:
        path.write_bytes(content)


@pytest.mark.parametrize("command", TAKE_SUITE)
@pytest.mark.parametrize("suite", SUITES)
def test_a_bad_suite(refused, place, suite, command):
    content, said = SUITES[suite]
    (place / "bad.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refused(*TAKE_SUITE[command])
    assert message.startswith("irmbench: bad.toml: ")
    assert said in message


@pytest.mark.parametrize("command", TAKE_FOLDER)
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_bad_run_folder(refused, place, folder, command):
    content, said = FOLDERS[folder]
    write(place / "DIR", content)
    assert said in refused(*TAKE_FOLDER[command])


def test_a_record_that_lacks_what_a_trial_is_cannot_be_run_again(refused, place):
    write(place / "DIR", {"records/a.jsonl": line()})
    assert "missing required field `dataset`" in refused("rerun", "DIR", "abc")


@pytest.mark.parametrize(("arguments", "said"), USAGE, ids=[repr(arguments[:40]) for arguments, _ in USAGE])
def test_bad_usage(refused, place, arguments, said):
    write(place / "binary.py", BINARY)
    write(place / "empty.py", b"")
    write(place / "exits.py", b"import sys\nsys.exit(5)\n")
    write(place / "folder.py", {})
    assert said in refused(*arguments.split(" "))


# Places that cannot be written to, even by root.
UNWRITABLE = {
    "a file": "tiny.toml",
    "below a file": "tiny.toml/below",
    "no place for files": "/proc/irmbench",
    "a device": "/dev/null/irmbench",
}
WRITE = {
    "run": ["run", "tiny.toml", "--workers", "1", "--out", "PLACE"],
    "run --fresh": ["run", "tiny.toml", "--workers", "1", "--fresh", "--out", "PLACE"],
    "identify": ["identify", "--out", "PLACE"],
}


@pytest.mark.parametrize("command", WRITE)
@pytest.mark.parametrize("where", UNWRITABLE)
def test_a_place_that_cannot_be_written_to(refused, where, command):
    path = UNWRITABLE[where]
    message = refused(*(path if argument == "PLACE" else argument for argument in WRITE[command]))
    assert path in message
    assert "cannot be written" in message


# What IRMBENCH_PATH may name: the folder's content, and a word of what is said of it.
PLUGINS = {
    "missing": (None, "holds neither"),
    "a file": (b"", "holds neither"),
    "an empty folder": ({}, "holds neither"),
    "methods that are a file": ({"methods": b""}, "holds neither"),
    "a name that is no identifier": ({"methods/my-method.py": b""}, "no Python identifier"),
    "a name taken": ({"methods/erm.py": b""}, "two methods are named 'erm'"),
    "a package": ({"methods/__init__.py": b""}, "remove it"),
}
FIND_PLUGINS = {
    "list": ["list", "methods"],
    "list of a name": ["list", "erm"],
    "run": ["run", "tiny.toml"],
    "check": ["check", "erm"],
    "identify": ["identify", "erm"],
}


@pytest.mark.parametrize("command", FIND_PLUGINS)
@pytest.mark.parametrize("folder", PLUGINS)
def test_a_bad_plugin_folder(refused, place, monkeypatch, folder, command):
    content, said = PLUGINS[folder]
    write(place / "mine", content)
    monkeypatch.setattr(irmbench, "__path__", [*irmbench.__path__, str(place / "mine")])
    assert said in refused(*FIND_PLUGINS[command])


BROKEN = {
    "a syntax error": (b"def (:\n", "SyntaxError"),
    "binary": (BINARY, "cannot be imported"),
    "no class": (b"x = 1\n", "needs one public subclass of interface.Method"),
    "an import of nothing": (b"import nothing_at_all\n", "ModuleNotFoundError"),
    "an exit": (b"import sys\nsys.exit(3)\n", "SystemExit"),
}
LOAD_PLUGIN = {
    "list": ["list", "NAME"],
    "run": ["run", "tiny.toml", "--methods", "NAME"],
    "run of an open suite": ["run", "tiny.toml"],
    "check": ["check", "NAME"],
    "check of the file": ["check", "mine/methods/NAME.py"],
    "identify": ["identify", "NAME"],
}


@pytest.mark.parametrize("command", LOAD_PLUGIN)
@pytest.mark.parametrize("plugin", BROKEN)
def test_a_broken_plugin(refused, place, monkeypatch, plugin, command):
    content, said = BROKEN[plugin]
    name = f"broken_{list(BROKEN).index(plugin)}_{list(LOAD_PLUGIN).index(command)}"
    write(place / "mine", {f"methods/{name}.py": content})
    monkeypatch.setattr(irmbench, "__path__", [*irmbench.__path__, str(place / "mine")])
    message = refused(*(argument.replace("NAME", name) for argument in LOAD_PLUGIN[command]))
    assert f"{name}.py: " in message
    assert said in message


CALLS = {
    "a suite that is a number": (lambda: irmbench.run(5), "unknown suite '5'"),
    "no suite": (lambda: irmbench.run(""), "unknown suite ''"),
    "seeds in words": (lambda: irmbench.run("tiny.toml", seeds="three"), "seeds"),
    "half a seed": (lambda: irmbench.run("tiny.toml", seeds=1.5), "seeds"),
    "no seeds": (lambda: irmbench.run("tiny.toml", seeds=0), "seeds"),
    "methods that are a number": (lambda: irmbench.run("tiny.toml", methods=5), "methods"),
    "methods that are numbers": (lambda: irmbench.run("tiny.toml", methods=[5]), "methods"),
    "an unknown method": (lambda: irmbench.run("tiny.toml", methods=["vrx"]), "Did you mean 'vrex'?"),
    "an unknown solver": (lambda: irmbench.run("tiny.toml", solver="newton"), "newton"),
    "values that are a number": (lambda: irmbench.run("tiny.toml", values=3), "values"),
    "an unknown device": (lambda: irmbench.run("tiny.toml", device="tpu"), "device"),
    "no workers": (lambda: irmbench.run("tiny.toml", workers=0), "workers"),
    "workers in words": (lambda: irmbench.run("tiny.toml", workers="two"), "workers"),
    "a file for a folder": (lambda: irmbench.run("tiny.toml", out="tiny.toml"), "tiny.toml"),
    "loading nothing": (lambda: irmbench.load("nothing"), "holds no run"),
    "loading a file": (lambda: irmbench.load("tiny.toml"), "holds no run"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_bad_call_from_python(place, call):
    function, said = CALLS[call]
    before = snapshot(place)
    with pytest.raises(UserError) as caught:
        function()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert snapshot(place) == before


@pytest.mark.parametrize("folder", FOLDERS)
def test_loading_a_bad_folder_is_refused_or_gives_a_frame(place, folder):
    content, _ = FOLDERS[folder]
    write(place / "DIR", content)
    before = snapshot(place)
    with suppress(UserError):
        assert "trial_id" in irmbench.load("DIR").columns
    assert snapshot(place) == before


def test_perf_records_that_cannot_be_written(refused, place, monkeypatch):
    from perf_support import measurement, training

    from irmbench.perf import penalty_times, training_times

    monkeypatch.setattr(penalty_times, "measure", lambda cases, device: [measurement(case) for case in cases])
    monkeypatch.setattr(training_times, "measure", training)
    write(place / "results", b"in the way")
    assert "cannot be written" in refused("perf", "run")


@pytest.mark.parametrize("arguments", [["run", "bad.toml"], ["perf", "rn"]], ids=" ".join)
def test_a_process_says_one_line_and_ends_with_2(tmp_path, arguments):
    (tmp_path / "bad.toml").write_bytes(BINARY)
    command = [sys.executable, "-m", "irmbench", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("irmbench: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["list"], ["--help"]], ids=" ".join)
def test_output_that_cannot_be_printed_is_told_on_one_line(tmp_path, arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "irmbench", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 2
    assert done.stderr == "irmbench: output cannot be written: No space left on device\n"


def test_a_plugin_that_crashes_when_it_is_imported_is_named(tmp_path):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "crashes.py").write_text("import ctypes\n\nctypes.string_at(0)\n")
    command = [sys.executable, "-m", "irmbench", "run", "quick", "--methods", "crashes"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IRMBENCH_PATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode < 0
    assert 'crashes.py", line 3 in <module>' in done.stderr
    assert not (tmp_path / "results").exists()
