"""Why a trial has no result, in a line."""

from __future__ import annotations

import re

from irmbench.errors import plain_words
from irmbench.runs.store import Record


def reason(record: Record) -> str:
    """Return in one line why a trial has no result, and where in its plugin's file it failed."""
    error = record["error"].strip()
    message = error.splitlines()[-1].partition(", at [")[0][:200]
    places = re.findall(rf'File "([^"]*(?:{record["method"]}|{record["dataset"]})\.py)", line (\d+)', error)
    where = f" ({places[-1][0]}:{places[-1][1]})" if places else ""
    words = plain_words(error if "vmap: It looks like" in error else message)
    return f"{record['status'].replace('_', ' ')}: {record['method']}: {words}{where}"
