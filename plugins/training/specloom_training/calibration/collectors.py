"""What a calibration collects in one pass over a split, in this process or on shares of it.

What several collectors with one configuration collected is merged in the order of the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor

from specloom_metrics import ScoreBins
from specloom_objects import Regions
from specloom_training.calibration.counted_pixels import CountedBatches
from specloom_training.calibration.deciders import GATE, is_gated
from specloom_training.calibration.normal_images import NormalBatches
from specloom_training.calibration.normals import NormalScores

if TYPE_CHECKING:
    from specloom import Batch, ImageWindows, Run
    from specloom_training.calibration.normals import Per
    from specloom_training.calibration.region_events import Connectivity
    from specloom_training.domain import DomainWatch


class Collector(Protocol):
    """Collects from batches; states are merged in the order of the data."""

    def start(self) -> None:
        """Forget what was collected."""

    def add(self, batch: Batch | ImageWindows, watch: DomainWatch | None = None) -> None:
        """Take in a batch, or an image in windows."""

    def state(self) -> Mapping[str, Tensor]:
        """What was collected since ``start``."""

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one, whose batches follow."""


class LevelCounts:
    """How many pixels of each class are decided with thresholds within bins.

    Args:
        run: The run.
        decider: The decider.
        stage: The stage of the split.
        parameter: The threshold.
        bins: The bins, as plain values.
    """

    def __init__(
        self, run: Run, decider: str, stage: str, parameter: str, bins: Mapping[str, Any]
    ) -> None:
        self._batches = CountedBatches(run, decider, stage)
        self._parameter = parameter
        self._bins = bins
        #: Whether all levels were float32 numbers, which bins are made of.
        self.is_exact = True
        self.start()

    def start(self) -> None:
        """Forget what was counted."""
        self.counted = ScoreBins.of_json(self._bins)

    def add(self, batch: Batch | ImageWindows, watch: DomainWatch | None = None) -> None:
        """Count the pixels of a batch."""
        found = self._batches.of(batch, watch)
        levels = self._batches.levels(found, self._parameter)
        self.is_exact = self.is_exact and levels.dtype != torch.float64
        self.counted.add(levels, found.targets)

    def state(self) -> Mapping[str, Tensor]:
        """The bins with pixels."""
        return self.counted.state()

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add what another one counted."""
        self.counted.merge(state)


class PixelLevels:
    """The levels of all pixels that count, in their order: 5 bytes a pixel, 9 of float64.

    Args:
        run: The run.
        decider: The decider.
        stage: The stage of the split.
        parameter: The threshold of pixels.
    """

    def __init__(self, run: Run, decider: str, stage: str, parameter: str) -> None:
        self._is_gated = is_gated(run.graph.nodes[decider])
        self._batches = CountedBatches(run, decider, stage)
        self._parameter = parameter
        self.start()

    def start(self) -> None:
        """Forget what was collected."""
        self._parts: list[Mapping[str, Tensor]] = []

    def add(self, batch: Batch | ImageWindows, watch: DomainWatch | None = None) -> None:
        """Take in the pixels of a batch."""
        found = self._batches.of(batch, watch)
        sizes = found.counted.flatten(1).sum(1)
        scores = torch.zeros(len(sizes), dtype=torch.float64)
        if self._is_gated:
            scores = self._batches.reads.image_scores(found.values)
        part = {
            "levels": self._batches.levels(found, self._parameter),
            "targets": found.targets,
            "sizes": sizes,
            "scores": scores,
        }
        self._parts.append({name: value.cpu() for name, value in part.items()})

    def state(self) -> Mapping[str, Tensor]:
        """Levels and targets of pixels, (N,); pixels and scores of images, (B,)."""
        if not self._parts:
            return {}
        names = self._parts[0]
        state = {name: torch.cat([part[name] for part in self._parts]) for name in names}
        self._parts = [state]
        return state

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add what another one collected."""
        if state:
            self._parts.append(state)

    @property
    def nbytes(self) -> int:
        """The bytes of what was collected."""
        return sum(value.nbytes for value in self.state().values())

    def levels(self) -> Tensor:
        """The largest value of the threshold with which each pixel is decided, (N,)."""
        return self.state()["levels"]

    def targets(self) -> Tensor:
        """Whether each of them is anomalous, (N,)."""
        return self.state()["targets"]

    def image_numbers(self) -> Tensor:
        """The number of the image that each of them is in, (N,)."""
        sizes = self.state()["sizes"]
        return torch.repeat_interleave(torch.arange(len(sizes)), sizes)

    def image_scores(self) -> Tensor:
        """The score of each image, which a gated decider compares with its gate, (B,)."""
        return self.state()["scores"]


