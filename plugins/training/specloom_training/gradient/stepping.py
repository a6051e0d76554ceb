"""One batch: the losses of all processes together, pooled over an epoch, and found not finite."""

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
        self.run, self.names = run, list(names)
        self.nodes = [run.graph.nodes[name] for name in names]
        self.ends = [f"{name}.loss" for name in names]
        self._pooled: Tensor | None = None
        # What reads no image (weights only) is the same everywhere, and counts once.
        shared = [not _reads_images(run, name) for name in names]
        self._mine = torch.tensor([not (one and processes.rank()) for one in shared])

    def start(self) -> None:
        """Begin an epoch."""
        self._pooled = None

    def total(self, values: Mapping[str, Any], place: str) -> Tensor:
        """The sum of the losses of a batch, scaled so that processes' gradients add up.

        Raises:
            NodeError: A loss is not finite.
        """
        losses = [values[end] for end in self.ends]
        pairs = [[torch.as_tensor(x).detach() for x in node.pooled()] for node in self.nodes]
        device = losses[0].device
        counts = torch.stack([count.double().to(device) for _, count in pairs])
        sums = torch.stack([amount.double().to(device) for amount, _ in pairs])
        bad = torch.stack([~one.detach().isfinite() for one in losses]).double()
        self._refuse(bad, place)
        everyone = self._add(sums, counts)
        if processes.count() == 1:
            return torch.stack([one.float() for one in losses]).sum()
        # DDP takes the mean over processes, so a sum of shares needs this factor.
        factors = processes.count() * counts / everyone.clamp(min=1e-300)
        return torch.stack(
            [one * factor.to(one) for one, factor in zip(losses, factors, strict=True)]
        ).sum()

    def nothing(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """The loss of a process that has no image left while others have."""
        zeros = torch.zeros(len(self.names), dtype=torch.float64, device=parameters[0].device)
        self._refuse(zeros, "")
        self._add(zeros, zeros)
        return zero(parameters)

    def means(self) -> dict[str, float]:
        """Each loss over the epoch and all processes, and their sum, by ``node/name``."""
        if self._pooled is None:
            return {}
        sums, counts = processes.total(self._pooled)
        means = (sums / counts).nan_to_num(0.0)  # nothing was counted: 0 / 0
        found = {f"{name}/loss": float(mean) for name, mean in zip(self.names, means, strict=True)}
        return {**found, "total/loss": float(means.sum())}

    def _add(self, sums: Tensor, counts: Tensor) -> Tensor:
        batch = torch.stack([sums, counts]) * self._mine.to(sums.device)
        self._pooled = batch if self._pooled is None else self._pooled + batch
        return processes.total(counts.clone()) if processes.count() > 1 else counts

    def _refuse(self, bad: Tensor, place: str) -> None:
        bad = processes.total(bad)
        if bool(bad.any()):
            names = [name for name, one in zip(self.names, bad.tolist(), strict=True) if one]
            what = f"the loss of {' and '.join(map(repr, names))} is not finite {place}"
            where = self.run.graph.where("nodes", names[0])
            fix = "lower the optimizer's lr, set gradient_clip_val, or check what feeds the loss"
            raise NodeError(what, where=where, fix=fix)


def zero(parameters: Sequence[nn.Parameter]) -> Tensor:
    """0, with a gradient of 0 for each parameter."""
    return torch.stack([(one * 0).sum().float() for one in parameters]).sum()


def _reads_images(run: Run, name: str) -> bool:
    inputs = run.graph.nodes[name].inputs
    return any("B" in inputs[port].names for port in run.graph.incoming(name))
