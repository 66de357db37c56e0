"""A benchmark of invariance methods: which recovers the causal coefficients, under which assumption, at what cost."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from irmbench.api import load, run

__all__ = ["load", "run"]
__version__ = "0.1.0"


def _plugin_roots() -> list[str]:
    """Return the folders that hold ``methods/`` and ``datasets/`` and lie outside this package's own folder.

    A wheel carries both folders inside the package; a checkout keeps them beside it. With the roots on ``__path__``
    every plugin is the ordinary module ``irmbench.methods.x``, which a spawned worker imports by name like any other.
    """
    package = os.path.dirname(os.path.realpath(__file__))
    beside = [] if os.path.isdir(os.path.join(package, "methods")) else [os.path.dirname(package)]
    users = [os.path.realpath(root) for root in os.environ.get("IRMBENCH_PATH", "").split(os.pathsep) if root]
    return beside + users


__path__ += _plugin_roots()


def __getattr__(name: str) -> Any:
    """Import the Python interface on first use: torch and pandas are too slow to load for ``--help``."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from irmbench import api

    return getattr(api, name)


def __dir__() -> list[str]:
    """List the lazy names too."""
    return sorted({*globals(), *__all__})