class _Counts:
    """Whole numbers that are counted, and added where states are merged.

    Args:
        size: How many there are.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.start()

    def start(self) -> None:
        """Forget what was counted."""
        self._counts = torch.zeros(self._size, dtype=torch.int64)

    def state(self) -> Mapping[str, Tensor]:
        """The counts."""
        return {"counts": self._counts.clone()}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add what another one counted."""
        self._counts += state["counts"]


class DecidedPixels(NamedTuple):
    """What a decider decides of the pixels that count."""

    true_positives: int
    false_positives: int
    anomalous: int
    normal: int


class DecisionCounts(_Counts):
    """What a decider, as it is now, decides of the pixels that count.

    Args:
        run: The run.
        decider: The decider.
        stage: The stage of the split.
    """

    def __init__(self, run: Run, decider: str, stage: str) -> None:
        self._output = f"{decider}.decisions"
        self._batches = CountedBatches(run, decider, stage, [self._output])
        super().__init__(len(DecidedPixels._fields))

    def add(self, batch: Batch | ImageWindows, watch: DomainWatch | None = None) -> None:
        """Count the decisions of a batch."""
        found = self._batches.of(batch, watch)
        decisions = found.values[self._output][found.counted]
        targets = found.targets
        counts = ((decisions & targets).sum(), (decisions & ~targets).sum())
        self._counts += torch.tensor([*counts, targets.sum(), (~targets).sum()])

    def decided(self) -> DecidedPixels:
        """What was counted."""
        return DecidedPixels(*self._counts.tolist())


class NormalLevels:
    """The levels of normal images, with which their pixels are decided.

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
        self._node: Any = run.graph.nodes[decider]
        self._batches = NormalBatches(run, decider, stage, per)
        self._parameter = parameter
        self._per = per
        self._connectivity = connectivity
        self.start()

    def start(self) -> None:
        """Forget what was collected."""
        self.normals = NormalScores(self._per, self._connectivity)

    def add(self, batch: Batch | ImageWindows, watch: DomainWatch | None = None) -> None:
        """Take in the normal images of a batch."""
        reads = self._batches.reads
        values = self._batches.of(batch, watch)
        levels = reads.levels(values, self._parameter)
        gates = None
        if is_gated(self._node):
            gates = reads.image_scores(values)
        for image in self._batches.normal(values, levels):
            scores = levels[image.number, ..., 0].cpu()
            score = None
            if gates is not None and self._parameter == GATE:
                score = float(gates[image.number])
            elif gates is not None and gates[image.number] < self._node.image_threshold:
                scores = torch.full_like(scores, -torch.inf)
            self.normals.add(scores, image.counted, score)

    def state(self) -> Mapping[str, Tensor]:
        """The largest levels, and sizes of the images."""
        return self.normals.state()

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add what another one collected."""
        self.normals.merge(state)


class FoundAlarms(NamedTuple):
    """What a decider decides on normal images."""

    false_alarms: int
    decided_pixels: int
    pixels: int


class AlarmCounts(_Counts):
    """The false alarms of a decider, as it is now, on normal images.

    Args:
        run: The run.
        decider: The decider.
        stage: The stage of the split.
        parameter: The threshold that was calibrated.
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
        self._output = f"{decider}.decisions"
        self._batches = NormalBatches(run, decider, stage, per, [self._output])
        self._parameter = parameter
        self._per = per
        self._connectivity: Connectivity = connectivity
        super().__init__(len(FoundAlarms._fields))

    def add(self, batch: Batch | ImageWindows, watch: DomainWatch | None = None) -> None:
        """Count the false alarms of a batch."""
        values = self._batches.of(batch, watch)
        levels = self._batches.reads.levels(values, self._parameter)
        for image in self._batches.normal(values, levels):
            decided = values[self._output][image.number, ..., 0].cpu() & image.counted
            found = FoundAlarms(self._count(decided), int(decided.sum()), int(image.counted.sum()))
            self._counts += torch.tensor(found)

    def alarms(self) -> FoundAlarms:
        """What was counted."""
        return FoundAlarms(*self._counts.tolist())

    def _count(self, decided: Tensor) -> int:
        if self._per == "pixel":
            return int(decided.sum())
        if self._per == "image":
            return int(decided.any())
        regions = Regions(self._connectivity)
        regions.scan(decided.numpy())
        regions.join()
        return regions.count


COLLECTORS: Mapping[str, Any] = {
    "levels": LevelCounts,
    "pixels": PixelLevels,
    "decisions": DecisionCounts,
    "normals": NormalLevels,
    "alarms": AlarmCounts,
}
"""Collectors by name, each made of a run and its configuration, which is JSON."""
