"""Errors meant for people: one line that says what is wrong and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Wrong usage or input; the message is one line, printed on stderr without a traceback."""


def suggest(name: str, candidates: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the candidate closest to ``name``, or nothing where none is close."""
    spelling = {candidate.lower(): candidate for candidate in candidates}
    close = get_close_matches(name.lower(), spelling, n=1)
    return f" Did you mean {spelling[close[0]]!r}?" if close else ""
