"""Errors meant for people: one line that says what is wrong and what to do."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

LONGEST = 900  # letters of a message


class UserError(Exception):
    """Wrong usage or input; the message is one line, printed on stderr without a traceback."""


class NeedsExamplesError(ValueError):
    """What a method asks of the environments can only be told from single examples."""


def suggest(name: str, candidates: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the candidate closest to ``name``, or nothing where none is close."""
    spelling = {candidate.lower(): candidate for candidate in candidates}
    close = get_close_matches(name.lower(), spelling, n=1)
    return f" Did you mean {spelling[close[0]]!r}?" if close else ""


@contextmanager
def writing(path: Path, what: str = "", then: str = "") -> Iterator[None]:
    """Turn an OSError into a UserError: ``path: what cannot be written: why; then``."""
    try:
        yield
    except OSError as error:
        subject, ending = f"{what} " if what else "", f"; {then}" if then else ""
        raise UserError(f"{path}: {subject}cannot be written: {error.strerror}{ending}") from error


def from_system(error: OSError) -> str:
    """Return the message of an error of the operating system; without a file it is of the output, which is given up."""
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where to the exit flushes what is left
    return f"output cannot be written: {error.strerror}"


def one_line(message: str) -> str:
    """Return a message as a line to print: what is too long is cut, what cannot be printed is escaped."""
    words = " ".join(message.split())
    shown = words if len(words) <= LONGEST else f"{words[: LONGEST // 2]} [...] {words[-LONGEST // 3 :]}"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in shown)


def plain_words(message: str) -> str:
    """Return one line of an error's message; of PyTorch's on vmap and grad, what the author of a plugin is to do."""
    if "grad_and_value(f)(*args): Expected" in message:
        return "objective must return one number, of shape []; is a .mean() or .sum() missing?"
    if "vmap: It looks like" in message:  # its own words ask the reader to file an issue with PyTorch
        return "no `if` on a float hyper-parameter or a tensor, and no .item(): they are batched; use torch.where"
    return " ".join(message.split())[:300]
