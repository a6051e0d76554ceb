"""A run that was made of objects in Python, as the run file that would make the same."""

from collections.abc import Mapping, Sequence
from typing import Any

from specloom.contract.abilities import Loss
from specloom.contract.phases import LossMinimiser, Trainer
from specloom.contract.sources import Source
from specloom.execution import saved_pipeline
from specloom.execution.sources import pack_source
from specloom.graph.graph import Graph
from specloom.plugins import Plugins, installed_resolver
from specloom.runfile import parameters
from specloom.runfile.form import VERSION
from specloom.runfile.yaml import Document

FROM_PYTHON = "from Python"
"""What stands in place of the name of the run file."""


def run_file_of(
    graph: Graph,
    source: Source,
    phases: Sequence[tuple[str, Trainer[Any, Any]]],
    plugins: Plugins,
    *,
    seed: int,
    metadata: Mapping[str, Any],
) -> Document:
    """The run file that makes the graph, the source and the phases again.

    Connections that the graph added by itself are written, so that none is added to them.

    Raises:
        ConfigError: The class of a node, of the source or of a phase is offered by no plugin.
    """
    if not plugins.modules:
        plugins = Plugins()
    described = saved_pipeline.to_dict(graph, plugins)
    for name in _measured_losses(graph, [phase for _label, phase in phases]):
        stages = [stage for stage in graph.stages[name] if stage != "train"]
        described["nodes"][name]["stages"] = stages
    value: dict[str, Any] = {
        "specloom": VERSION,
        "metadata": dict(metadata),
        "seed": seed,
        "companions": "off",
        "data": pack_source(source, plugins),
        **described,
        "phases": [_phase_to_dict(phase, plugins) for _label, phase in phases],
    }
    return Document(FROM_PYTHON, value)


def _measured_losses(graph: Graph, phases: Sequence[Trainer[Any, Any]]) -> list[str]:
    """The losses that no phase minimises: they are measured, and a run file has to say so."""
    minimised: set[str] = set()
    for phase in phases:
        if isinstance(phase, LossMinimiser):
            minimised.update(phase.losses_of(graph))
    names = [name for name, node in graph.nodes.items() if isinstance(node, Loss)]
    return [name for name in names if name not in minimised]


def _phase_to_dict(phase: Trainer[Any, Any], plugins: Plugins) -> dict[str, Any]:
    """A phase as a run file would hold it."""
    entry: dict[str, Any] = {"type": plugins.trainer_reference(type(phase))}
    config = parameters.values(phase)
    if config:
        entry["config"] = config
    return entry


def circumstances(run: Any) -> dict[str, Any]:
    """What plugins say of where a run comes from, such as versions and hashes of files."""
    resolver = Plugins(installed_resolver())
    for name in resolver.modules:
        resolver.need(name)
    found: dict[str, Any] = {}
    for answer in resolver.manager.hook.describe_run(run=run):
        found |= answer
    return found
