"""One batch: the losses of all processes together, pooled over an epoch, and checked as finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from specloom import NodeError, Run
from specloom_training import processes


class Losses:
    """The loss nodes that are minimised.

    Several processes minimise what one would with all their images: each weights its losses by
    its share of what they counted.

    Args:
        run: The run.
        names: The loss nodes.
    """

    def __init__(self, run: Run, names: Sequence[str]) -> None:
        self.run = run
        self.names = list(names)
        self.nodes = [run.graph.nodes[name] for name in names]
        self.ends = [f"{name}.loss" for name in names]
        self._pooled: Tensor | None = None
        # What reads no image (weights only) is the same everywhere, and counts once.
        counted = [processes.rank() == 0 or _reads_images(run, name) for name in names]
        self._counted_here = torch.tensor(counted)

    def start(self) -> None:
        """Begin an epoch."""
        self._pooled = None

    def total(self, values: Mapping[str, Any], place: str) -> Tensor:
        """The sum of the losses of a batch, scaled so that processes' gradients add up.

        Args:
            values: The values of the batch by ``node.port``.
            place: Which batch it is, for the message of the error.

        Raises:
            NodeError: A loss is not finite.
        """
        losses = [values[end] for end in self.ends]
        infinite = torch.stack([~one.detach().isfinite() for one in losses]).double()
        self._require_finite(infinite, place)
        sums, counts = self._sums_and_counts(losses[0].device)
        counts_of_all = self._add(sums, counts)
        if processes.count() == 1:
            return torch.stack([one.float() for one in losses]).sum()
        # DDP takes the mean over processes, so a sum of shares needs this factor.
        factors = processes.count() * counts / counts_of_all.clamp(min=1e-300)
        pairs = zip(losses, factors, strict=True)
        return torch.stack([loss * factor.to(loss) for loss, factor in pairs]).sum()

    def _sums_and_counts(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The sum and the count behind each loss of the last batch, without gradients."""
        sums = []
        counts = []
        for node in self.nodes:
            total, count = node.pooled()
            sums.append(torch.as_tensor(total).detach().double().to(device))
            counts.append(torch.as_tensor(count).detach().double().to(device))
        return torch.stack(sums), torch.stack(counts)

    def without_images(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """The loss of a process that has no image left while others have."""
        zeros = torch.zeros(len(self.names), dtype=torch.float64, device=parameters[0].device)
        self._require_finite(zeros, "")
        self._add(zeros, zeros)
        return zero(parameters)

    def means(self) -> dict[str, float]:
        """Each loss over the epoch and all processes, and their sum, by ``node/name``."""
        if self._pooled is None:
            return {}
        sums, counts = processes.all_sum(self._pooled)
        means = (sums / counts).nan_to_num(0.0)  # nothing was counted: 0 / 0
        pairs = zip(self.names, means, strict=True)
        values = {f"{name}/loss": float(mean) for name, mean in pairs}
        values["total/loss"] = float(means.sum())
        return values

    def _add(self, sums: Tensor, counts: Tensor) -> Tensor:
        """Pool a batch; the counts of all processes."""
        batch = torch.stack([sums, counts]) * self._counted_here.to(sums.device)
        if self._pooled is None:
            self._pooled = batch
        else:
            self._pooled = self._pooled + batch
        if processes.count() == 1:
            return counts
        return processes.all_sum(counts.clone())

    def _require_finite(self, infinite: Tensor, place: str) -> None:
        flags = processes.all_sum(infinite).tolist()
        names = [name for name, flag in zip(self.names, flags, strict=True) if flag]
        if names:
            raise NodeError(
                f"the loss of {' and '.join(map(repr, names))} is not finite {place}",
                where=self.run.graph.where("nodes", names[0]),
                fix="lower the optimizer's lr, set gradient_clip_val, or check the inputs of the "
                "loss",
            )


def zero(parameters: Sequence[nn.Parameter]) -> Tensor:
    """0, with a gradient of 0 for each parameter."""
    return torch.stack([(one * 0).sum().float() for one in parameters]).sum()


def _reads_images(run: Run, name: str) -> bool:
    inputs = run.graph.nodes[name].inputs
    return any("B" in inputs[port].names for port in run.graph.incoming(name))
