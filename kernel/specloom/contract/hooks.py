"""Every hook that a plugin may implement. This file is the whole contract.

A plugin is a module named by an entry point of the group ``specloom``; the entry point's name is
the prefix of its references: ``rx = "specloom_rx"`` gives ``rx.RXGlobal``. Import nothing heavy
there: offer classes as ``"module:Class"``, which are imported when a graph uses them. An old name
goes on working, with a warning, where the present one stands behind it, as in
``{"GlobalRX": "RXGlobal"}``.

Hooks watch, they never steer. Two of them answer a question instead, and the first answer that
is not None counts: ``resolve_plugins`` and ``open_cube``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from specloom.contract.nodes import Batch
    from specloom.contract.ports import Port
    from specloom.execution.run import Run

GROUP = "specloom"
impl = pluggy.HookimplMarker(GROUP)


# What a plugin offers. Names are looked up as ``plugin.Name``; values are "module:Class".


def register_nodes() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer nodes: ``{"RXGlobal": "specloom_rx.detector:RXGlobal"}``."""


def register_losses() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer losses: nodes with a scalar output ``loss`` that a trainer minimises."""


def register_trainers() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer trainers: what ``phases:`` of a run file names."""


def register_sources() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer sources of batches: what ``data:`` of a run file names."""


def register_observers() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer observers: classes made without arguments for every run, with the hooks below."""


def register_commands() -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec has no body
    """Offer click commands: ``{"report": "specloom_report.commands.report:report"}``."""


def register_ports() -> Mapping[str, Port]:  # type: ignore[empty-body]  # a spec has no body
    """Offer kinds of value: ``{"cube": Port("B H W C")}`` is the kind ``plugin.cube``."""


# What an observer may watch.


def run_started(run: Run) -> None:
    """The graph is checked; the first phase comes next."""


def phase_started(run: Run, name: str) -> None:
    """A phase begins; ``name`` is such as ``training.StatisticalTrainer``."""


def node_fitted(run: Run, node: str, summary: str) -> None:
    """A node was fitted; ``summary`` says to what, in one line."""


def node_ran(run: Run, node: str, outputs: Batch, seconds: float) -> None:
    """A node ran on one batch (only called when somebody listens). Do not change ``outputs``."""


def epoch_ended(run: Run, epoch: int, max_epochs: int) -> None:
    """An epoch of gradient training ended, counted from 0."""


def recorded(run: Run, step: int, values: Mapping[str, float]) -> None:
    """Numbers were recorded, by ``<stage>/<node>/<name>``."""


def artifacts(run: Run, step: int, values: Mapping[str, Any]) -> None:
    """Pictures and other things to keep were made, by ``<stage>/<node>/<name>``."""


def checkpoint_saved(run: Run, path: Path) -> None:
    """A trainer saved a checkpoint."""


def progress(run: Run, what: str, done: int, total: int | None) -> None:
    """Work goes on: ``done`` of ``total`` steps; None where nobody knows how many."""


def warned(run: Run, message: str) -> None:
    """Something that the user should know about happened; the run goes on."""


def phase_ended(run: Run, name: str) -> None:
    """A phase ended without an error."""


def run_ended(run: Run, error: BaseException | None) -> None:
    """The run is over, also when it failed; ``error`` is then set."""


# What is asked of plugins.


def resolve_plugins(manifest: Path) -> Mapping[str, str] | None:
    """Make the plugins of ``manifest`` importable; give the module of each, by plugin name."""


def open_cube(path: Path) -> Any:
    """Open a cube's file or folder without reading its pixels; None if it is not yours."""


ANSWERS = (resolve_plugins, open_cube)
for _hook in filter(inspect.isfunction, list(vars().values())):  # all that this file defines
    pluggy.HookspecMarker(GROUP)(_hook, firstresult=_hook in ANSWERS)
