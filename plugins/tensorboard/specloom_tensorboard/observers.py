"""The observer that finds the monitors of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specloom import Run, impl
from specloom_tensorboard.monitor import TensorBoardMonitorNode, Writing


class Monitors:
    """Lets every ``TensorBoardMonitorNode`` of the run's graph write what is recorded."""

    def __init__(self) -> None:
        self._writing: list[Writing] = []

    @impl
    def run_started(self, run: Run) -> None:
        """Find the nodes."""
        nodes = run.graph.nodes.values()
        self._writing = [n.observer() for n in nodes if isinstance(n, TensorBoardMonitorNode)]

    @impl
    def recorded(self, run: Run, step: int, values: Mapping[str, float]) -> None:
        """Write numbers."""
        for one in self._writing:
            one.recorded(run, step, values)

    @impl
    def artifacts(self, run: Run, step: int, values: Mapping[str, Any]) -> None:
        """Write pictures."""
        for one in self._writing:
            one.artifacts(run, step, values)
