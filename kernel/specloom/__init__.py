"""A plugin-first microkernel for hyperspectral machine-learning graphs. Read ``hooks.py`` first."""

__version__ = "0.1.0"

# isort: off
from specloom.errors import ConfigError, DataError, GraphError, IntegrityError, NodeError
from specloom.errors import PluginError, PortError, Problems, SpecloomError, UnavailableError
from specloom.errors import SpecloomWarning, did_you_mean, raise_all
from specloom.graph import Graph
from specloom.hooks import impl
from specloom.node import STAGES, Array, At, Batch, Loss, Node, Runtime, Source, Trainer
from specloom.node import Absorbs, Affine, Fits, Indexed, Keeps, Mapped, Measures, Paces, Trains
from specloom.pipeline import Pipeline
from specloom.plugins import Plugins
from specloom.ported import Ported
from specloom.ports import Port
from specloom.results import begun
from specloom.run import Run, load
from specloom.state import write_file, write_json
from specloom.threads import threads_option
# isort: on

__all__ = [
    "STAGES", "Absorbs", "Affine", "Array", "At", "Batch", "ConfigError", "DataError", "Fits",
    "Graph", "GraphError", "Indexed", "IntegrityError", "Keeps", "Loss", "Mapped", "Measures",
    "Node", "NodeError", "Paces", "Pipeline", "PluginError", "Plugins", "Port", "PortError",
    "Ported", "Problems", "Run", "Runtime", "Source", "SpecloomError", "SpecloomWarning", "Trainer",
    "Trains", "UnavailableError", "begun", "did_you_mean", "impl", "load", "raise_all",
    "threads_option", "write_file", "write_json",
]  # fmt: skip
