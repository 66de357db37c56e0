"""Environments from their data: moments or examples, behind one face."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from irmbench.engine.logistic import Signed
from irmbench.engine.on_examples import ExampleEnvironments
from irmbench.engine.on_moments import MomentEnvironments
from irmbench.engine.on_signed import SignedEnvironments
from irmbench.environments import Environments, Parametrisation
from irmbench.moments import Examples, Moments

__all__ = ["Data", "Environments", "environments"]

Data = Moments | Examples


def environments(data: Data | Signed, method: Parametrisation, parameters: Tensor, **context: Any) -> Environments:
    """Return the environments in ``data`` (without batch dimensions) as ``method`` sees them at ``parameters``."""
    if isinstance(data, Moments):
        return MomentEnvironments(data, method, parameters, **context)
    if isinstance(data, Signed):
        return SignedEnvironments(data, method, parameters, **context)
    return ExampleEnvironments(data, method, parameters, **context)
