"""The observer that finds the monitors of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specloom import Run, impl
from specloom_tensorboard.monitor import TensorBoardMonitorNode, Writer


class Monitors:
    """Lets every ``TensorBoardMonitorNode`` of the run's graph write what is recorded."""

    def __init__(self) -> None:
        self._writers: list[Writer] = []

    @impl
    def run_started(self, run: Run) -> None:
        """Find the nodes."""
        self._writers = [
            node.observer()
            for node in run.graph.nodes.values()
            if isinstance(node, TensorBoardMonitorNode)
        ]

    @impl
    def recorded(self, run: Run, step: int, values: Mapping[str, float]) -> None:
        """Write numbers."""
        for writer in self._writers:
            writer.recorded(run, step, values)

    @impl
    def run_ended(self, run: Run, error: BaseException | None) -> None:
        """Draw the last pictures; write all metrics and the run file."""
        for writer in self._writers:
            writer.run_ended(run, error)

    @impl
    def artifacts(self, run: Run, step: int, values: Mapping[str, Any]) -> None:
        """Write pictures, texts and distributions."""
        for writer in self._writers:
            writer.artifacts(run, step, values)

    @impl
    def phase_ended(self) -> None:
        """Draw the last pictures."""
        for writer in self._writers:
            writer.phase_ended()
