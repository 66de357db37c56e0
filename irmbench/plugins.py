"""Find methods and datasets by name without importing them; import one when it is asked for.

A plugin is a module ``methods/x.py`` or ``datasets/x.py`` with one public subclass of ``Method`` or ``Dataset``. Its id
is the file's name. It lies in a folder of ``irmbench.__path__`` (bundled, or from ``IRMBENCH_PATH``) or belongs to an
installed distribution that names it as an entry point of the group ``irmbench.methods`` or ``irmbench.datasets``.
"""

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import irmbench
from irmbench.errors import UserError, suggest

BASES = {"methods": "Method", "datasets": "Dataset"}


@dataclass(frozen=True)
class Plugin:
    """Where a plugin is; nothing of it has been imported."""

    id: str
    kind: str  # "methods" or "datasets"
    origin: str  # the file's path, or the entry point as its distribution declares it
    target: str  # what to import: "package.module", or "package.module:Class"
    file: Path | None  # None where an entry point's file cannot be found without importing its package

    @property
    def bundled(self) -> bool:
        """Whether it comes with the package."""
        package = Path(irmbench.__file__).resolve().parent
        return self.file is not None and self.file.parent in (package / self.kind, package.parent / self.kind)

    @property
    def digest(self) -> str:
        """A hash of the file: a result of other code is not a result of this."""
        return hashlib.blake2b(self.file.read_bytes(), digest_size=6).hexdigest() if self.file else ""

    @property
    def summary(self) -> str:
        """The first line of the module's docstring, read without importing it."""
        if self.file is None:
            return ""
        try:
            docstring = ast.get_docstring(ast.parse(self.file.read_bytes()))
        except (SyntaxError, ValueError) as error:
            return f"(cannot be parsed: {error})"
        return (docstring or "").partition("\n")[0]


def suites() -> dict[str, Path]:
    """Return the suites that come with the package, by name."""
    return {path.stem: path for path in sorted(Path(irmbench.__file__).with_name("suites").glob("*.toml"))}


def discover(kind: str) -> dict[str, Plugin]:
    """Return every plugin of a kind by its id, in alphabetical order; two of one name are an error."""
    found: dict[str, Plugin] = {}
    for plugin in [*_in_folders(kind), *_in_entry_points(kind)]:
        if not plugin.id.isidentifier():
            raise UserError(f"{plugin.origin}: {plugin.id!r} is no Python identifier, so it cannot name a plugin")
        other = found.setdefault(plugin.id, plugin)
        if other is not plugin:
            raise UserError(f"two {kind} are named {plugin.id!r}: {other.origin} and {plugin.origin}; rename one")
    return dict(sorted(found.items()))


def load(kind: str, name: str) -> type[Any]:
    """Import a plugin and return its class."""
    plugins = discover(kind)
    if name not in plugins:
        near = suggest(name, plugins) or " A folder with plugins of your own is named by IRMBENCH_PATH."
        raise UserError(f"unknown {kind[:-1]} {name!r}.{near} See `irmbench list {kind}`.")
    return _only_class(plugins[name], _import(plugins[name]))


def load_file(file: Path) -> tuple[str, type[Any]]:
    """Import a plugin from a file that need not be in a plugin folder; return its kind and its class."""
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    name = f"irmbench_checked_{file.stem}"
    specification = importlib.util.spec_from_file_location(name, file)
    assert specification is not None  # of a file that ends in .py
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # where dataclasses look for their module
    plugin = Plugin(file.stem, "methods", str(file), name, file)
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a plugin's module may raise anything
        raise UserError(f"{file}: cannot be imported: {_cause(error, plugin)}") from error
    held = {kind: classes for kind in BASES if (classes := _classes(replace(plugin, kind=kind), module))}
    if len(held) != 1:
        raise UserError(f"{file}: needs one public subclass of interface.Method or of interface.Dataset")
    (kind,) = held
    return kind, _only_class(replace(plugin, kind=kind), module)


