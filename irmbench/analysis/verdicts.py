"""What a run shows, in sentences: which method recovers the causal coefficients, where it fails, and whose fault it is.

``DEFINITION`` says what the sentences mean.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from irmbench import plugins
from irmbench.analysis.decomposition import SOLVERS, decompose
from irmbench.analysis.tables import as_given, n_words

CLOSE = 0.1  # of the length of the causal coefficients; zero coefficients are 1 away
EVIDENCE = dict(
    zip(SOLVERS, ("on exact moments", "at its optimum on samples", "with the official solver"), strict=True)
)
LONGEST = 40  # letters of a name at the head of a docstring; what is longer is a sentence
WORDS = {
    "Y-noise constant": "Y's noise is constant",
    "Y-noise varies": "Y's noise varies",
    "confounded": "a confounder is hidden",
    "classification": "targets are classes",
    "anti-causal": "inputs are effects",
    "not linear": "no linear predictor will do",
}
DEFINITION = (
    "A method recovers the causal coefficients b* in a class of assumptions if on every dataset of the class the "
    f"median over data seeds of ‖b − b*‖ / ‖b*‖ is at most {CLOSE:g}; a failed trial counts as a miss. It is judged on "
    "exact moments where the run has them, else at its optimum on samples, else with the official solver; with the "
    "suite's hyper-parameters, not selected ones. (c, o) tells where it goes on the dataset that it misses by most: c "
    "of the causal coefficients and o on other inputs, means over inputs and medians over data seeds; (1, 0) would be "
    "right. "
    "A miss with the official solver is the fault of the largest of its three parts: objective, sample, optimiser."
)


def verdicts(frame: pd.DataFrame) -> list[str]:
    """Return a sentence for each method of trials as ``irmbench.load`` returns them, the best first, oracles aside.

    Before them, where there are several methods, how many recover the causal coefficients everywhere. Empty where no
    trial has coefficients to compare.
    """
    given = as_given(frame)
    trials = _comparable(given)
    if not len(trials):
        return []
    names, faults = _names(trials), _faults(decompose(given))
    judged = [_judge(names[str(label)], of, faults) for label, of in trials.groupby("method_label", sort=False)]
    judged.sort(key=lambda of: (-of.share, -len(of.classes), sum(one.distance for one in of.classes), of.name))
    return [*_headline(judged), *map(_sentence, judged)]


@dataclass(frozen=True)
class _Class:
    """A class of assumptions: the largest of its datasets' median distances, where that goes, and whose fault it is."""

    name: str
    distance: float
    place: str
    fault: str

    @property
    def recovered(self) -> bool:
        return self.distance <= CLOSE


@dataclass(frozen=True)
class _Verdict:
    """A method's classes under the solver that it is judged by, and the official one where that is another."""

    name: str
    solver: str
    n: str
    classes: list[_Class]
    official: list[_Class]

    @property
    def share(self) -> float:
        return sum(of.recovered for of in self.classes) / len(self.classes)


