"""Jobs of fits and evaluations: what a job holds, and how another process opens it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from specloom import (
    Batch,
    ImageWindows,
    Job,
    Plugins,
    Run,
    Runtime,
    Ticket,
    TicketSource,
    UnavailableError,
    WindowedSource,
    pack,
    pack_source,
    unpack,
    unpack_source,
)
from specloom_training.node_states import load_states
from specloom_training.windowed import WindowedPlan

#: The key of the packed graph's own safetensors among those of a job.
GRAPH = "graph"
#: The key of the safetensors with the states of one finished pass.
PASS = "pass {}"


class OpenedJob(NamedTuple):
    """A job in the process that works on it.

    Args:
        run: A run of the job's graph and source, on the CPU.
        finished: For each finished pass, the merged states of the nodes that took part.
    """

    run: Run
    finished: Sequence[bytes]


def plugins_of(run: Run) -> Plugins:
    """The plugins of a run; those that are installed for a run that was made in Python."""
    if run.plugins.modules:
        return run.plugins
    return Plugins()


def make_job(
    run: Run, task: str, arguments: Mapping[str, Any], finished: Sequence[bytes] = ()
) -> Job:
    """A job on the graph and the source of a run, as they are now.

    Args:
        run: The run.
        task: The reference of the task.
        arguments: What the task needs besides, as JSON.
        finished: For each finished pass, the merged states of the nodes that took part.

    Raises:
        ConfigError: A node or the source is offered by no plugin.
    """
    plugins = plugins_of(run)
    text, graph_weights = pack(run.graph, plugins)
    source = pack_source(run.source, plugins)
    references = [*_node_references(run, plugins), source["type"]]
    versions = plugins.versions(references)
    parts = {GRAPH: graph_weights}
    for number, states in enumerate(finished):
        parts[PASS.format(number)] = states
    return Job(
        task,
        graph=text,
        weights=_join(run.runtime, parts),
        arguments={
            **arguments,
            "source": source,
            "fold": run.fold,
            "modules": {name: _module_name(plugins.modules[name]) for name in versions},
        },
        plugins=versions,
        seed=run.seed,
        pins=plugins.pins(),
    )


def open_job(job: Job) -> OpenedJob:
    """The graph and the source of a job.

    Raises:
        UnavailableError: A plugin has another version here.
        SpecloomError: The graph or the source cannot be made here.
    """
    plugins = Plugins(job.arguments["modules"])
    _check_versions(job, plugins)
    parts = _divide(plugins.runtime(), job.weights)
    graph, _ = unpack(job.graph, parts[GRAPH], plugins, "the job's graph")
    source = unpack_source(job.arguments["source"], plugins, "the job's source")
    run = Run(graph, source, plugins=plugins, device="cpu", seed=job.seed)
    run.fold = job.arguments["fold"]
    run.place()
    finished = [parts[PASS.format(number)] for number in range(len(parts) - 1)]
    return OpenedJob(run, finished)


def read_batches(run: Run, tickets: Sequence[Ticket]) -> Iterator[Batch]:
    """The items of tickets on the device, in batches as large as those of the source.

    A batch ends before an item of another size.
    """
    source: Any = run.source
    size = getattr(source, "batch_size", 1)
    items: list[Batch] = []
    for ticket in tickets:
        item = run.adopt(source.read_ticket(ticket))
        if items and not _can_join(items[0], item):
            yield _join_items(source, items)
            items = []
        items.append(item)
        if len(items) == size:
            yield _join_items(source, items)
            items = []
    if items:
        yield _join_items(source, items)


def read_windowed_batches(run: Run, tickets: Sequence[Ticket]) -> Iterator[Batch | ImageWindows]:
    """As ``read_batches``; a large image that is a batch of its own comes as windows."""
    source: Any = run.source
    if not isinstance(source, WindowedSource) or getattr(source, "batch_size", 1) > 1:
        yield from read_batches(run, tickets)
        return
    for ticket in tickets:
        yield run.adopt_windows(source.read_windows(ticket))


def run_first_item(run: Run, stage: str, ends: Iterable[str], split: str) -> None:
    """Run the first item of a split in this process.

    Some nodes note what they see first, such as wavelengths. They note it here for the saved
    pipeline, and the job carries it, so that every share is held to it.

    Args:
        run: The run.
        stage: The stage.
        ends: The values to run the nodes for, as ``node.port``.
        split: The split.
    """
    source: Any = run.source
    first = next(iter(source.tickets(split)))
    plan = run.plan(stage, ends)
    with run.inference():
        for batch in read_windowed_batches(run, [first]):
            windowed = WindowedPlan(run.graph, plan)
            windowed.run_start(batch)


def merge_states(
    run: Run, nodes: Mapping[str, Any], parts: Sequence[bytes]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The states of each part in their order, with the node that each is for."""
    for part in parts:
        yield from load_states(run.runtime, part, nodes).items()


