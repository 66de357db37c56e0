"""Which pool of workers an option names."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

from irmbench.errors import UserError, suggest
from irmbench.runs.clusters import dask_pool
from irmbench.runs.executors import Pool, serial_pool, worker_pool
from irmbench.runs.limits import Limits
from irmbench.runs.processes import cores

EXECUTORS = ("loky", "dask")


def check_executor(executor: str, workers: int | None) -> None:
    """Raise UserError unless ``open_pool`` knows an executor of this name, and can choose how many workers it has."""
    name, _, address = executor.partition(":")
    if name not in EXECUTORS or (":" in executor and not (name == "dask" and address)):
        raise UserError(f"--executor {executor}: expected loky, dask or dask:ADDRESS.{suggest(name, EXECUTORS)}")
    if name == "dask" and find_spec("distributed") is None:
        raise UserError("--executor dask: is not installed; pip install 'irmbench[distributed]'")
    if address and workers is not None:
        raise UserError(f"--workers {workers}: a cluster that runs has the workers it has; leave it out")


def open_pool(
    executor: str, workers: int | None, most: int, limits: Limits, device: str
) -> AbstractContextManager[Pool]:
    """Return the pool that an option names, ``loky``, ``dask`` or ``dask:ADDRESS``, of no more workers than ``most``.

    Tasks run in processes of their own, but for those of a single worker without limits.
    """
    name, _, address = executor.partition(":")
    wanted = workers or (1 if device == "cuda" else cores())
    if name == "dask":
        return dask_pool(address, min(wanted, most))
    return worker_pool(min(wanted, most)) if wanted > 1 or limits else nullcontext(serial_pool())
