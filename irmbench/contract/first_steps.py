"""The first steps of a batch, taken one by one: where a trace would cost more than it saves."""

from __future__ import annotations

import torch
from torch import Tensor

from irmbench.engine.batch import Batch
from irmbench.engine.descent import one_step, splitter, start
from irmbench.engine.solve import closed_form, uses_closed_form


def first_steps(batch: Batch, count: int) -> Tensor:
    """Return the coefficients [S, H, P] after ``count`` steps of the batch's optimiser, or those of its closed form."""
    with torch.no_grad():
        if uses_closed_form(batch.method, batch.solver, batch.loss):
            return closed_form(batch)
        own, split = start(batch), splitter(batch)
        advance = batch.lift(one_step(batch), own=len(own))
        for done in range(count):
            step = torch.full((batch.shape[0],), float(done), dtype=torch.float64, device=batch.device)
            own = advance(*own, step, *([split()] if split else []))
        return batch.coefficients(own[0])
