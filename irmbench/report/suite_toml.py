"""A suite as TOML text: what was run, with every change made on the command line, as a file that runs it again."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from irmbench.suite import Experiment, Selection, Suite, Timing

WIDTH = 100
BARE = re.compile(r"[A-Za-z0-9_-]+")  # keys that need no quotes
CONTROL = "\x7f"  # the one character that JSON leaves and TOML forbids


def to_toml(suite: Suite) -> str:
    """Return the text of which ``suite.parse`` makes the same suite; values that are the defaults are left out."""
    lines = _lines(suite, ("experiments", "timing", "selection"))
    if suite.timing is not None:
        lines += ["", "[timing]", *_lines(suite.timing)]
    if selection := _lines(suite.selection):
        lines += ["", "[selection]", *selection]
    for experiment in suite.experiments:
        lines += ["", "[[experiments]]", *_lines(experiment)]
    return "\n".join(lines) + "\n"


def _lines(of: Suite | Experiment | Timing | Selection, apart: tuple[str, ...] = ()) -> list[str]:
    table = msgspec.to_builtins(of)
    defaults = {field.name: _default(field) for field in msgspec.structs.fields(of)}
    told = {key: value for key, value in table.items() if key not in apart and value != defaults[key]}
    return [f"{_key(key)} = {_value(value, WIDTH)}" for key, value in told.items()]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    made = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    return msgspec.to_builtins(made) if made is not msgspec.NODEFAULT else made


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else _value(key)


def _value(value: Any, width: float = float("inf")) -> str:
    """Return a value on one line, or of a list that is wider an item on each."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace(CONTROL, "\\u007f")
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, list | tuple):
        items = [*map(_value, value)]
        line = f"[{', '.join(items)}]"
        return line if len(line) < width else "[\n" + "".join(f"    {item},\n" for item in items) + "]"
    return repr(value)
