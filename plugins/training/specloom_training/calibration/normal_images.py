"""The normal images of a split, as a decider reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from specloom import DataError
from specloom_objects import Regions
from specloom_training.calibration.deciders import (
    GATE,
    DeciderInputs,
    inputs_of_metric_node,
    is_gated,
)
from specloom_training.calibration.normals import NormalScores
from specloom_training.windowed import WindowedPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from specloom import Batch, Run
    from specloom_training.calibration.normals import Per
    from specloom_training.calibration.region_events import Connectivity
    from specloom_training.domain import DomainWatch


class FoundAlarms(NamedTuple):
    """What a decider decides on normal images."""

    false_alarms: int
    decided_pixels: int
    pixels: int


class _Image(NamedTuple):
    """One image without anomalies, or its pixels that are none."""

    number: int
    """Its place in the batch."""
    counted: Tensor
    """The normal pixels that count, bool (H, W)."""


class NormalImages:
    """The normal images of a split.

    Where the split has masks, only pixels that are labelled normal count, and for rates of images
    only images without an anomaly. Without masks all pixels count.

    Args:
        run: The run.
        decider: The decider.
        stage: The stage of the split.
        parameter: The threshold that is calibrated.
        per: What a false alarm is.
        connectivity: Which pixels touch.
    """

    def __init__(
        self,
        run: Run,
        decider: str,
        stage: str,
        parameter: str,
        per: Per,
        connectivity: Connectivity,
    ) -> None:
        self._run = run
        self._decider = decider
        self._stage = stage
        self._parameter = parameter
        self._per = per
        self._connectivity = connectivity
        self._reads = DeciderInputs(run.graph, decider)
        self._targets: str | None = None
        self._labelled: list[str] = []
        metric_inputs = inputs_of_metric_node(run.graph, decider)
        missing = run.graph.missing_data(stage).values
        if metric_inputs and metric_inputs["targets"][0] not in missing:
            self._targets = metric_inputs["targets"][0]
            self._labelled = metric_inputs.get("valid", [])

    def scores(self, watch: DomainWatch | None = None) -> NormalScores:
        """Read the split once.

        Args:
            watch: Compares the cubes with those of the fit.

        Raises:
            DataError: No image counts.
        """
        node = self._run.graph.nodes[self._decider]
        normals = NormalScores(self._per, self._connectivity)
        for values in self._read([], f"calibrating {self._decider}", watch):
            levels = self._reads.levels(values, self._parameter)
            gates = None
            if is_gated(node):
                gates = self._reads.image_scores(values)
            for image in self._normal(values, levels):
                scores = levels[image.number, ..., 0].cpu()
                score = None
                if gates is not None and self._parameter == GATE:
                    score = float(gates[image.number])
                elif gates is not None and gates[image.number] < node.image_threshold:
                    scores = torch.full_like(scores, -torch.inf)
                normals.add(scores, image.counted, score)
        if not normals.images:
            raise DataError(
                f"{self._decider} has no normal image in the split {self._stage!r} to calibrate "
                "with",
                where=self._run.graph.where("data"),
                fix="use a split with images without anomalies, or another 'per'",
            )
        return normals

    def false_alarms(self) -> FoundAlarms:
        """Let the decider, as it is now, decide on the split, and count its false alarms."""
        output = f"{self._decider}.decisions"
        false_alarms = 0
        decided_pixels = 0
        pixels = 0
        for values in self._read([output], f"checking {self._decider}"):
            levels = self._reads.levels(values, self._parameter)
            for image in self._normal(values, levels):
                decided = values[output][image.number, ..., 0].cpu() & image.counted
                decided_pixels += int(decided.sum())
                pixels += int(image.counted.sum())
                false_alarms += self._count(decided)
        return FoundAlarms(false_alarms, decided_pixels, pixels)

    def _count(self, decided: Tensor) -> int:
        if self._per == "pixel":
            return int(decided.sum())
        if self._per == "image":
            return int(decided.any())
        regions = Regions(self._connectivity)
        regions.scan(decided.numpy())
        regions.join()
        return regions.count

    def _read(
        self, more: list[str], what: str, watch: DomainWatch | None = None
    ) -> Iterator[Batch]:
        """The values of each batch that the decider reads, and some more."""
        run = self._run
        ends = {*self._reads.ends, *more, *self._labelled}
        if self._targets is not None:
            ends.add(self._targets)
        plan = run.plan(self._stage, ends)
        with run.inference():
            windowed = WindowedPlan(run.graph, plan)
            for batch in run.windowed_batches(self._stage, what):
                yield windowed(batch, watch)

    def _normal(self, values: Batch, levels: Tensor) -> Iterator[_Image]:
        """The images of a batch that have normal pixels."""
        counted = (~levels.isnan()) & (levels < torch.inf)
        targets = None
        if self._targets is not None:
            targets = values[self._targets]
            for end in self._labelled:
                if values[end] is not None:
                    counted = counted & values[end]
        for number in range(len(levels)):
            normal = counted[number, ..., 0]
            is_clean = True
            if targets is not None:
                anomalous = targets[number, ..., 0]
                is_clean = not bool(anomalous.any())
                normal = normal & ~anomalous
            if self._per == "image" and not is_clean:
                continue
            if bool(normal.any()):
                yield _Image(number, normal.cpu())
