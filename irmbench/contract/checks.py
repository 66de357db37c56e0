"""The contract suite: what every method and dataset must keep to, checked on one plugin, with readable verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from irmbench import plugins
from irmbench.contract import of_datasets, of_methods
from irmbench.contract.findings import Finding, findings
from irmbench.errors import UserError, suggest


def check(name_or_file: str) -> tuple[str, list[Finding]]:
    """Return a plugin's kind and the findings of its contract; a plugin by its id, or a file that holds one."""
    kind, cls = _load(name_or_file)
    contract = of_methods if kind == "methods" else of_datasets
    return kind, findings(cls, contract.CHECKS)


def _load(name_or_file: str) -> tuple[str, type[Any]]:
    if name_or_file.endswith(".py"):
        return plugins.load_file(Path(name_or_file))
    kinds = [kind for kind in plugins.BASES if name_or_file in plugins.discover(kind)]
    if not kinds:
        known = [name for kind in plugins.BASES for name in plugins.discover(kind)]
        raise UserError(
            f"unknown method or dataset {name_or_file!r}.{suggest(name_or_file, known)} See `irmbench list`."
        )
    if len(kinds) > 1:
        raise UserError(f"{name_or_file!r} is a method and a dataset: give the file of the one that is meant")
    return kinds[0], plugins.load(kinds[0], name_or_file)
