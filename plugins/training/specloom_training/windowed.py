"""Plans and stages on images that come in windows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from specloom import ImageWindows
from specloom_training.windows import (
    SampledPixels,
    WholeImage,
    is_map,
    local_nodes,
    node_of,
    sample_window,
)

if TYPE_CHECKING:
    from specloom import Batch, Graph, Run
    from specloom_training.domain import DomainWatch


class WindowedPlan:
    """A plan whose values an image may give window by window.

    Args:
        graph: The graph.
        plan: The plan.
    """

    def __init__(self, graph: Graph, plan: Any) -> None:
        self.plan = plan
        self._maps = {end for end in plan.want if is_map(graph.port(end))}
        steps = [step.name for step in plan.steps]
        self.is_local = local_nodes(graph, steps) == set(steps)

    def __call__(
        self, batch: Batch | ImageWindows, watch: DomainWatch | None = None
    ) -> dict[str, Any]:
        """The wanted values of a batch.

        Args:
            batch: The batch, or an image in windows.
            watch: Compares the cubes with those of the fit; None for no comparison.
        """
        if isinstance(batch, ImageWindows) and self.is_local:
            return self._run_by_windows(batch, watch)
        if isinstance(batch, ImageWindows):
            batch = batch.whole()
        if watch is not None:
            watch.add_batch(batch)
        values: dict[str, Any] = self.plan(batch)
        return values

    def _run_by_windows(self, batch: ImageWindows, watch: DomainWatch | None) -> dict[str, Any]:
        sampled = SampledPixels(batch.height, batch.width)
        whole = WholeImage(self._maps, batch.height)
        for rows, window in batch:
            sample_window(sampled, rows, window)
            values = self.plan(window)
            present = {end: value for end, value in values.items() if value is not None}
            whole.add(present, rows)
        if watch is not None:
            watch.add_image(sampled)
        return {**dict.fromkeys(self.plan.want), **whole.arguments}

    def run_start(self, batch: Batch | ImageWindows) -> None:
        """Run a batch, or of an image in windows the first one where that is possible."""
        if not isinstance(batch, ImageWindows):
            self.plan(batch)
        elif self.is_local:
            _, window = next(iter(batch))
            self.plan(window)
        else:
            self.plan(batch.whole())


class WindowedStage:
    """A stage of which the nodes that see one pixel run on windows of large images.

    What the other nodes read is put together: the map of scores, not the cube.

    Args:
        run: The run.
        stage: The stage.
        plan: The plan of the whole stage.
    """

    def __init__(self, run: Run, stage: str, plan: Any) -> None:
        self._run = run
        self._stage = stage
        self._plan = plan

    def __call__(self, batch: Batch | ImageWindows, watch: DomainWatch | None = None) -> None:
        """Run one batch.

        Args:
            batch: The batch, or an image in windows.
            watch: Compares the cubes with those of the fit; None for no comparison.
        """
        if isinstance(batch, ImageWindows) and self._division.is_possible:
            sampled = self._run_by_windows(batch)
            if watch is not None:
                watch.add_image(sampled)
            return
        if isinstance(batch, ImageWindows):
            batch = batch.whole()
        self._plan(batch)
        if watch is not None:
            watch.add_batch(batch)

    @cached_property
    def _division(self) -> _Division:
        """How the stage is divided; most data has no image in windows, and does not need it."""
        return _Division(self._run, self._stage, self._plan)

    def _run_by_windows(self, batch: ImageWindows) -> SampledPixels:
        """Run an image in windows; the pixels of it that are looked at."""
        sampled = SampledPixels(batch.height, batch.width)
        division = self._division
        whole = WholeImage(division.maps, batch.height)
        for rows, window in batch:
            sample_window(sampled, rows, window)
            of_batch = {name: window[name] for name in division.read_of_batch if name in window}
            made = division.first(window)
            present = {end: value for end, value in made.items() if value is not None}
            whole.add({**of_batch, **present}, rows)
        division.second(whole.arguments)
        return sampled


class _Division:
    """The plans of the nodes that see one pixel, and of all others.

    Args:
        run: The run.
        stage: The stage.
        plan: The plan of the whole stage.
    """

    def __init__(self, run: Run, stage: str, plan: Any) -> None:
        graph = run.graph
        names = [step.name for step in plan.steps]
        local = local_nodes(graph, names)
        others = [name for name in names if name not in local]
        # A node without an output can only run together with all others.
        self.is_possible = bool(local) and all(graph.nodes[name].outputs for name in others)
        if not self.is_possible:
            return
        read = {end for step in plan.steps if step.name in others for end in step.reads}
        ends = sorted(end for end in read if node_of(end) in local)
        self.first = run.plan(stage, ends)
        self.second = run.plan(stage, _outputs_of(graph, others), provided=ends)
        of_batch = {name for name, port in graph.batch.items() if is_map(port)}
        self.maps = of_batch.union(end for end in ends if is_map(graph.port(end)))
        self.read_of_batch = {name for name in graph.batch if f"batch.{name}" in read}


def _outputs_of(graph: Graph, names: Iterable[str]) -> list[str]:
    return [f"{name}.{port}" for name in names for port in graph.nodes[name].outputs]
