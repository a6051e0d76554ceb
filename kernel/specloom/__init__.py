"""A plugin-first microkernel for hyperspectral machine-learning graphs.

Read ``contract/hooks.py`` first.
"""

import warnings

__version__ = "0.2.0"

from specloom.completion import complete_run_folders
from specloom.contract.abilities import (
    AffineNode,
    AffineReader,
    Annealed,
    Fittable,
    LazyAffine,
    LazyLinear,
    LazyMonotone,
    LinearNode,
    LinearReader,
    Loss,
    MergeableMetric,
    Metric,
    MonotoneNode,
    MonotoneReader,
    OnDemand,
    Stateful,
    Trainable,
)
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
    printable,
    raise_all,
)
from specloom.contract.fleet import Executor, Job, Outcome, Share, Task, Ticket
from specloom.contract.hooks import impl
from specloom.contract.nodes import STAGES, Array, Batch, Node, StripPasses, StripWise
from specloom.contract.phases import At, Trainer
from specloom.contract.ports import Port
from specloom.contract.runtime import Runtime
from specloom.contract.sources import DescribedSplit, MapStyleSource, Source
from specloom.contract.tickets import ImageWindows, TicketSource, WindowedSource
from specloom.contract.views import GraphView, PipelineView, RunView, StartedExecutor
from specloom.execution.executors import on_options, working_on
from specloom.execution.file_locks import lock_abandoned, open_locked
from specloom.execution.files import (
    is_temporary,
    process_tag,
    remove_abandoned,
    write_file,
    write_json,
)
from specloom.execution.loading import load
from specloom.execution.run import Run
from specloom.execution.run_folder import fresh_folder, interrupted_run
from specloom.execution.saved_pipeline import pack, unpack
from specloom.execution.sources import pack_source, unpack_source
from specloom.execution.termination import Terminated, uninterrupted, was_terminated
from specloom.graph.graph import Graph
from specloom.graph.node_class import Internal, node, param
from specloom.graph.port_attributes import Input, InputRef, Output, OutputRef
from specloom.graph.ported import Ported
from specloom.logs import log_file_option
from specloom.pipeline import Pipeline
from specloom.plugins import Plugins, install_pins, pack_tree, store_tree
from specloom.pool import MergeTree
from specloom.threads import threads_option

__all__ = [
    "STAGES",
    "AffineNode",
    "AffineReader",
    "Annealed",
    "Array",
    "At",
    "Batch",
    "ConfigError",
    "DataError",
    "DescribedSplit",
    "Executor",
    "Fittable",
    "Graph",
    "GraphError",
    "GraphView",
    "ImageWindows",
    "Input",
    "InputRef",
    "IntegrityError",
    "Internal",
    "Job",
    "LazyAffine",
    "LazyLinear",
    "LazyMonotone",
    "LinearNode",
    "LinearReader",
    "Loss",
    "MapStyleSource",
    "MergeTree",
    "MergeableMetric",
    "Metric",
    "MonotoneNode",
    "MonotoneReader",
    "Node",
    "NodeError",
    "OnDemand",
    "Outcome",
    "Output",
    "OutputRef",
    "Pipeline",
    "PipelineView",
    "PluginError",
    "Plugins",
    "Port",
    "PortError",
    "Ported",
    "Problems",
    "Run",
    "RunView",
    "Runtime",
    "Share",
    "Source",
    "SpecloomError",
    "SpecloomWarning",
    "StartedExecutor",
    "Stateful",
    "StripPasses",
    "StripWise",
    "Task",
    "Terminated",
    "Ticket",
    "TicketSource",
    "Trainable",
    "Trainer",
    "UnavailableError",
    "WindowedSource",
    "complete_run_folders",
    "did_you_mean",
    "fresh_folder",
    "impl",
    "install_pins",
    "interrupted_run",
    "is_temporary",
    "load",
    "lock_abandoned",
    "log_file_option",
    "machine_error",
    "node",
    "on_options",
    "open_locked",
    "pack",
    "pack_source",
    "pack_tree",
    "param",
    "printable",
    "process_tag",
    "raise_all",
    "remove_abandoned",
    "store_tree",
    "threads_option",
    "uninterrupted",
    "unpack",
    "unpack_source",
    "was_terminated",
    "working_on",
    "write_file",
    "write_json",
]

#: Names of version 0.1, each with the present one. They go in 0.3.
OLD_NAMES = {
    "Absorbs": "AffineReader",
    "Affine": "AffineNode",
    "Fits": "Fittable",
    "Indexed": "MapStyleSource",
    "Keeps": "Stateful",
    "Mapped": "LazyAffine",
    "Measures": "Metric",
    "Paces": "Annealed",
    "Trains": "Trainable",
    "begun": "interrupted_run",
}


def __getattr__(name: str) -> object:
    """The present object behind a name of version 0.1, with a warning."""
    if name not in OLD_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = OLD_NAMES[name]
    what = f"specloom.{name} is called specloom.{new} now; the old name goes in 0.3"
    warnings.warn(what, SpecloomWarning, stacklevel=2)
    return globals()[new]
