"""Every hook that a plugin may implement. Together with ``nodes.py`` it is the whole contract.

A plugin is a module named by an entry point of the group ``specloom``; the entry point's name is
the prefix of its references: ``rx = "specloom_rx"`` gives ``rx.RXGlobal``. Import nothing heavy
there: offer classes as ``"module:Class"``, which are imported when a graph uses them. An old name
goes on working, with a warning, where the present one stands behind it, as in
``{"GlobalRX": "RXGlobal"}``.

Hooks watch, they never steer. Those marked ``firstresult`` answer a question instead, and the
first answer that is not None counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from specloom.contract.nodes import Batch
    from specloom.contract.ports import Port
    from specloom.contract.sources import DescribedSplit
    from specloom.contract.views import GraphView, PluginsView, RunView

GROUP = "specloom"
#: Marks a hook below; ``firstresult`` where the first answer counts.
spec = pluggy.HookspecMarker(GROUP)
#: Marks a plugin's implementation of a hook.
impl = pluggy.HookimplMarker(GROUP)


# What a plugin offers. Names are looked up as ``plugin.Name``; values are "module:Class".


@spec
def register_nodes() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer nodes: ``{"RXGlobal": "specloom_rx.detector:RXGlobal"}``."""


@spec
def register_losses() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer losses: nodes with a scalar output ``loss`` that a trainer minimises."""


@spec
def register_trainers() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer trainers: what ``phases:`` of a run file names."""


@spec
def register_sources() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer sources of batches: what ``data:`` of a run file names."""


@spec
def register_observers() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer observers: classes made without arguments for every run, with the hooks below."""


@spec
def register_commands() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer click commands: ``{"report": "specloom_report.commands.report:report"}``."""


@spec
def register_tasks() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer tasks: work on shares of the data that any process can do, by name."""


@spec
def register_executors() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer executors: where tasks run, such as ``{"Here": "specloom_jobs.here:Here"}``."""


@spec
def register_ports() -> Mapping[str, Port]:  # type: ignore[empty-body]  # a spec has no body
    """Offer kinds of value: ``{"cube": Port("B H W C")}`` is the kind ``plugin.cube``."""


# What an observer may watch.


@spec
def run_started(run: RunView) -> None:
    """The graph is checked; the first phase comes next."""


@spec
def data_described(run: RunView, splits: Mapping[str, DescribedSplit]) -> None:
    """The source described its splits; it comes before the first phase."""


@spec
def phase_started(run: RunView, name: str) -> None:
    """A phase begins; ``name`` is such as ``training.StatisticalTrainer``."""


@spec
def node_fitted(run: RunView, node: str, summary: str) -> None:
    """A node was fitted; ``summary`` says to what, in one line."""


@spec
def node_ran(run: RunView, node: str, outputs: Batch, seconds: float) -> None:
    """A node ran on one batch; only called while an observer has it. Do not change ``outputs``."""


@spec
def epoch_ended(run: RunView, epoch: int, max_epochs: int) -> None:
    """An epoch of gradient training ended, counted from 0."""


@spec
def recorded(run: RunView, step: int, values: Mapping[str, float]) -> None:
    """Numbers were recorded, by ``<stage>/<node>/<name>``."""


@spec
def artifacts(run: RunView, step: int, values: Mapping[str, Any]) -> None:
    """Pictures and other things to keep were made, by ``<stage>/<node>/<name>``.

    In an ``OnDemand`` each is made when it is read: an observer that shows pictures of some epochs
    alone leaves the others.
    """


@spec
def checkpoint_saved(run: RunView, path: Path) -> None:
    """A trainer saved a checkpoint."""


@spec
def progress(run: RunView, what: str, done: int, total: int | None) -> None:
    """Work goes on: ``done`` of ``total`` steps; None where the number is unknown."""


@spec
def failed(run: RunView, what: str, count: int) -> None:
    """So many steps of the work ``what`` failed so far; the others go on."""


@spec
def fleet(run: RunView, workers: int, busy: int, lost: int, rate: float) -> None:
    """How work on several workers goes on: how many there are, are busy, and were lost so far.

    ``rate`` is in items a second, over the last minute.
    """


@spec
def warned(run: RunView, message: str) -> None:
    """Something that the user should know about happened; the run goes on."""


@spec
def phase_ended(run: RunView, name: str) -> None:
    """A phase ended without an error."""


@spec
def run_ended(run: RunView, error: BaseException | None) -> None:
    """The run is over, also when it failed; ``error`` is then set."""


# What answers a question.


@spec
def describe_run(run: RunView) -> Mapping[str, Any]:  # type: ignore[empty-body]  # a spec has no body
    """What ``run.json`` shall say of where a run comes from, for one that nothing watched."""


@spec(firstresult=True)
def resolve_plugins(manifest: Path) -> Mapping[str, str] | None:
    """Make the plugins of ``manifest`` importable; give the module of each, by plugin name.

    It is a ``plugins.yaml``, or the ``run.json`` of a run, for the plugins that the run recorded.
    """


@spec(firstresult=True)
def describe_pins(manifest: Path) -> Sequence[Mapping[str, Any]] | None:
    """The plugins that a manifest in use pins, as values that JSON holds; None if not yours."""


@spec(firstresult=True)
def install_pins(pins: Sequence[Mapping[str, Any]]) -> Sequence[str] | None:
    """Make the plugins of ``describe_pins`` importable in another process.

    Give the trees that this machine does not have; then nothing is installed.
    """


@spec(firstresult=True)
def pack_tree(tree: str) -> Mapping[str, bytes] | None:
    """The files of a pinned plugin by path, for a machine that does not have them."""


@spec(firstresult=True)
def store_tree(tree: str, files: Mapping[str, bytes]) -> bool | None:
    """Put the files of a pinned plugin, whose hash must be right, where ``install_pins`` looks."""


@spec(firstresult=True)
def find_command(name: str) -> str | None:
    """The plugin that has a command though it is not installed; None if you know none."""


@spec(firstresult=True)
def make_predictor(run: RunView) -> Any:
    """Make what applies the pipeline of a run to cubes: ``predict(cube, **options)`` gives arrays.

    ``Run.predict`` and ``Pipeline.predict`` use it.
    """


@spec(firstresult=True)
def make_executor(on: str, workers: int | None, insecure: bool, plugins: PluginsView) -> Any:
    """Make the executor that ``--on`` names; None if it is not yours.

    Args:
        on: A name such as ``dask``, an address such as ``tls://host:8786``, or a file.
        workers: How many workers are wanted; None where the user chose no number.
        insecure: Whether an address that is not encrypted may be used.
        plugins: Where tasks are looked up by name.
    """


@spec(firstresult=True)
def fit_pipeline(run: RunView) -> bool | None:
    """Fit every node of a run that learns from its training data, and return True.

    ``Pipeline.fit`` uses it.
    """


@spec(firstresult=True)
def draw_graph(graph: GraphView) -> str | None:
    """Draw a graph as SVG, with its texts escaped, for notebooks."""


@spec(firstresult=True)
def draw_cube(values: Any, wavelengths: Any) -> Any:
    """Draw a cube (H, W, C) as a picture, uint8 (h, w, 3); ``wavelengths`` in nm, (C,), or None."""


@spec(firstresult=True)
def open_cube(address: str) -> Any:
    """Open a cube without reading its pixels; None if it is not yours.

    ``address`` is a path, or something like ``s3://bucket/scene.hdr``.
    """
