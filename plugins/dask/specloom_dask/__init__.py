"""Fits, evaluations and predictions on many workers, with Dask: ``--on dask``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from specloom import Executor, impl
from specloom.lazy import lazy

ADDRESSES = ("tcp://", "tls://")
FILES = (".yaml", ".yml")

MODULES = {"Dask": "specloom_dask.executor"}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe dask --write`.
__all__ = ["ADDRESSES", "FILES", "Dask"]

if TYPE_CHECKING:
    from specloom_dask.executor import Dask
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def register_executors() -> Mapping[str, str]:
    """Offer the executor that works by Dask."""
    return {"Dask": "specloom_dask.executor:Dask"}


@impl
def make_executor(on: str, workers: int | None, insecure: bool, plugins: Any) -> Executor | None:
    """Make the executor for new workers, for a scheduler's address, and for a cluster file."""
    if on != "dask" and not on.startswith(ADDRESSES) and not on.endswith(FILES):
        return None
    from specloom_dask.executor import Dask

    return Dask(on, workers, insecure=insecure, plugins=plugins)


@impl
def register_commands() -> Mapping[str, str]:
    """Offer ``specloom fleet``."""
    return {"fleet": "specloom_dask.command:fleet"}
