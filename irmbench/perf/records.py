"""What measurements leave: `results/perf/<fingerprint>/NNNN_<commit>.json`, which pytest-benchmark reads too.

A benchmark of a record is an arm of a case, its raw samples in `stats.data`: `[processes, pairs]` in rows. The arm
`fast` carries in `extra_info` what was made of them: ratios with their intervals, verdict, counters. Beside the
benchmarks, `training` is what was measured of the training step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from pytest_benchmark import stats as benchmark_stats

import irmbench
from irmbench.errors import UserError, writing
from irmbench.perf import regressions
from irmbench.perf.fingerprint import fingerprint
from irmbench.perf.penalty_times import Decision, Measurement, NothingComparableError, case_id, label
from irmbench.perf.regressions import Ratio, Verdict
from irmbench.perf.timing import Case
from irmbench.perf.training_times import Training
from irmbench.runs import provenance

ROOT = Path("results/perf")
TEST = "tests/benchmarks/test_penalty_benchmark.py::"  # whose cases these are
ARMS = ("fast", "reference", "bound", "base", "same")


@dataclass(frozen=True)
class Record:
    """A record as it is stored."""

    path: Path
    content: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """The short hash of the machine that measured."""
        return str(self.content["machine_info"]["fingerprint"])

    @property
    def name(self) -> str:
        """The record's number and commit."""
        return self.path.stem

    @cached_property
    def infos(self) -> dict[str, dict[str, Any]]:
        """What is said of each case, by its id: the extra_info of its arm `fast`."""
        infos = [b["extra_info"] for b in self.content["benchmarks"] if b["params"]["arm"] == "fast"]
        return {case_id(Case(**info["case"])): info for info in infos}

    @cached_property
    def measurements(self) -> dict[str, Measurement]:
        """The measurement of each case, by its id."""
        data = {b["name"]: b["stats"]["data"] for b in self.content["benchmarks"]}
        found = {}
        for name, info in self.infos.items():
            shape = info["processes"], info["pairs"]
            arms = {arm: _name(name, arm) for arm in ARMS if _name(name, arm) in data}
            seconds = {arm: np.array(data[of]).reshape(shape) for arm, of in arms.items()}
            found[name] = Measurement(Case(**info["case"]), seconds, info["operators"], info["peak_bytes"])
        return found

    @cached_property
    def training(self) -> Training | None:
        """The times of the training step, where they were measured."""
        return msgspec.convert(self.content.get("training"), Training | None)


@dataclass(frozen=True)
class Comparison:
    """The verdict on one case of two records."""

    case: Case
    ratio: Ratio
    tolerance: float
    verdict: Verdict


def save(
    measured: Sequence[Measurement] | Sequence[Decision],
    device: str,
    base: str | None = None,
    training: Training | None = None,
) -> Record:
    """Store a record of measurements, or of the decisions of a check against the commit ``base``."""
    machine = fingerprint(device)
    content: dict[str, Any] = {
        "machine_info": machine,
        "commit_info": _commit_info(),
        "benchmarks": [benchmark for found in measured for benchmark in _benchmarks(found, device, base)],
        "datetime": datetime.now(UTC).isoformat(),
        "version": irmbench.__version__,
    }
    if training:
        content["training"] = msgspec.to_builtins(training)
    folder = ROOT / machine["fingerprint"]
    with writing(folder, "the record"):
        folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(path.name[:4]) for path in _paths(folder.name)), default=0)
        path = folder / f"{number:04}_{_short(content['commit_info'])}.json"
        path.write_bytes(msgspec.json.encode(content) + b"\n")
    return Record(path, content)


def load(path: Path) -> Record:
    """Return the record in a file."""
    try:
        record = Record(path, msgspec.json.decode(path.read_bytes()))
        record.fingerprint, record.measurements, record.training  # noqa: B018 - to refuse what is no record
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is no record of `irmbench perf`") from error
    return record


def load_all() -> list[Record]:
    """Return all records, those of a machine together in their order; NothingComparableError if there are none."""
    if not (paths := _paths()):
        raise NothingComparableError(f"nothing comparable: {ROOT} holds no record yet, `perf run` makes one")
    return [load(path) for path in paths]


