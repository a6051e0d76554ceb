"""The pixels of a split with a mask, for thresholds that make a metric largest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    from specloom import Run
    from specloom_training.domain import DomainWatch


class CountedPixels:
    """What the decider reads on a split, and the targets of the pixels that count, on the CPU.

    Args:
        run: The run.
        decider: The decider.
        stage: The stage of the split.
    """

    def __init__(self, run: Run, decider: str, stage: str) -> None:
        self._run = run
        self._decider = decider
        self._stage = stage
        self._reads = DeciderInputs(run.graph, decider)
        self._inputs: list[dict[str, Any]] = []
        self._counted: list[Tensor] = []
        self._targets: list[Tensor] = []

    def read(self, watch: DomainWatch) -> None:
        """Read the split once: the decider's inputs, the metrics node's targets, valid pixels.

        Args:
            watch: Compares the cubes with those of the fit.

        Raises:
            DataError: A batch has no mask.
        """
        run = self._run
        metric_inputs = inputs_of_metric_node(run.graph, self._decider)
        targets = metric_inputs["targets"][0]
        valid_ends = metric_inputs.get("valid", [])
        plan = run.plan(self._stage, {*self._reads.ends, targets, *valid_ends})
        with run.inference():
            windowed = WindowedPlan(run.graph, plan)
            for batch in run.windowed_batches(self._stage, f"calibrating {self._decider}"):
                values = windowed(batch, watch)
                if values[targets] is None:
                    raise DataError(
                        f"{self._decider} is calibrated with {targets}, and a batch of "
                        f"{self._stage!r} has none",
                        where=run.graph.where("data"),
                        fix="use data with a mask for each image, or remove training.Calibrate",
                    )
                counted = torch.isfinite(values[self._reads.logits])
                valid_masks = [values[end] for end in valid_ends]
                valid_masks.append(self._reads.valid_of(values))
                for valid in valid_masks:
                    if valid is not None:
                        counted &= valid
                inputs = {end: values[end] for end in self._reads.ends}
                self._add(inputs, values[targets], counted)

    def _add(self, inputs: dict[str, Any], targets: Tensor, counted: Tensor) -> None:
        self._inputs.append({end: _on_cpu(value) for end, value in inputs.items()})
        self._counted.append(counted.cpu())
        self._targets.append(targets[counted].cpu())

    def levels(self, parameter: str) -> Tensor:
        """The largest value of a threshold with which each pixel that counts is decided."""
        pairs = zip(self._inputs, self._counted, strict=True)
        if parameter == THRESHOLD:
            return torch.cat([inputs[self._reads.logits][counted] for inputs, counted in pairs])
        found = []
        for inputs, counted in pairs:
            found.append(self._reads.levels(inputs, parameter).cpu()[counted])
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
