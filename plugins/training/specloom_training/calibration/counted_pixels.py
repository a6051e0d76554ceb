"""The pixels of a split with a mask, for thresholds that make a metric largest."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from specloom import DataError
from specloom_training.calibration.deciders import (
    THRESHOLD,
    DeciderInputs,
    inputs_of_metric_node,
)
from specloom_training.windowed import WindowedPlan

if TYPE_CHECKING:
    from specloom import Batch, ImageWindows, Run
    from specloom_training.domain import DomainWatch


class CountedBatch(NamedTuple):
    """What the decider reads of a batch, and its pixels that count."""

    values: dict[str, Any]
    """The values by ``node.port``, with what was wanted besides."""
    counted: Tensor
    """The pixels that count, bool (B, H, W, 1)."""
    targets: Tensor
    """Whether each of them is anomalous, bool (N,)."""


class CountedBatches:
    """Runs batches up to a decider, and finds the pixels that count.

    Args:
        run: The run.
        decider: The decider.
        stage: The stage of the split.
        more: Values to make besides, as ``node.port``.
    """

    def __init__(self, run: Run, decider: str, stage: str, more: Iterable[str] = ()) -> None:
        self._run = run
        self._decider = decider
        self._stage = stage
        self.reads = DeciderInputs(run.graph, decider)
        metric_inputs = inputs_of_metric_node(run.graph, decider)
        self._targets = metric_inputs["targets"][0]
        self._valid_ends = metric_inputs.get("valid", [])
        ends = {*self.reads.ends, self._targets, *self._valid_ends, *more}
        self._plan = WindowedPlan(run.graph, run.plan(stage, ends))

    def of(self, batch: Batch | ImageWindows, watch: DomainWatch | None = None) -> CountedBatch:
        """Run a batch.

        Args:
            batch: The batch, or an image in windows.
            watch: Compares the cubes with those of the fit; None for no comparison.

        Raises:
            DataError: The batch has no mask.
        """
        values = self._plan(batch, watch)
        targets = values[self._targets]
        if targets is None:
            raise DataError(
                f"{self._decider} is calibrated with {self._targets}, and a batch of "
                f"{self._stage!r} has none",
                where=self._run.graph.where("data"),
                fix="use data with a mask for each image, or remove training.Calibrate",
            )
        counted = torch.isfinite(values[self.reads.logits])
        valid_masks = [values[end] for end in self._valid_ends]
        valid_masks.append(self.reads.valid_of(values))
        for valid in valid_masks:
            if valid is not None:
                counted &= valid
        return CountedBatch(values, counted, targets[counted])

    def levels(self, batch: CountedBatch, parameter: str) -> Tensor:
        """The largest value of a threshold with which each pixel that counts is decided."""
        if parameter == THRESHOLD:
            logits: Tensor = batch.values[self.reads.logits]
            return logits[batch.counted]
        return self.reads.levels(batch.values, parameter)[batch.counted]


class CountedPixels:
    """What the decider reads on a split, and the targets of the pixels that count, on the CPU.

    Args:
        run: The run.
        decider: The decider.
        stage: The stage of the split.
        parameter: The threshold of pixels.
    """

    def __init__(self, run: Run, decider: str, stage: str, parameter: str) -> None:
        self._run = run
        self._decider = decider
        self._stage = stage
        self._parameter = parameter
        self._reads = DeciderInputs(run.graph, decider)
        self._inputs: list[dict[str, Any]] = []
        self._counted: list[Tensor] = []
        self._targets: list[Tensor] = []

    def read(self, watch: DomainWatch, most_bytes: float = math.inf) -> bool:
        """Read the split once: the decider's inputs, the metrics node's targets, valid pixels.

        Args:
            watch: Compares the cubes with those of the fit.
            most_bytes: How much of it may be held in memory.

        Returns:
            Whether it is no more; else nothing is held, and the rest was not read.

        Raises:
            DataError: A batch has no mask.
        """
        run = self._run
        batches = CountedBatches(run, self._decider, self._stage)
        held = 0
        with run.inference():
            for batch in run.windowed_batches(self._stage, f"calibrating {self._decider}"):
                counted = batches.of(batch, watch)
                inputs = {end: counted.values[end] for end in self._reads.ends}
                held += self._add(inputs, counted)
                if held > most_bytes:
                    self._forget()
                    return False
        return True

    def _add(self, inputs: dict[str, Any], batch: CountedBatch) -> int:
        """Hold a batch; how many bytes it has."""
        on_cpu = {end: _on_cpu(value) for end, value in inputs.items()}
        self._inputs.append(on_cpu)
        self._counted.append(batch.counted.cpu())
        self._targets.append(batch.targets.cpu())
        tensors = [*on_cpu.values(), self._counted[-1], self._targets[-1]]
        return sum(tensor.nbytes for tensor in tensors if isinstance(tensor, Tensor))

    def _forget(self) -> None:
        self._inputs.clear()
        self._counted.clear()
        self._targets.clear()

    def levels(self) -> Tensor:
        """The largest value of the threshold with which each pixel that counts is decided."""
        pairs = zip(self._inputs, self._counted, strict=True)
        if self._parameter == THRESHOLD:
            return torch.cat([inputs[self._reads.logits][counted] for inputs, counted in pairs])
        found = []
        for inputs, counted in pairs:
            found.append(self._reads.levels(inputs, self._parameter).cpu()[counted])
        return torch.cat(found)

    def targets(self) -> Tensor:
        """Whether each of them is anomalous."""
        return torch.cat(self._targets)

    def image_numbers(self) -> Tensor:
        """The number of the image that each of them is in."""
        sizes = torch.cat([counted.flatten(1).sum(1) for counted in self._counted])
        return torch.repeat_interleave(torch.arange(len(sizes)), sizes)

    def image_scores(self) -> Tensor:
        """The score of each image, which a gated decider compares with its gate."""
        return torch.cat([self._reads.image_scores(inputs).cpu() for inputs in self._inputs])

    def decisions(self) -> Tensor:
        """Whether the decider, as it is now, decides for each of them."""
        run = self._run
        output = f"{self._decider}.decisions"
        ends = self._reads.ends
        ports = {end: run.graph.port(end) for end in ends}
        plan = run.plan(self._stage, [output], provided=ends)
        found = []
        with run.inference():
            for inputs, counted in zip(self._inputs, self._counted, strict=True):
                values = plan(run.runtime.adopt(inputs, ports))
                found.append(values[output].cpu()[counted])
        return torch.cat(found)


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.cpu()
    return value
