"""The ATen operators that the penalty is expected to call: a count without noise, compared exactly.

`data/operator_counts.json` holds them by device, case and operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from irmbench.errors import writing

Counts = dict[str, dict[str, int]]  # by case and operator

EXPECTED = Path(__file__).parents[1] / "data" / "operator_counts.json"


def expected(device: str) -> Counts:
    """Return what is expected on a device, nothing where nobody has counted yet."""
    return _read().get(device, {})


def differences(counted: Mapping[str, Mapping[str, int]], device: str) -> list[str]:
    """Return a line for every case that calls other operators than expected; cases nobody has counted have none."""
    wanted = expected(device)
    return [
        f"operators of {case}: {sum(wanted[case].values())} expected, {sum(found.values())} counted"
        f" ({', '.join(_changes(wanted[case], found))})"
        for case, found in counted.items()
        if case in wanted and found != wanted[case]
    ]


def update(counted: Counts, device: str) -> None:
    """Make what was counted on a device what is expected there."""
    content = msgspec.json.format(msgspec.json.encode({**_read(), device: counted}), indent=1) + b"\n"
    with writing(EXPECTED):
        EXPECTED.write_bytes(content)


def _read() -> dict[str, Counts]:
    return msgspec.json.decode(EXPECTED.read_bytes(), type=dict[str, Counts])


def _changes(wanted: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    names = sorted({*wanted, *found})
    return [f"{n} {wanted.get(n, 0)} to {found.get(n, 0)}" for n in names if wanted.get(n, 0) != found.get(n, 0)]
