"""Metrics, losses and pictures of a run for TensorBoard."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

# Public names, imported on first use: written by `specloom plugins describe tensorboard --write`.
__all__ = ["TensorBoardMonitorNode"]

if TYPE_CHECKING:
    from specloom_tensorboard.monitor import TensorBoardMonitorNode
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the node."""
    return {"TensorBoardMonitorNode": "specloom_tensorboard.monitor:TensorBoardMonitorNode"}


@impl
def register_observers() -> Mapping[str, str]:
    """Offer the observer that writes for the nodes of a run."""
    return {"Monitors": "specloom_tensorboard.observers:Monitors"}
