"""A plugin-first microkernel for hyperspectral machine-learning graphs. Read ``hooks.py`` first."""

from specloom.errors import (
    ConfigError,
    DataError,
    GraphError,
    IntegrityError,
    NodeError,
    PluginError,
    PortError,
    Problems,
    SpecloomError,
    UnavailableError,
    did_you_mean,
)
from specloom.graph import Graph
from specloom.hooks import impl
from specloom.node import (
    STAGES,
    Absorbs,
    Affine,
    Array,
    At,
    Batch,
    Fits,
    Keeps,
    Loss,
    Measures,
    Node,
    Paces,
    Runtime,
    Source,
    Trainer,
    Trains,
)
from specloom.pipeline import Pipeline
from specloom.plugins import Plugins
from specloom.ported import Ported
from specloom.ports import Port
from specloom.run import Run, load

__version__ = "0.1.0"

__all__ = [
    "STAGES", "Absorbs", "Affine", "Array", "At", "Batch", "ConfigError", "DataError", "Fits",
    "Graph", "GraphError", "IntegrityError", "Keeps", "Loss", "Measures", "Node", "NodeError",
    "Paces", "Pipeline", "PluginError", "Plugins", "Port", "PortError", "Ported", "Problems",
    "Run", "Runtime", "Source", "SpecloomError", "Trainer", "Trains", "UnavailableError",
    "did_you_mean", "impl", "load",
]  # fmt: skip
