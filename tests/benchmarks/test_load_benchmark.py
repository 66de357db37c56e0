"""How long a run's records take to load, and what resuming reads of them.

    pytest -n0 --benchmark-enable --benchmark-only tests/benchmarks/test_load_benchmark.py

``IRMBENCH_RECORDS=1000000`` loads as many; a record is one of the suite `quick`, of 1.6 kB.
"""

import os
import random

import pytest

import irmbench
from irmbench.runs.store import SCHEMA, Store

COUNT = int(os.environ.get("IRMBENCH_RECORDS", "2000"))
JOB = 100  # records that a writer appends together
SCORES = ["error_causal", "error_noncausal", "distance", "cosine", "worst_test_risk", "oracle_gap", "gradient_norm"]
MACHINE = {
    "python": "3.11.7",
    "torch": "2.13.0",
    "numpy": "2.4.6",
    "scipy": "1.17.1",
    "machine": "Linux x86_64, 2 cores",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of ``COUNT`` records in ten shards."""
    chance = random.Random(0)
    store = Store(tmp_path_factory.mktemp("run"))
    store.create()
    writers = [store.writer() for _ in range(10)]
    for first in range(0, COUNT, JOB):
        writers[chance.randrange(10)].write(record(i, chance) for i in range(first, min(first + JOB, COUNT)))
    return store.folder


def record(i, chance):
    method, dataset = f"method_{i // JOB % 40}", f"dataset_{i // JOB // 40 % 8}"
    solver = {"optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 0.0, "steps": 10_000, "start": 1.0}
    return {
        **{"suite": "quick", "schema": SCHEMA, "trial_id": f"{i:016x}"},
        **{"dataset": dataset, "dataset_params": {"n": 10_000, "scrambled": False, "d": 5}, "data_seed": i % JOB},
        **{
            "method": method,
            "method_params": {"penalty_weight": 1e4, "annealing": 100},
            "draw": 0,
            "solver": "official",
        },
        **{
            "solver_params": solver | {"data": "sample", "reset_at": None},
            "record_every": 0,
            "name": "",
            "held_out": None,
        },
        **{"validate": False, "dataset_label": dataset, "method_label": method, "solved_by": "adam 10,000 steps"},
        **{
            "assumption_class": "Y-noise varies",
            "family": "invariant risk",
            "device": "cpu",
            "seconds": chance.random(),
        },
        "finished": f"2026-01-01T{i // 3600_000:02}:{i // 60_000 % 60:02}:{i // 1000 % 60:02}.{i % 1000:03}000+00:00",
        "made_by": MACHINE | {"irmbench": "0.1.0", "commit": "5f1add6e" * 5, "code": "312fbd35846c"},
        **{"plugins": ["7de0c034d013", "b1253db14a8f"], "status": "ok"},
        "coefficients": [chance.gauss(0, 1) for _ in range(10)],
        **{"truth": [1.0] * 5 + [0.0] * 5, "causal": [True] * 5 + [False] * 5},
        **{name: chance.random() for name in SCORES},
    }


def test_load(benchmark, folder):
    frame = benchmark.pedantic(irmbench.load, (folder,), rounds=3)
    assert len(frame) == COUNT
    assert frame["distance"].notna().all()


def test_what_resuming_reads(benchmark, folder):
    heads = benchmark.pedantic(Store(folder).heads, rounds=3)
    assert len(heads) == COUNT
