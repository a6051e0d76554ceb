"""Watches the nodes that are told which decisions are right, and what they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_report import curves
from specloom_report.arrays import detached, on_host
from specloom_report.pictures import (
    MOST,
    Levels,
    as_levels,
    colour_bands,
    small_colours,
    small_picture,
)
from specloom_report.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from specloom import Graph

PREFERRED = ("test", "val", "train", "predict")


class Judged:
    """One pass of a stage through one judge."""

    def __init__(self) -> None:
        self.sample = Sample()
        self.pictures: list[dict[str, NDArray[Any]]] = []


class Judges:
    """Gathers scores and decisions for each node with the inputs ``decisions`` and ``targets``.

    What such a node is given is taken from the outputs of the nodes before it, so nothing runs
    that would not run anyway. Of each stage the last pass is kept.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._feeds = {}
        for name, node in graph.nodes.items():
            fed = {port: ends[0] for port, ends in graph.incoming(name).items()}
            known = all(not end.startswith("batch.") for end in fed.values())
            if {"decisions", "targets"} <= fed.keys() and known and node.outputs:
                self._feeds[name] = fed
        wanted = ("decisions", "targets", "logits", "valid")
        self._ends = {fed[p] for fed in self._feeds.values() for p in wanted if p in fed}
        self._cube, self._wavelengths = self._colours()
        self._most = MOST // max(len(self._feeds), 1)
        self._values: dict[str, Any] = {}
        self._bands: list[int] = []
        self._grid: list[float] | None = None
        self._open = {name: Judged() for name in self._feeds}
        #: The last finished pass of each judge and stage, and the step it was recorded with.
        self.done: dict[tuple[str, str], tuple[int, Judged]] = {}

    def _colours(self) -> tuple[str, str]:
        """The first cubes, and their wavelengths, as ``node.port``; empty where there are none."""
        ends = [fed["decisions"] for fed in self._feeds.values()]
        behind = self._graph.ancestors(ends) if ends else set()
        for name in (name for name in self._graph.order if name in behind):
            outputs = self._graph.nodes[name].outputs
            for port, spec in outputs.items():
                if len(spec.names) == 4 and spec.names[-1] not in ("1", "2"):
                    grid = f"{name}.wavelengths" if "wavelengths" in outputs else ""
                    return f"{name}.{port}", grid
        return "", ""

    def node_ran(self, node: str, outputs: Mapping[str, Any], seconds: float) -> None:
        """Take what a judge will be given, and all of it when the judge ran."""
        for port, value in outputs.items():
            end = f"{node}.{port}"
            if value is None:
                continue
            if end in self._ends:
                self._values[end] = detached(value)
            if end == self._wavelengths and self._grid is None:
                self._grid = on_host(value).tolist()
        if node == self._cube.partition(".")[0]:
            self._take_colours(outputs)
        if node in self._feeds:
            self._judge(node)

    def _take_colours(self, outputs: Mapping[str, Any]) -> None:
        self._values.pop(self._cube, None)
        cube = outputs.get(self._cube.partition(".")[2])
        room = max((self._most - len(one.pictures) for one in self._open.values()), default=0)
        if cube is not None and room > 0:
            self._bands = self._bands or colour_bands(cube.shape[-1], self._grid)
            self._values[self._cube] = small_colours(cube, room, self._bands)

    def _judge(self, name: str) -> None:
        now, feeds = self._open[name], self._feeds[name]
        given = {port: self._values.get(end) for port, end in feeds.items()}
        if given["decisions"] is None or given["targets"] is None:
            return
        host = {
            port: None if given.get(port) is None else on_host(given[port])
            for port in ("decisions", "targets", "logits", "valid")
        }
        decisions, targets = host["decisions"], host["targets"]
        if decisions is None or targets is None:
            return
        now.sample.add(decisions, targets, host["logits"], host["valid"])
        colours = self._values.get(self._cube)
        for i in range(min(len(decisions), self._most - len(now.pictures))):
            shown = None if colours is None or len(colours) <= i else colours[i]
            scores, valid = _one(host["logits"], i), _one(host["valid"], i)
            kept = small_picture(decisions[i, ..., 0], targets[i, ..., 0], scores, valid, shown)
            now.pictures.append(kept)

    def recorded(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a stage were recorded: the pass that is under way was that stage's."""
        stage = next(iter(values), "").partition("/")[0]
        for name, now in self._open.items():
            if len(now.sample):
                self.done[name, stage] = step, now
                self._open[name] = Judged()
        self._values.clear()

    def told(self) -> dict[str, Any]:
        """What was gathered, as plain numbers."""
        found = []
        for (name, stage), (step, judged) in self.done.items():
            one = curves.told(judged.sample)
            decider = self._feeds[name]["decisions"].partition(".")[0]
            if "threshold" in one:
                one["threshold"]["value"] = self._threshold(decider, one["threshold"])
            found.append({"judge": name, "decider": decider, "stage": stage, "step": step, **one})
        shown, arrays = self.shown()
        grid = self._grid
        shown["bands"] = [
            {"band": band, "nm": None if grid is None else grid[band]} for band in self._bands
        ]
        return {"judged": found, "pictures": shown, "arrays": arrays}

    def _threshold(self, decider: str, told: Mapping[str, Any]) -> float | None:
        """The decider's own threshold, if its decisions are of these scores."""
        if not told["single"]:
            return None
        own: float | None = getattr(self._graph.nodes.get(decider), "logit_threshold", None)
        low = -np.inf if told["above"] is None else told["above"]
        high: float | None = told["at_most"]
        # The decider compares in float32, so its threshold may lie a little above that score.
        limit = np.inf if high is None else high + 1e-6 * max(abs(high), 1.0)
        return float(own) if own is not None and low < own <= limit else high

    def shown(self) -> tuple[dict[str, Any], dict[str, Levels]]:
        """Which pictures there are, all of one stage, and their levels by name."""
        stages = {stage for _, stage in self.done}
        stage = next((one for one in PREFERRED if one in stages), "")
        arrays, images = dict[str, Levels](), []
        for (name, one), (_, judged) in self.done.items():
            for i, kept in enumerate(judged.pictures if one == stage else ()):
                made = as_levels(kept)
                images.append({"judge": name, "number": i, "has": sorted(made)})
                arrays |= {f"{name}/{i}/{part}": array for part, array in made.items()}
        return {"stage": stage, "images": images}, arrays


def _one(values: NDArray[Any] | None, image: int) -> NDArray[Any] | None:
    return None if values is None else values[image, ..., 0]
