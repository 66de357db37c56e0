"""The first steps of a batch, taken one by one: where a trace would cost more than it saves."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from irmbench.batch import Batch, Splitter
from irmbench.descent import one_step, start
from irmbench.moments import Examples
from irmbench.solve import closed_form, uses_closed_form


def first_steps(batch: Batch, count: int) -> Tensor:
    """Return the coefficients [S, H, P] after ``count`` steps of the batch's optimiser, or those of its closed form."""
    with torch.no_grad():
        if uses_closed_form(batch.method, batch.solver, batch.loss):
            return closed_form(batch)
        own, split = start(batch), _splits(batch)
        advance = batch.lift(one_step(batch), own=len(own))
        for done in range(count):
            step = torch.full((batch.shape[0],), float(done), dtype=torch.float64, device=batch.device)
            own = advance(*own, step, *next(split))
        return batch.coefficients(own[0])


def _splits(batch: Batch) -> Iterator[list[Tensor]]:
    """Yield a step's fresh split of the examples, where the method asks for one."""
    if not (batch.method.needs_split and isinstance(batch.data, Examples)):
        while True:
            yield []
    splitter = Splitter(batch.data, batch.seeds, batch.method.split_size)
    while True:
        yield [splitter()]
