"""Collects scores, decisions and ground truth where a node compares them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_pictures import colour_bands
from specloom_report.collecting.arrays import detach, to_numpy
from specloom_report.collecting.curves import summarise
from specloom_report.collecting.evaluation import Compared, Evaluation, Shown
from specloom_report.collecting.held_cube import HeldCube, hold
from specloom_report.collecting.image_spectra import pooled_spectra
from specloom_report.collecting.stored_image import StoredImage, describe_images
from specloom_report.collecting.thumbnails import MAX_IMAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from specloom import Graph

#: The split whose images are shown is the first of these that the run evaluated.
SHOWN_SPLITS = ("test", "val", "train", "predict")
PORTS = ("decisions", "targets", "logits", "valid", "classes")
OUTPUTS = "outputs"
"""What stands for a comparing node where the graph has none."""


class Detections:
    """Collects the inputs of each node that reads ``decisions`` and ``targets``.

    They are taken from the outputs of the nodes before it, so nothing runs that would not run
    anyway. Of each stage the last pass counts. Of its images those are shown in which most is
    wrong.

    Args:
        graph: The graph.
        count_images: How many images the largest split has, so that pictures and spectra of few
            images are finer.
    """

    def __init__(self, graph: Graph, count_images: Callable[[], int] = lambda: MAX_IMAGES) -> None:
        self._graph = graph
        self._count_images = count_images
        self._inputs = dict(_evaluating_nodes(graph))
        self._needed = set(self._needed_outputs())
        self._cube, self._wavelengths = _find_cube(graph, self.ends().values())
        self._values: dict[str, Any] = {}
        self._shown: Shown | None = None
        self._band_centres: list[float] | None = None
        self._running = {name: Evaluation() for name in self._inputs}
        #: By node and stage the step and the pixels of the last finished pass.
        self.finished: dict[tuple[str, str], tuple[int, Evaluation]] = {}

    def ends(self) -> dict[str, str]:
        """Return what the first comparing node reads, by port: decisions, scores, valid pixels.

        Without such a node they are the outputs of the graph.
        """
        for inputs in self._inputs.values():
            return {port: inputs[port] for port in PORTS if port in inputs}
        return _output_ends(self._graph)

    def cube_ends(self) -> list[str]:
        """Return the cubes that are shown and their wavelengths, as ``node.port``."""
        return [end for end in (self._cube, self._wavelengths) if end]

    def _needed_outputs(self) -> Iterable[str]:
        for inputs in self._inputs.values():
            for port in PORTS:
                if port in inputs:
                    yield inputs[port]

    def phase_started(self, name: str) -> None:
        """Release what is held of the phase before, such as the last cubes of a fit."""
        self._values.clear()

    def node_ran(self, node: str, outputs: Mapping[str, Any], seconds: float) -> None:
        """Remember what an evaluating node will read, and evaluate when it ran."""
        for port, value in outputs.items():
            end = f"{node}.{port}"
            if value is None:
                continue
            if end in self._needed:
                self._values[end] = detach(value)
            if end == self._wavelengths:
                self._remember_wavelengths(value)
        if node == self._cube.partition(".")[0]:
            self._hold_cube(outputs.get(self._cube.partition(".")[2]))
        if node in self._inputs:
            compared = self._read_inputs(self._inputs[node])
            if compared is not None:
                held = self._values.get(self._cube)
                self._running[node].add(compared, held, self._shown_options(held))

    def add_outputs(self, stage: str, ends: Mapping[str, str], values: Mapping[str, Any]) -> None:
        """Add one batch of a stage that no node evaluated.

        Args:
            stage: The stage.
            ends: Where the values of each port are from.
            values: The values by ``node.port``.
        """
        found = _numpy_by_port(ends, values)
        name = next(iter(self._inputs), OUTPUTS)
        if (name, stage) not in self.finished:
            self.finished[name, stage] = (0, Evaluation())
        if self._wavelengths in values and values[self._wavelengths] is not None:
            self._remember_wavelengths(values[self._wavelengths])
        self._hold_cube(values.get(self._cube))
        decisions = found["decisions"]
        if decisions is None:
            logits = found["logits"]
            if logits is None:
                return
            decisions = np.zeros(logits.shape, bool)
        compared = Compared(
            decisions, found["targets"], found["logits"], found["valid"], found["classes"]
        )
        held = self._values.get(self._cube)
        self.finished[name, stage][1].add(compared, held, self._shown_options(held))

    def _remember_wavelengths(self, value: Any) -> None:
        if self._band_centres is None:
            self._band_centres = to_numpy(value).reshape(-1).tolist()

    def _hold_cube(self, cube: Any) -> None:
        self._values.pop(self._cube, None)
        if cube is not None:
            self._values[self._cube] = hold(cube)

    def _shown_options(self, held: HeldCube | None) -> Shown:
        """Return how images are shown; it is decided with the first one."""
        if self._shown is None:
            most = MAX_IMAGES // max(len(self._shown_nodes()), 1)
            bands: list[int] = []
            if held is not None:
                bands = colour_bands(held.shape[-1], self._band_centres)
            self._shown = Shown(most, min(most, max(self._count_images(), 1)), bands)
        return self._shown

    def _read_inputs(self, inputs: Mapping[str, str]) -> Compared | None:
        """Return what a node read; None while its decisions or targets are missing."""
        found = _numpy_by_port(inputs, self._values)
        if found["decisions"] is None or found["targets"] is None:
            return None
        return Compared(
            found["decisions"], found["targets"], found["logits"], found["valid"], found["classes"]
        )

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
        evaluated = []
        for (name, stage), (step, evaluation) in self.finished.items():
            summary = summarise(evaluation.sample)
            decider = self._decider(name)
            if "threshold" in summary:
                summary["threshold"]["value"] = self._threshold(decider, summary["threshold"])
            # The keys are those of version 1 of the stored data.
            place = {"judge": name, "decider": decider, "stage": stage, "step": step}
            evaluated.append({**place, "masked": evaluation.has_masks, **summary})
        pictures, arrays = self._describe_images()
        return {"judged": evaluated, "pictures": pictures, "arrays": arrays}

    def _decider(self, name: str) -> str:
        """Return the node whose decisions were compared, or are an output."""
        inputs = self._inputs.get(name) or self.ends()
        return inputs.get("decisions", "").partition(".")[0]

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

    def _describe_images(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the images of the shown split, and their arrays by ``<node>/<number>/<part>``."""
        stage = self._shown_stage()
        by_name: dict[str, list[StoredImage]] = {}
        shown = [*self._shown_nodes(), OUTPUTS]
        for (name, its_stage), (_step, evaluation) in self.finished.items():
            if its_stage == stage and name in shown:
                by_name[name] = evaluation.images
        described, arrays = describe_images(by_name)
        bands: list[dict[str, Any]] = []
        if self._shown is not None:
            bands = [self._describe_band(band) for band in self._shown.bands]
        pictures = {"stage": stage, "bands": bands, **described}
        pictures["wavelengths"] = self._finite_wavelengths()
        spectra = [one.spectra for images in by_name.values() for one in images]
        known = [one for one in spectra if one is not None]
        if known:
            pictures["spectra"] = pooled_spectra(known)
        return pictures, arrays

    def _shown_nodes(self) -> list[str]:
        """Return the comparing nodes whose images are shown.

        Of those that read the same decisions it is one, with scores if possible.
        """
        by_decisions: dict[str, str] = {}
        for name, inputs in self._inputs.items():
            other = by_decisions.setdefault(inputs["decisions"], name)
            if "logits" in inputs and "logits" not in self._inputs[other]:
                by_decisions[inputs["decisions"]] = name
        return list(by_decisions.values())

    def _shown_stage(self) -> str:
        stages = {stage for _name, stage in self.finished}
        for stage in (*SHOWN_SPLITS, *sorted(stages)):
            if stage in stages:
                return stage
        return ""

    def _finite_wavelengths(self) -> list[float] | None:
        centres = self._band_centres
        if centres is None or not np.isfinite(centres).all():
            return None
        return [round(centre, 3) for centre in centres]

    def _describe_band(self, band: int) -> dict[str, Any]:
        nm = None
        if self._band_centres is not None and band < len(self._band_centres):
            nm = self._band_centres[band]
        if nm is not None and not np.isfinite(nm):
            nm = None
        return {"band": band, "nm": nm}