def no_jobs_because(run: Run, split: str) -> str:
    """Why this process must read a split by itself; empty where others can."""
    source = run.source
    if run.runtime.device != "cpu":
        return f"the run is on {run.runtime.device}, and jobs work on the CPU"
    if not isinstance(source, TicketSource):
        return f"the source {type(source).__name__} gives no tickets"
    if next(iter(source.tickets(split)), None) is None:
        return f"the split {split!r} has no item"
    return ""


def total_items(run: Run, split: str) -> int | None:
    """The number of items of a split, where the source knows it."""
    items = getattr(run.source, "items", None)
    if items is None:
        return None
    return int(items(split))


def tickets_with_progress(run: Run, split: str, what: str) -> Iterator[Ticket]:
    """The tickets of a split; observers are notified as they are taken.

    Args:
        run: The run.
        split: The split.
        what: What observers call the work.
    """
    source: Any = run.source
    progress = partial(run.hook.progress, run=run, what=what, total=total_items(run, split))
    progress(done=0)
    for done, ticket in enumerate(source.tickets(split), start=1):
        yield ticket
        progress(done=done)


def _node_references(run: Run, plugins: Plugins) -> list[str]:
    graph = run.graph
    nodes: Mapping[str, Any] = graph.nodes
    return [graph.types.get(name) or plugins.reference(type(nodes[name])) for name in nodes]


def _module_name(module: Any) -> str:
    """The name by which another process imports a plugin."""
    if isinstance(module, str):
        return module
    return str(module.__name__)


def _check_versions(job: Job, plugins: Plugins) -> None:
    for name, version in job.plugins.items():
        found = plugins.version(name)
        if found != version:
            raise UnavailableError(
                f"the job needs version {version} of the plugin {name!r}, here is {found}",
                where=name,
                fix=f"install version {version} of it on this worker",
            )


def _join(runtime: Runtime, parts: Mapping[str, bytes]) -> bytes:
    """Several safetensors as one."""
    return runtime.dump({name: _as_array(data) for name, data in parts.items()}, {})


def _divide(runtime: Runtime, data: bytes) -> dict[str, bytes]:
    """The safetensors that one holds."""
    arrays, _ = runtime.load(data)
    return {name: array.numpy().tobytes() for name, array in arrays.items()}


def _as_array(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _is_by_image(source: Any, name: str) -> bool:
    """Whether an output of the source has an axis for the images of a batch."""
    return bool(source.outputs[name].names[:1] == ("B",))


def _can_join(first: Batch, second: Batch) -> bool:
    """Whether two items have the same outputs in the same sizes."""
    if first.keys() != second.keys():
        return False
    return all(_shape(first[name]) == _shape(second[name]) for name in first)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))


def _join_items(source: Any, items: Sequence[Batch]) -> Batch:
    """One batch of several items, which share what has no axis for images."""
    joined = dict(items[0])
    if len(items) == 1:
        return joined
    for name in joined:
        if _is_by_image(source, name):
            joined[name] = torch.cat([item[name] for item in items])
    return joined
