"""The frozen front of a graph: what gives the same for an image in every epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from specloom import DataError, Graph, Metric, Run

if TYPE_CHECKING:
    from specloom_training.gradient.cache import Cache

BATCH = "batch"


def frozen_front(
    graph: Graph, losses: Sequence[str], moving: Iterable[str], by_image: bool
) -> list[str]:
    """The values, as ``node.port``, at which what moves while training begins.

    A node is in front if it does not move, gathers nothing, and all it reads is in front or the
    batch; and, where images are put together anew in each epoch, if an image does not depend on
    the others of its batch.

    Args:
        graph: The graph.
        losses: The loss nodes that are minimised.
        moving: The nodes that change while training.
        by_image: Whether the images of a batch differ from epoch to epoch.
    """
    active = [name for name in graph.order if "train" in graph.stages[name]]
    needed = graph.ancestors([f"{name}.loss" for name in losses], active)
    stopped, front = {*moving, *losses}, {BATCH}
    found: dict[str, None] = {}
    for name in (n for n in active if n in needed):
        node = graph.nodes[name]
        ends = [
            end
            for several in graph.incoming(name).values()
            for end in several
            if end.partition(".")[0] in {*active, BATCH}
        ]
        alone = not by_image or getattr(node, "locality", "batch") != "batch"
        still = name not in stopped and not isinstance(node, Metric) and alone
        if still and all(end.partition(".")[0] in front for end in ends):
            front.add(name)
        else:
            found |= dict.fromkeys(end for end in ends if end.partition(".")[0] in front)
    return list(found)


class Prefix:
    """Runs the frozen front, and puts what it made of several images together.

    Args:
        run: The run.
        ends: The values at which what is trained begins.
        cache: Where values are kept.
    """

    def __init__(self, run: Run, ends: Sequence[str], cache: Cache) -> None:
        self.ends, self.cache = ends, cache
        self.plan = run.plan("train", ends)
        ports = {end: run.graph.port(end) for end in ends}
        self.by_image = {end for end, port in ports.items() if port.names[:1] == ("B",)}

    def __call__(self, key: int, batch: Any) -> dict[str, Any]:
        """What the front makes of one image, or of one batch where those never change."""
        with torch.no_grad():
            values = self.plan(batch)
        made = {end: values[end] for end in self.ends if values[end] is not None}
        self.cache.put(key, made)
        return made

    def together(self, images: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """One batch for the rest of the graph.

        Raises:
            DataError: The images differ in size, or in what all images of a batch share.
        """
        first, made = images[0], dict[str, Any]()
        if len(images) == 1:
            made = dict(first)
        for end in first if len(images) > 1 else ():
            values: list[Any] = [image.get(end) for image in images]
            if any(value is None for value in values):
                raise DataError(
                    f"some images have {end} and some do not",
                    fix="use a batch_size of 1, or data in which all have it",
                )
            if end in self.by_image:
                shapes = {tuple(value.shape[1:]) for value in values}
                if len(shapes) > 1:
                    raise DataError(
                        f"the images of a batch differ in size: {end} has {sorted(shapes)}",
                        fix="use a batch_size of 1",
                    )
                made[end] = _joined(values)
            elif all(_same(value, values[0]) for value in values):
                made[end] = values[0]
            else:
                raise DataError(
                    f"the images of a batch differ in {end}, which they share",
                    fix="use a batch_size of 1",
                )
        return {end.removeprefix(f"{BATCH}."): value for end, value in made.items()}


def _joined(values: Sequence[Tensor]) -> Tensor:
    """One behind the other, as ``torch.cat`` joins them.

    On the CPU the memory comes from NumPy, which asks the system for large pages: the first touch
    of many small ones takes longer than the copy.
    """
    if any(value.device.type != "cpu" or value.dtype == torch.bfloat16 for value in values):
        return torch.cat([*values])
    return torch.from_numpy(np.concatenate([value.numpy() for value in values]))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    return bool(one == other)