def find(text: str) -> Record:
    """Return the record that a path names, or the start of its `NNNN_<commit>`, of its commit, or of its folder's."""
    if Path(text).is_file():
        return load(Path(text))
    matching = [
        p for p in _paths() if any(s.startswith(text) for s in (p.stem, p.stem[5:], f"{p.parent.name}/{p.stem}"))
    ]
    if len(matching) != 1:
        several = f"several records match, name one by its path: {', '.join(map(str, matching))}"
        raise UserError(f"{text}: {several if matching else f'no such record; those in {ROOT} are in `perf history`'}")
    return load(matching[0])


def compare(base: Record, head: Record) -> list[Comparison]:
    """Return the verdict on each case that both records hold, by their ratios to the reference; nothing is run again.

    Raises NothingComparableError for records of different machines, or without a case in common.
    """
    if base.fingerprint != head.fingerprint:
        raise NothingComparableError(
            f"not comparable: {base.path} and {head.path} were measured on different machines "
            f"({base.fingerprint} and {head.fingerprint})"
        )
    common = [name for name in head.infos if name in base.infos]
    if not common:
        raise NothingComparableError(f"not comparable: {base.path} and {head.path} have no case in common")
    return [_comparison(name, base, head) for name in common]


def _comparison(name: str, base: Record, head: Record) -> Comparison:
    later, earlier = (
        regressions.paired_logs(seconds["fast"], seconds["reference"])
        for seconds in (record.measurements[name].seconds for record in (head, base))
    )
    ratio = regressions.ratio_between(later, earlier)
    floors = [record.infos[name]["tolerance"] or 0.0 for record in (head, base)]
    delta = max(regressions.SMALLEST, *floors)
    return Comparison(head.measurements[name].case, ratio, delta, regressions.judge(ratio, delta))


def _paths(folder: str = "*") -> list[Path]:
    return sorted(ROOT.glob(f"{folder}/[0-9][0-9][0-9][0-9]_*.json"))


def _name(case: str, arm: str) -> str:
    return f"test_penalty[{case}-{arm}]"


def _benchmarks(found: Measurement | Decision, device: str, base: str | None) -> list[dict[str, Any]]:
    """Return a benchmark an arm, as pytest-benchmark stores them."""
    measured = found.measurement if isinstance(found, Decision) else found
    benchmarks = []
    for arm, seconds in measured.seconds.items():
        name = _name(case_id(measured.case), arm)
        summary = benchmark_stats.Stats()  # type: ignore[no-untyped-call]
        summary.data = [float(f"{value:.5g}") for value in seconds.flat]
        benchmarks.append(
            {
                "group": label(measured.case),
                "name": name,
                "fullname": TEST + name,
                "params": {"case": case_id(measured.case), "arm": arm},
                "param": f"{case_id(measured.case)}-{arm}",
                "extra_info": _extra_info(found, measured, base) if arm == "fast" else {},
                "options": {"timer": "CUDA events" if device == "cuda" else "perf_counter less time queued for a core"},
                "stats": summary.as_dict() | {"data": summary.data, "iterations": 1},  # type: ignore[no-untyped-call]
            }
        )
    return benchmarks


def _extra_info(found: Measurement | Decision, measured: Measurement, base: str | None) -> dict[str, Any]:
    decided = found if isinstance(found, Decision) else None
    processes, pairs = measured.seconds["fast"].shape
    return {
        "case": asdict(measured.case),
        "processes": processes,
        "pairs": pairs,
        "reference_over_fast": measured.ratio("reference", "fast")._asdict(),
        "fast_over_bound": measured.ratio("fast", "bound")._asdict(),
        "operators": measured.operators,
        "peak_bytes": measured.peak_bytes,
        "base": base,
        "fast_over_base": decided.ratio._asdict() if decided else None,
        "tolerance": decided.tolerance if decided else None,
        "verdict": decided.verdict if decided else None,
    }


def _commit_info() -> dict[str, Any]:
    """Return the commit measured, "+" meaning that the checkout had changes; outside a checkout there is none."""
    commit = provenance.stamp()["commit"] or ""
    return {"id": commit.rstrip("+") or None, "dirty": commit.endswith("+"), "project": "irmbench"}


def _short(commit: dict[str, Any]) -> str:
    return f"{commit['id'][:12]}{'+' if commit['dirty'] else ''}" if commit["id"] else f"v{irmbench.__version__}"
