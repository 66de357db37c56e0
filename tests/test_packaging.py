"""The wheel's contents, and that each way of installing leaves a command that works."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = [file.relative_to(ROOT) for kind in ("methods", "datasets") for file in (ROOT / kind).glob("*.py")]


def run(*command, cwd):
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "IRMBENCH_PATH")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_environment(folder, *install):
    """Make an environment that sees this one's packages and has irmbench installed; return its ``bin``."""
    venv.create(folder, symlinks=True)
    bin_folder = folder / Path(sysconfig.get_path("scripts")).name
    site = run(
        bin_folder / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    ).strip()
    # Python reads no .pth file of a folder that it reached through one, so an editable irmbench stays out of sight.
    Path(site, "outer.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", bin_folder / "python", "install", "--no-deps"]
    run(*pip, "--no-build-isolation", "--quiet", *install, cwd=folder)
    return bin_folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def files(wheel):
    return zipfile.ZipFile(wheel).namelist()


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    return make_environment(tmp_path_factory.mktemp("installed"), wheel)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what makes the package, so that a test may add a file."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("irmbench", "methods", "datasets"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def editable(checkout, tmp_path_factory):
    return make_environment(tmp_path_factory.mktemp("editable"), "--editable", checkout)


def test_the_wheel_has_one_package_at_top_level(files):
    top = {name.split("/")[0] for name in files}
    assert {name for name in top if not name.endswith(".dist-info")} == {"irmbench"}


def test_the_wheel_holds_every_source_file(files):
    engine = {str(file.relative_to(ROOT)) for file in (ROOT / "irmbench").rglob("*.py")}
    assert engine | {f"irmbench/{file}" for file in PLUGINS} == {name for name in files if name.endswith(".py")}


def test_the_wheel_holds_what_the_report_is_made_of(files):
    assert {f"irmbench/data/report/report.{suffix}" for suffix in ("css", "html.j2", "js")} <= set(files)


def test_the_wheel_holds_every_suite(files):
    suites = {str(file.relative_to(ROOT)) for file in (ROOT / "irmbench").rglob("*.toml")}
    assert suites
    assert suites == {name for name in files if name.endswith(".toml")}


def test_the_wheel_says_that_it_is_typed_and_licensed(files):
    assert "irmbench/py.typed" in files
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in files)


def test_an_installed_wheel_runs_as_a_module_and_as_a_script(installed, tmp_path):
    as_module = run(installed / "python", "-m", "irmbench", "--help", cwd=tmp_path)
    as_script = run(installed / "irmbench", "--help", cwd=tmp_path)
    assert "list" in as_module
    assert "list" in as_script


def test_an_installed_wheel_has_every_plugin(installed, tmp_path):
    listing = run(installed / "irmbench", "list", cwd=tmp_path)
    assert all(file.stem in listing for file in PLUGINS)


def test_the_checkout_runs_at_its_root_beside_an_installed_wheel(installed):
    assert "list" in run(installed / "python", "-m", "irmbench", "--help", cwd=ROOT)
    assert origin(installed, "erm", cwd=ROOT) == ROOT / "methods" / "erm.py"


def test_an_editable_install_works_from_any_folder(editable, checkout, tmp_path):
    assert "list" in run(editable / "python", "-m", "irmbench", "--help", cwd=tmp_path)
    assert origin(editable, "erm", cwd=tmp_path) == checkout / "methods" / "erm.py"


def test_an_editable_install_sees_a_new_file(editable, checkout, tmp_path):
    new = checkout / "methods" / "brand_new.py"
    new.write_text('"""A method written after the install."""\n')
    assert origin(editable, "brand_new", cwd=tmp_path) == new
    assert "A method written after the install." in run(editable / "irmbench", "list", "methods", cwd=tmp_path)


def test_the_code_has_the_same_hash_in_a_wheel_as_in_the_checkout(installed, tmp_path):
    command = [installed / "python", "-c", "from irmbench.runs.provenance import code; print(code())"]
    assert run(*command, cwd=tmp_path) == run(*command, cwd=ROOT)


def test_a_spawned_worker_of_an_installed_wheel_imports_a_plugin(installed, tmp_path):
    script = tmp_path / "spawn.py"
    script.write_text("""
import multiprocessing
from irmbench.plugins import load

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(load, ("methods", "erm")).__module__)
""")
    assert run(installed / "python", script, cwd=tmp_path) == "irmbench.methods.erm\n"


def origin(bin_folder, method, cwd):
    code = f"from irmbench.plugins import discover; print(discover('methods')['{method}'].origin)"
    return Path(run(bin_folder / "python", "-c", code, cwd=cwd).strip())