def _comparable(given: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of methods to judge, failed ones infinitely far away."""
    if "distance" not in given:
        return given[:0]
    failed = given["status"] == "failed"
    distance = given["distance"].mask(failed, np.inf)
    linear = given.groupby("dataset_label")["distance"].transform("count") > 0  # a network has no coefficients
    return given.assign(distance=distance)[linear & distance.notna() & (given["family"] != "oracle")]


def _names(trials: pd.DataFrame) -> dict[str, str]:
    """Return what sentences call each method, by its label: its experiment's name, or what its docstring begins with.

    A name that would stand for several is not used.
    """
    by_label = {str(label): of for label, of in trials.groupby("method_label", sort=False)}
    names = {label: set(of["name"]) if "name" in of else {""} for label, of in by_label.items()}
    named = {label: of.pop() for label, of in names.items() if len(of) == 1}
    times = Counter(named.values())
    own = {label: name for label, name in named.items() if name and times[name] == 1}
    return {label: own.get(label) or _display(str(of["method"].iloc[0]), label) for label, of in by_label.items()}


def _display(method: str, label: str) -> str:
    """Return what a method's docstring begins with, up to a colon, if that is short, and its hyper-parameters."""
    known = plugins.discover("methods")
    head, colon, _ = known[method].summary.partition(":") if method in known else ("", "", "")
    shown = head if colon and len(head) <= LONGEST else method
    params = label.removeprefix(method).strip()
    return f"{shown} ({params.replace(' ', ', ')})" if params else shown


def _faults(parts: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return the largest part of every method's distance on every dataset, as a table of ``decompose`` has them."""
    rows = parts.sort_values("value").to_dict("records")
    return {(row["method_label"], row["dataset_label"]): row["part"] for row in rows}


def _judge(name: str, trials: pd.DataFrame, faults: dict[tuple[str, str], str]) -> _Verdict:
    solver = next(solver for solver in SOLVERS if (trials["solver"] == solver).any())
    of_solver, official = trials[trials["solver"] == solver], trials[trials["solver"] == "official"]
    n = n_words(of_solver.groupby("dataset_label")["data_seed"].nunique())
    other = official if solver != "official" else official[:0]
    return _Verdict(name, solver, n, _classes(of_solver, faults), _classes(other, faults))


def _classes(trials: pd.DataFrame, faults: dict[tuple[str, str], str]) -> list[_Class]:
    found = []
    for name, of in trials.groupby("assumption_class"):
        medians = of.groupby("dataset_label")["distance"].median().sort_values(ascending=False)
        label = of["method_label"].iloc[0]
        decomposed = [faults[label, dataset] for dataset in medians.index if (label, dataset) in faults]
        worst = of[of["dataset_label"] == medians.index[0]]
        found.append(_Class(str(name), float(medians.iloc[0]), _place(worst), next(iter(decomposed), "")))
    return found


def _place(trials: pd.DataFrame) -> str:
    """Return where a method goes: ``(c, o)``, or of distances that forgive a factor how large they are."""
    ok = trials[trials["status"] == "ok"]
    if 2 * len(ok) <= len(trials):
        return "without a result"
    found, truth, causal = (np.array(ok[name].tolist()) for name in ("coefficients", "truth", "causal"))
    distance = np.linalg.norm(found - truth, axis=1) / np.linalg.norm(truth, axis=1)
    if causal.all() or not np.allclose(distance, ok["distance"]):
        return f"at a distance of {ok['distance'].median():.2g}"
    of_causes = [(b[mask] / t[mask]).mean() for b, t, mask in zip(found, truth, causal, strict=True)]
    others = [b[~mask].mean() for b, mask in zip(found, causal, strict=True)]
    return "at ({:z.1f}, {:z.1f})".format(*map(np.median, (of_causes, others))).replace(".0", "")


def _headline(judged: list[_Verdict]) -> list[str]:
    """Return how many methods recover the causal coefficients everywhere, if there are several."""
    if len(judged) < 2:
        return []
    best = [f"{of.name} in {len(of.classes)}" for of in judged if of.share == 1]
    if not best:
        return [f"None of {len(judged)} methods recovers the causal coefficients in every class that it was tried in."]
    verb, they = ("recovers", "it was") if len(best) == 1 else ("recover", "they were")
    whom = ", ".join(best[:3]) + (f" and {len(best) - 3} more" if len(best) > 3 else "")
    every = f"in every class that {they} tried in"
    return [f"{len(best)} of {len(judged)} methods {verb} the causal coefficients {every}: {whom}."]


def _sentence(of: _Verdict) -> str:
    failed = [one for one in of.classes if not one.recovered]
    count = len(of.classes)
    found = f"{count - len(failed)} of {count} {'class' if count == 1 else 'classes'}"
    text = f"{of.name} recovers the causal coefficients in {found} {EVIDENCE[of.solver]} ({of.n})"
    if failed:
        text += f"; it fails {'; '.join(f'where {_words(one.name)}, {one.place}' for one in failed)}"
    return f"{text}. {_officially(of.official)}".strip()


def _officially(classes: list[_Class]) -> str:
    missed = [one for one in classes if not one.recovered]
    if not classes:
        return ""
    faults = Counter(one.fault for one in missed if one.fault).most_common()
    told = ", ".join(f"the {part}'s fault in {count}" for part, count in faults)
    return f"With the official solver it misses in {len(missed)} of {len(classes)}{': ' if told else ''}{told}."


def _words(assumption_class: str) -> str:
    """Return a class of assumptions as part of a sentence."""
    return " and ".join(WORDS.get(part, f"the class is “{part}”") for part in assumption_class.split(", "))
