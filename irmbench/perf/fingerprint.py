"""What makes two timings comparable: the machine and the builds they were measured on."""

from __future__ import annotations

import hashlib
import os
import platform
from typing import Any

import msgspec
import torch

from irmbench.perf.worker import THREADS
from irmbench.runs import provenance


def fingerprint(device: str) -> dict[str, Any]:
    """Return processor, cores, affinity, builds, threads, Python, GPU and driver, and their hash as `fingerprint`."""
    is_cuda = device == "cuda"
    machine = {
        "machine": provenance.stamp()["machine"],  # system, processor model, cores
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "torch": str(torch.__version__),
        "build": _build(torch.__config__.show()),
        "threads": THREADS,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "device": device,
        "gpu": torch.cuda.get_device_name() if is_cuda else None,
        "driver": torch._C._cuda_getDriverVersion() if is_cuda else None,  # type: ignore[attr-defined]
    }
    return {"fingerprint": hashlib.sha256(msgspec.json.encode(machine, order="sorted")).hexdigest()[:12], **machine}


def _build(shown: str) -> list[str]:
    """Return what PyTorch says of its build: libraries, vector instructions, BLAS; but no compiler flags."""
    lines = [line.removeprefix("  - ") for line in shown.splitlines() if line.startswith("  - ")]
    settings = next((line for line in lines if line.startswith("Build settings")), "")
    blas = [part.strip() for part in settings.replace(":", ",").split(",") if "BLAS_INFO=" in part]
    return [line for line in lines if line != settings] + blas
