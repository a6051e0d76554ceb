"""The normal images of a split, as a decider reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from specloom_training.calibration.deciders import DeciderInputs, inputs_of_metric_node
from specloom_training.windowed import WindowedPlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

    from specloom import Batch, ImageWindows, Run
    from specloom_training.calibration.normals import Per
    from specloom_training.domain import DomainWatch


class NormalImage(NamedTuple):
    """One image without anomalies, or its pixels that are none."""

    number: int
    """Its place in the batch."""
    counted: Tensor
    """The normal pixels that count, bool (H, W)."""


class NormalBatches:
    """Runs batches up to a decider, and finds their normal pixels.

    Where the split has masks, only pixels that are labelled normal count, and for rates of images
    only images without an anomaly. Without masks all pixels count.

    Args:
        run: The run.
        decider: The decider.
        stage: The stage of the split.
        per: What a false alarm is.
        more: Values to make besides, as ``node.port``.
    """

    def __init__(
        self, run: Run, decider: str, stage: str, per: Per, more: Iterable[str] = ()
    ) -> None:
        self._per = per
        self.reads = DeciderInputs(run.graph, decider)
        self._targets: str | None = None
        self._labelled: list[str] = []
        metric_inputs = inputs_of_metric_node(run.graph, decider)
        missing = run.graph.missing_data(stage).values
        if metric_inputs and metric_inputs["targets"][0] not in missing:
            self._targets = metric_inputs["targets"][0]
            self._labelled = metric_inputs.get("valid", [])
        ends = {*self.reads.ends, *more, *self._labelled}
        if self._targets is not None:
            ends.add(self._targets)
        self._plan = WindowedPlan(run.graph, run.plan(stage, ends))

    def of(self, batch: Batch | ImageWindows, watch: DomainWatch | None = None) -> Batch:
        """The values of a batch, by ``node.port``.

        Args:
            batch: The batch, or an image in windows.
            watch: Compares the cubes with those of the fit; None for no comparison.
        """
        return self._plan(batch, watch)

    def normal(self, values: Batch, levels: Tensor) -> Iterator[NormalImage]:
        """The images of a batch that have normal pixels."""
        counted = (~levels.isnan()) & (levels < float("inf"))
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
                yield NormalImage(number, normal.cpu())
