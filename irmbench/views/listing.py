"""What ``list`` prints: plugins and suites by name, and all that they say of themselves."""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
import tomllib
from typing import Any, get_type_hints

from irmbench import plugins
from irmbench.errors import UserError, suggest

Entry = dict[str, Any]
KINDS = ("methods", "datasets", "suites")


def summaries(kind: str) -> str:
    """Return a line each for all plugins or suites of a kind; imports none of them."""
    rows = [(e["id"], e["summary"]) for e in _brief(kind)]
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join([f"{kind}:", *(f"  {name:{width}}  {summary}" for name, summary in rows)])


def details(what: str) -> list[Entry]:
    """Return all about one plugin or suite, about all of a kind, or about everything."""
    if what in KINDS:
        return [_detail(what, entry) for entry in _brief(what)]
    everything = [(kind, entry) for kind in KINDS for entry in _brief(kind)]
    found = [_detail(kind, entry) for kind, entry in everything if what in ("", entry["id"])]
    if not found:
        names = [*KINDS, *(entry["id"] for _, entry in everything)]
        raise UserError(f"nothing is named {what!r}.{suggest(what, names)} See `irmbench list`.")
    return found


def describe(entries: list[Entry]) -> str:
    """Return entries as text for people."""
    return "\n\n".join("\n".join(_lines(entry)) for entry in entries)


def _brief(kind: str) -> list[Entry]:
    if kind == "suites":
        tables = {name: tomllib.loads(path.read_text(encoding="utf-8")) for name, path in plugins.suites().items()}
        return [{"id": name, "kind": "suite", "summary": t.get("description", "")} for name, t in tables.items()]
    return [
        {"id": p.id, "kind": kind[:-1], "summary": p.summary, "origin": p.origin}
        for p in plugins.discover(kind).values()
    ]


def _detail(kind: str, entry: Entry) -> Entry:
    if kind == "suites":
        return entry | {"definition": plugins.suites()[entry["id"]].read_text(encoding="utf-8")}
    cls = plugins.load(kind, entry["id"])
    about = {"paper": cls.paper, "definition": inspect.getdoc(cls) or "", "parameters": _parameters(cls)}
    if kind == "methods":
        levels = [level for level in ("fit", "direction", "objective") if cls().defines(level)]
        more = {
            "family": cls.family,
            "assumptions": dataclasses.asdict(cls.tolerates),
            "levels": levels,
            "limit": dict(cls.limit),
            "min_environments": cls.min_environments,
            "official": dataclasses.asdict(cls.official),
        }
        return entry | about | more
    more = {"loss": cls.loss, "intercept": cls.intercept, "assumptions": dataclasses.asdict(cls().setting)}
    return entry | about | more


def _parameters(cls: type[Any]) -> list[Entry]:
    hints = get_type_hints(cls)
    return [
        {
            "name": f.name,
            "type": getattr(hints[f.name], "__name__", None)
            if isinstance(hints[f.name], type)
            else _choices(hints[f.name]),
            "default": f.default,
            "help": f.metadata.get("help", ""),
            "search": str(f.metadata["search"]) if f.metadata.get("search") else None,
            "low": f.metadata.get("low"),
            "high": f.metadata.get("high"),
        }
        for f in dataclasses.fields(cls)
    ]


def _choices(hint: Any) -> str:
    return " | ".join(getattr(value, "__name__", str(value)) for value in getattr(hint, "__args__", (hint,)))


def _lines(entry: Entry) -> list[str]:
    lines = [f"{entry['id']}  ({entry['kind']}) {entry['summary']}"]
    for key in ("definition", "paper", "family", "loss", "min_environments"):
        if entry.get(key):
            text = str(entry[key])
            lines += textwrap.indent(
                text if key == "definition" else f"{key.replace('_', ' ')}: {text}", "  "
            ).splitlines()
    if "assumptions" in entry:
        lines.append("  assumptions: " + ", ".join(f"{k} {_word(v)}" for k, v in entry["assumptions"].items()))
    if entry.get("limit"):
        lines.append("  limit (for identify): " + ", ".join(f"{k} = {_word(v)}" for k, v in entry["limit"].items()))
    for p in entry.get("parameters", []):
        search = f", search {p['search']}" if p["search"] else ""
        lines.append(f"  {p['name']}: {p['type']} = {p['default']}{_bounds(p)}{search}  {p['help']}")
    return lines


def _bounds(parameter: Entry) -> str:
    """Return in words which values a parameter may have."""
    low, high = parameter["low"], parameter["high"]
    if high is None:
        return "" if low is None else f", at least {low:g}"
    return f", {low:g} to {high:g}" if low is not None else f", at most {high:g}"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return ("no", "yes")[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