def _evaluating_nodes(graph: Graph) -> Iterable[tuple[str, dict[str, str]]]:
    """Yield each node that reads ``decisions`` and ``targets``, with what its inputs come from.

    With the targets of a data node come the ``classes`` of its masks, though nothing reads them.
    A node that reads the batch itself is not one: what stands there has no node that ran.
    """
    for name, node in graph.nodes.items():
        inputs = {port: ends[0] for port, ends in graph.incoming(name).items()}
        reads_batch = any(end.startswith("batch.") for end in inputs.values())
        if {"decisions", "targets"} <= inputs.keys() and not reads_batch and node.outputs:
            source = inputs["targets"].partition(".")[0]
            if "classes" in graph.nodes[source].outputs:
                inputs["classes"] = f"{source}.classes"
            yield name, inputs


def _output_ends(graph: Graph) -> dict[str, str]:
    """Return the first map of decisions and of scores among the outputs of the graph."""
    ends: dict[str, str] = {}
    for end in graph.outputs.values():
        port = graph.port(end)
        if len(port.names) != 4 or port.names[-1] != "1":
            continue
        if port.dtype == "bool":
            ends.setdefault("decisions", end)
        else:
            ends.setdefault("logits", end)
    return ends


def _find_cube(graph: Graph, ends: Iterable[str]) -> tuple[str, str]:
    """Return the first cubes and their wavelengths as ``node.port``, empty where there is none.

    Only the nodes before one of the ends count.
    """
    before = graph.ancestors(list(ends))
    for name in graph.order:
        if name not in before:
            continue
        outputs = graph.nodes[name].outputs
        for port, spec in outputs.items():
            if len(spec.names) == 4 and spec.names[-1] not in ("1", "2"):
                if "wavelengths" in outputs:
                    return f"{name}.{port}", f"{name}.wavelengths"
                return f"{name}.{port}", ""
    return "", ""


def _numpy_by_port(ends: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of each port as arrays; None where one is missing."""
    found: dict[str, Any] = {}
    for port in PORTS:
        value = values.get(ends.get(port, ""))
        found[port] = None
        if value is not None:
            found[port] = to_numpy(value)
    return found
