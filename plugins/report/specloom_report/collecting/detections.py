"""Collects scores, decisions and ground truth where a node compares them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from specloom_report.collecting.arrays import detach, to_numpy
from specloom_report.collecting.curves import summarise
from specloom_report.collecting.pixel_sample import PixelSample
from specloom_report.collecting.thumbnails import (
    MAX_IMAGES,
    Levels,
    as_levels,
    colour_bands,
    make_thumbnail,
    sample_colours,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from specloom import Graph

    Pixels = NDArray[Any]

#: The split whose images are shown is the first of these that the run evaluated.
SHOWN_SPLITS = ("test", "val", "train", "predict")
PORTS = ("decisions", "targets", "logits", "valid")


class Evaluation:
    """The pixels that one node compared in one pass of a stage."""

    def __init__(self) -> None:
        self.sample = PixelSample()
        self.thumbnails: list[dict[str, Pixels]] = []


class Compared(NamedTuple):
    """One batch as an evaluating node reads it, each (B, H, W, 1)."""

    decisions: Pixels
    targets: Pixels
    logits: Pixels | None
    valid: Pixels | None


class Detections:
    """Collects the inputs of each node that reads ``decisions`` and ``targets``.

    They are taken from the outputs of the nodes before it, so nothing runs that would not run
    anyway. Of each stage the last pass counts.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._inputs = dict(_evaluating_nodes(graph))
        self._needed = set(self._needed_outputs())
        self._cube, self._wavelengths = self._find_cube()
        self._max_images = MAX_IMAGES // max(len(self._inputs), 1)
        self._values: dict[str, Any] = {}
        self._bands: list[int] = []
        self._band_centres: list[float] | None = None
        self._running = {name: Evaluation() for name in self._inputs}
        #: By node and stage the step and the pixels of the last finished pass.
        self.finished: dict[tuple[str, str], tuple[int, Evaluation]] = {}

    def _needed_outputs(self) -> Iterable[str]:
        for inputs in self._inputs.values():
            for port in PORTS:
                if port in inputs:
                    yield inputs[port]

    def _find_cube(self) -> tuple[str, str]:
        """Return the first cubes and their wavelengths as ``node.port``, empty where there is none.

        Only the nodes before a decision count.
        """
        decisions = [inputs["decisions"] for inputs in self._inputs.values()]
        if not decisions:
            return "", ""
        before = self._graph.ancestors(decisions)
        for name in self._graph.order:
            if name not in before:
                continue
            outputs = self._graph.nodes[name].outputs
            for port, spec in outputs.items():
                if len(spec.names) == 4 and spec.names[-1] not in ("1", "2"):
                    if "wavelengths" in outputs:
                        return f"{name}.{port}", f"{name}.wavelengths"
                    return f"{name}.{port}", ""
        return "", ""

    def node_ran(self, node: str, outputs: Mapping[str, Any], seconds: float) -> None:
        """Remember what an evaluating node will read, and evaluate when it ran."""
        for port, value in outputs.items():
            end = f"{node}.{port}"
            if value is None:
                continue
            if end in self._needed:
                self._values[end] = detach(value)
            if end == self._wavelengths and self._band_centres is None:
                self._band_centres = to_numpy(value).tolist()
        if node == self._cube.partition(".")[0]:
            self._collect_colours(outputs)
        if node in self._inputs:
            self._evaluate(node)

    def _collect_colours(self, outputs: Mapping[str, Any]) -> None:
        self._values.pop(self._cube, None)
        cube = outputs.get(self._cube.partition(".")[2])
        if cube is None or not self._running:
            return
        fewest = min(len(evaluation.thumbnails) for evaluation in self._running.values())
        wanted = self._max_images - fewest
        if wanted <= 0:
            return
        if not self._bands:
            self._bands = colour_bands(cube.shape[-1], self._band_centres)
        self._values[self._cube] = sample_colours(cube, wanted, self._bands)

    def _evaluate(self, name: str) -> None:
        compared = self._read_inputs(self._inputs[name])
        if compared is None:
            return
        evaluation = self._running[name]
        evaluation.sample.add(*compared)
        colours = self._values.get(self._cube, ())
        wanted = self._max_images - len(evaluation.thumbnails)
        for image in range(min(len(compared.decisions), wanted)):
            shown = None
            if image < len(colours):
                shown = colours[image]
            thumbnail = make_thumbnail(
                compared.decisions[image, ..., 0],
                compared.targets[image, ..., 0],
                _image_of(compared.logits, image),
                _image_of(compared.valid, image),
                shown,
            )
            evaluation.thumbnails.append(thumbnail)

    def _read_inputs(self, inputs: Mapping[str, str]) -> Compared | None:
        """Return what a node read; None while its decisions or targets are missing."""
        found: dict[str, Pixels | None] = {}
        for port in PORTS:
            value = self._values.get(inputs.get(port, ""))
            found[port] = None
            if value is not None:
                found[port] = to_numpy(value)
        if found["decisions"] is None or found["targets"] is None:
            return None
        return Compared(found["decisions"], found["targets"], found["logits"], found["valid"])

    def recorded(self, step: int, values: Mapping[str, float]) -> None:
        """Finish the pass that is running: it was of the stage whose values are recorded."""
        stage = next(iter(values), "").partition("/")[0]
        for name, evaluation in self._running.items():
            if len(evaluation.sample):
                self.finished[name, stage] = (step, evaluation)
                self._running[name] = Evaluation()
        self._values.clear()

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluations as plain numbers, and their pictures as ``arrays``."""
        judged = []
        for (name, stage), (step, evaluation) in self.finished.items():
            summary = summarise(evaluation.sample)
            decider = self._inputs[name]["decisions"].partition(".")[0]
            if "threshold" in summary:
                summary["threshold"]["value"] = self._threshold(decider, summary["threshold"])
            place = {"judge": name, "decider": decider, "stage": stage, "step": step}
            judged.append(place | summary)
        pictures, arrays = self._pictures()
        return {"judged": judged, "pictures": pictures, "arrays": arrays}

    def _threshold(self, decider: str, observed: Mapping[str, Any]) -> float | None:
        """Return the decider's own threshold, if its decisions are of these scores."""
        if not observed["single"]:
            return None
        at_most: float | None = observed["at_most"]
        own: float | None = getattr(self._graph.nodes.get(decider), "logit_threshold", None)
        if own is None:
            return at_most
        low = -np.inf
        if observed["above"] is not None:
            low = observed["above"]
        high = np.inf
        if at_most is not None:
            # The decider compares in float32: its threshold may lie a little above that score.
            high = at_most + 1e-6 * max(abs(at_most), 1.0)
        if low < own <= high:
            return float(own)
        return at_most

    def _pictures(self) -> tuple[dict[str, Any], dict[str, Levels]]:
        """Return which pictures there are, all of one stage, and their levels by name."""
        shown_stage = self._shown_stage()
        images: list[dict[str, Any]] = []
        arrays: dict[str, Levels] = {}
        for (name, stage), (_, evaluation) in self.finished.items():
            if stage != shown_stage:
                continue
            for number, thumbnail in enumerate(evaluation.thumbnails):
                levels = as_levels(thumbnail)
                images.append({"judge": name, "number": number, "has": sorted(levels)})
                for part, array in levels.items():
                    arrays[f"{name}/{number}/{part}"] = array
        bands = [self._describe_band(band) for band in self._bands]
        return {"stage": shown_stage, "images": images, "bands": bands}, arrays

    def _shown_stage(self) -> str:
        stages = {stage for _, stage in self.finished}
        for stage in SHOWN_SPLITS:
            if stage in stages:
                return stage
        return ""

    def _describe_band(self, band: int) -> dict[str, Any]:
        if self._band_centres is None:
            return {"band": band, "nm": None}
        return {"band": band, "nm": self._band_centres[band]}


def _evaluating_nodes(graph: Graph) -> Iterable[tuple[str, dict[str, str]]]:
    """Yield each node that compares decisions with targets, and the outputs that it reads.

    A node that reads the batch itself is not one: what stands there has no node that ran.
    """
    for name, node in graph.nodes.items():
        inputs = {port: ends[0] for port, ends in graph.incoming(name).items()}
        reads_batch = any(end.startswith("batch.") for end in inputs.values())
        if {"decisions", "targets"} <= inputs.keys() and not reads_batch and node.outputs:
            yield name, inputs


def _image_of(values: Pixels | None, image: int) -> Pixels | None:
    if values is None:
        return None
    return values[image, ..., 0]