def users_roots() -> list[str]:
    """Return the folders of a user's own that hold plugin folders."""
    package = Path(irmbench.__file__).resolve().parent
    return [str(root) for root in _roots() if root not in (package, package.parent)]


def source_file(cls: type[Any]) -> str | None:
    """Return the file that a class was defined in."""
    return getattr(sys.modules.get(cls.__module__), "__file__", None)


def _in_folders(kind: str) -> Iterator[Plugin]:
    for root in _roots():
        folder = root / kind
        package = folder / "__init__.py"
        if package.exists():
            raise UserError(f"{package}: remove it; a plugin folder that is a package hides all other plugins")
        for file in sorted(folder.glob("[!_.]*.py")):
            yield Plugin(file.stem, kind, str(file), f"irmbench.{kind}.{file.stem}", file)


def _roots() -> list[Path]:
    """Return the folders that hold plugin folders, each once however often the path names it."""
    package, *others = dict.fromkeys(Path(root).resolve() for root in irmbench.__path__)
    for root in others:
        if not any((root / kind).is_dir() for kind in BASES):
            raise UserError(f"IRMBENCH_PATH: {root} holds neither a methods/ nor a datasets/ folder")
    return [package, *others]


def _in_entry_points(kind: str) -> Iterator[Plugin]:
    for point in _entry_points(kind, tuple((root, _changed(root)) for root in sys.path)):
        origin = f"entry point {point.name} = {point.value}"
        if point.module.rpartition(".")[2] != point.name:
            raise UserError(f"{origin}: a plugin's id is its file's name, so the entry point must have that name too")
        yield Plugin(point.name, kind, origin, point.value, _module_file(point.module))


@lru_cache(len(BASES))
def _entry_points(kind: str, folders: tuple[tuple[str, int], ...]) -> list[metadata.EntryPoint]:
    """Return the entry points of folders, anew where a package came or went: it takes reading a file of each."""
    return list(metadata.entry_points(group=f"irmbench.{kind}"))


def _changed(folder: str) -> int:
    """Return when the list of a folder's files last changed, in nanoseconds."""
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


def _module_file(module: str) -> Path | None:
    """Return the file of a module by looking along ``sys.path``: ``find_spec`` would import its parent package."""
    stem = Path(*module.split("."))
    files = (Path(root) / tail for root in sys.path for tail in (stem.with_suffix(".py"), stem / "__init__.py"))
    return next((file for file in files if file.is_file()), None)


def _import(plugin: Plugin) -> ModuleType:
    importlib.invalidate_caches()  # the file may be younger than the import system's view of its folder
    try:
        return importlib.import_module(plugin.target.partition(":")[0])
    except (Exception, SystemExit) as error:  # a plugin's module may raise anything
        raise UserError(f"{plugin.origin}: cannot be imported: {_cause(error, plugin)}") from error


def _cause(error: BaseException, plugin: Plugin) -> str:
    """Describe an error in one line, with the line of the plugin's own file that led to it."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(plugin.file)]
    message = f"{type(error).__name__}: {error}".partition("\n")[0]
    return message + (f" (line {lines[-1]})" if lines else "")


def _only_class(plugin: Plugin, module: ModuleType) -> type[Any]:
    """Return the class an entry point names, or the one public class of the plugin's kind that the module defines."""
    classes = _classes(plugin, module)
    if len(classes) != 1:
        names = ", ".join(sorted(value.__name__ for value in classes)) or "none"
        raise UserError(f"{plugin.origin}: needs one public subclass of interface.{BASES[plugin.kind]}, has {names}")
    return classes[0]


def _classes(plugin: Plugin, module: ModuleType) -> list[type[Any]]:
    from irmbench import interface

    base = getattr(interface, BASES[plugin.kind])
    attribute = plugin.target.partition(":")[2]
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    named = [public.get(attribute)] if attribute else [v for v in public.values() if _defined_in(module, v)]
    return [value for value in named if inspect.isclass(value) and issubclass(value, base)]


def _defined_in(module: ModuleType, value: object) -> bool:
    return getattr(value, "__module__", None) == module.__name__
