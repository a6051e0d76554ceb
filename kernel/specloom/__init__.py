"""A plugin-first microkernel for hyperspectral machine-learning graphs.

Read ``contract/hooks.py`` first.
"""

__version__ = "0.1.0"

from specloom.contract.errors import (
    ConfigError,
    DataError,
    GraphError,
    IntegrityError,
    NodeError,
    PluginError,
    PortError,
    Problems,
    SpecloomError,
    SpecloomWarning,
    UnavailableError,
    did_you_mean,
    machine_error,
    raise_all,
)
from specloom.contract.hooks import impl
from specloom.contract.nodes import (
    STAGES,
    Absorbs,
    Affine,
    Array,
    At,
    Batch,
    Fits,
    Indexed,
    Keeps,
    Loss,
    Mapped,
    Measures,
    Node,
    Paces,
    Runtime,
    Source,
    Trainer,
    Trains,
)
from specloom.contract.ports import Port
from specloom.execution.run import Run, load
from specloom.execution.run_folder import begun
from specloom.execution.saved_pipeline import write_file, write_json
from specloom.graph.graph import Graph
from specloom.graph.port_attributes import Ported
from specloom.pipeline import Pipeline
from specloom.plugins import Plugins
from specloom.threads import threads_option

__all__ = [
    "STAGES",
    "Absorbs",
    "Affine",
    "Array",
    "At",
    "Batch",
    "ConfigError",
    "DataError",
    "Fits",
    "Graph",
    "GraphError",
    "Indexed",
    "IntegrityError",
    "Keeps",
    "Loss",
    "Mapped",
    "Measures",
    "Node",
    "NodeError",
    "Paces",
    "Pipeline",
    "PluginError",
    "Plugins",
    "Port",
    "PortError",
    "Ported",
    "Problems",
    "Run",
    "Runtime",
    "Source",
    "SpecloomError",
    "SpecloomWarning",
    "Trainer",
    "Trains",
    "UnavailableError",
    "begun",
    "did_you_mean",
    "impl",
    "load",
    "machine_error",
    "raise_all",
    "threads_option",
    "write_file",
    "write_json",
]
