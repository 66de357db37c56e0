"""What checks of a plugin find: a verdict each, and what was seen, in a line."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from irmbench import plugins
from irmbench.errors import plain_words

Check = Callable[[Any], str]  # takes the subject, returns what was seen; raises Broken or NotChecked
Verdict = Literal["ok", "broken", "not checked"]


class BrokenError(Exception):
    """The plugin does not keep to the contract; the message is one line that says how."""


class NotCheckedError(Exception):
    """The check says nothing about this plugin; the message is the reason."""


@dataclass(frozen=True)
class Finding:
    """One check's verdict, and what it saw."""

    check: str
    verdict: Verdict
    detail: str


def findings(cls: type[Any], checks: Iterable[Check]) -> list[Finding]:
    """Return the finding of every check; where the defaults cannot be built, no other check can be made."""
    try:
        subject = cls()
    except Exception as error:
        return [Finding("defaults", "broken", f"cannot be built without arguments: {_one_line(error)}")]
    return [_finding(one, subject) for one in checks]


def require(condition: bool, otherwise: str) -> None:
    """Raise BrokenError with this message unless the condition holds."""
    if not condition:
        raise BrokenError(otherwise)


def _finding(one: Check, subject: Any) -> Finding:
    name = one.__name__.replace("_", " ")
    try:
        return Finding(name, "ok", one(subject))
    except NotCheckedError as reason:
        return Finding(name, "not checked", str(reason))
    except BrokenError as broken:
        return Finding(name, "broken", str(broken))
    except Exception as error:  # a plugin may raise anything
        return Finding(name, "broken", f"raised {_one_line(error)}{_where(error, subject)}")


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {plain_words(str(error))}"


def _where(error: Exception, subject: Any) -> str:
    """Return the line of the plugin's own file that led to an error."""
    module = plugins.source_file(type(subject))
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if module and f.filename == module]
    return f" ({Path(module or '').name}, line {lines[-1]})" if lines else ""
