"""What folders of runs hold: a row a trial, and what is to be said of how the rows came about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import pandas as pd

from irmbench.errors import UserError
from irmbench.runs.agreement import disagreeing
from irmbench.runs.columns import no_collection
from irmbench.runs.plan import planned_ids, run_of
from irmbench.runs.reading import records
from irmbench.runs.store import UNKNOWN, Store

NAMED = 3  # trials that a sentence names
NEEDED = [  # of a record: what tables tell trials apart by
    *("dataset", "dataset_params", "dataset_label", "data_seed", "assumption_class", "method", "method_params"),
    *("method_label", "family", "draw", "solver", "solver_params", "solved_by"),
]


@dataclass(frozen=True)
class Contents:
    """The trials of one or several runs.

    Attributes:
        frame: a row a trial, of its last record; in the order of the plan, or of their end where there is none.
        nondeterminism: in one sentence, which trials have results that differ though the same code made them, or "".
        notes: other sentences about the records.

    """

    frame: pd.DataFrame
    nondeterminism: str
    notes: list[str]

    @property
    def problems(self) -> list[str]:
        """All that is to be said."""
        return [self.nondeterminism, *self.notes] if self.nondeterminism else self.notes


def contents(*folders: Path) -> Contents:
    """Return the trials that the last runs of folders asked for, and all that was copied into a folder since.

    A folder that does not say what was asked for has all its trials asked for. Raises UserError where a folder holds no
    run, or records that only a newer version can read.
    """
    with no_collection():
        return _contents([_asked_for(folder) for folder in folders])


def _contents(found: list[tuple[pd.DataFrame, str]]) -> Contents:
    rows = found[0][0] if len(found) == 1 else pd.concat([rows for rows, _ in found], ignore_index=True)
    notes = [damaged for _, damaged in found if damaged]
    if rows.empty:
        return Contents(rows, "", notes)
    repeated = rows[rows["trial_id"].duplicated(keep=False)]
    earlier = repeated.sort_values("finished", kind="stable")["trial_id"].duplicated(keep="last")
    frame = rows.drop(earlier.index[earlier]).reset_index(drop=True) if len(repeated) else rows
    return Contents(frame, _nondeterminism(disagreeing(repeated)), [*notes, *_mixture(frame)])


def trials_of(folder: Path) -> Contents:
    """Return the trials of a folder's last run; raises UserError also where there are none yet."""
    found = contents(folder)
    if found.frame.empty:
        raise UserError("; ".join([f"{folder}: the run has no records yet", *found.problems]))
    return found


def _asked_for(folder: Path) -> tuple[pd.DataFrame, str]:
    """Return a row a record of the trials that were asked for, in their order, and what is damaged."""
    found = records(Store(folder).shards())
    frame, planned = found.frame, planned_ids(folder)
    if frame.empty:
        return frame, _damaged(folder, str(found.damage), 0)
    lacking = frame.reindex(columns=NEEDED).isna().any(axis=1).to_numpy()
    damaged = _damaged(folder, str(found.damage), lacking.sum())
    if planned is None:
        return frame[~lacking].reset_index(drop=True) if lacking.any() else frame, damaged
    place = np.fromiter(map(planned.get, frame["trial_id"], repeat(len(planned))), np.int64, len(frame))
    order = np.argsort(place, kind="stable")
    kept = ((place < len(planned)) | found.are_from(_copied_in(folder))) & ~lacking
    return frame.take(order[kept[order]]).reset_index(drop=True), damaged


def _damaged(folder: Path, lines: str, lacking: int) -> str:
    """Say what of a folder's records is passed over."""
    without = f"records that lack what `irmbench run` records, passed over: {lacking:,}" if lacking else ""
    said = "; ".join(filter(None, [lines, without]))
    return f"{folder}: {said}" if said else ""


def _copied_in(folder: Path) -> Callable[[str], bool]:
    """Return what tells whether a shard came into a folder after its last run started, and not by that run."""
    run = run_of(folder)
    if "run" not in run:
        return lambda shard: False
    earlier, own = set(run["earlier_shards"]), f"{run['run']}-"
    return lambda shard: shard not in earlier and not shard.startswith(own)


def _nondeterminism(differing: list[str]) -> str:
    if not differing:
        return ""
    named = ", ".join(differing[:NAMED]) + (", ..." if len(differing) > NAMED else "")
    return f"nondeterminism: the same code gave {len(differing):,} trials results that differ: {named}"


def _mixture(frame: pd.DataFrame) -> list[str]:
    """Say in one line by how many versions of the engine's code the records were made, where there are several."""
    stamps = frame["made_by"].tolist() if "made_by" in frame else []
    objects = {id(stamp): stamp for stamp in stamps}  # few: equal stamps that one process read are one object
    made = Counter[str]()
    for key, count in Counter(map(id, stamps)).items():
        stamp = objects[key]
        made[stamp.get("code", UNKNOWN) if isinstance(stamp, dict) else UNKNOWN] += count
    by = ", ".join(f"{count:,} by {code}" for code, count in made.most_common())
    return [f"made by {len(made)} versions of irmbench's code: {by}"] if len(made) > 1 else []
