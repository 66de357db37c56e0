"""What methods minimise on the line from the causal to the anti-causal solution, on exact moments.

    b(t) = (1 - t) b* + t b_z        b_z: pooled least squares on the inputs that are no causes

It is the line on which penalties are told apart by Arjovsky et al. 2019 (arXiv 1907.02893, section 3.1), between a
predictor that is invariant and one that looks at effects only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from irmbench import plugins
from irmbench.analysis.identify import within_limit
from irmbench.engine.risks import environments
from irmbench.errors import UserError
from irmbench.interface import Array, Dataset, Method, Moments

SEED = 0  # of random weights
AT: Array = np.linspace(-0.25, 1.25, 121)  # values of t: 20 and 100 are the ends of the line


def landscapes(frame: pd.DataFrame) -> Iterator[tuple[str, dict[str, Array]]]:
    """Yield every dataset's label with the values [len(AT)] of its methods' objectives, relative to their largest.

    Of trials that a population was solved for, and of methods with an objective in the limit of their regularisation;
    datasets must have effects among unscrambled inputs, and an invariant solution that is the causal one.
    """
    ok = frame[(frame["status"] == "ok") & (frame["solver"] == "population")] if len(frame) else frame
    if not len(ok):
        return
    size = ok["dataset_params"].map(lambda params: str({**params, "n": None}))  # which a population has not
    for (name, _), trials in ok.groupby(["dataset", size], sort=False):
        with suppress(UserError):  # of a plugin that is gone since
            dataset = plugins.load("datasets", str(name))(**trials["dataset_params"].iloc[0])
            methods = {of: plugins.load("methods", of) for of in dict.fromkeys(trials["method"])}
            if not has_line(dataset):
                continue
            curves = {of: objective(within_limit(cls), dataset) for of, cls in methods.items() if has_objective(cls)}
            if len(curves) > 1:
                yield str(trials["dataset_label"].iloc[0]), curves


def has_line(dataset: Dataset) -> bool:
    """Whether there is a line from a causal to an anti-causal solution, both of least squares without an intercept."""
    setting = dataset.setting
    linear = dataset.loss == "squared" and dataset.network is None and not dataset.intercept
    return linear and setting.anti_causal and not setting.hidden_confounding and not setting.scrambled


def has_objective(cls: type[Method]) -> bool:
    """Whether a method has an objective of coefficients and moments alone."""
    method = within_limit(cls)
    return method.defines("objective") and not method.needs_examples and not method.initial_state(2).numel()


def objective(method: Method, dataset: Dataset, at: Array = AT) -> Array:
    """Return a method's objective on the dataset's line, at values of t, relative to the largest of its size."""
    moments = dataset.population(SEED)
    assert moments is not None  # which a population was solved for
    ends = solutions(moments, dataset)
    count = moments.second.shape[0]
    values = np.array([_value(method, moments, (1 - t) * ends[0] + t * ends[1], count) for t in at])
    relative: Array = values / np.abs(values).max()
    return relative


def solutions(moments: Moments, dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Return the causal coefficients [P], and those of pooled least squares on the inputs that are no causes."""
    truth = dataset.truth(SEED)
    others = ~truth.causal
    weights = moments.share[:, None, None]
    gram, cross = (weights * moments.gram).sum(0), (weights[..., 0] * moments.cross).sum(0)
    effects = torch.zeros_like(truth.coefficients)
    effects[others] = torch.linalg.solve(gram[others][:, others], cross[others])
    return truth.coefficients, effects


def _value(method: Method, moments: Moments, coefficients: Tensor, count: int) -> float:
    context: dict[str, Any] = {"state": method.initial_state(count)}
    return float(method.objective(environments(moments, method, method.parameters(coefficients, count), **context)))
