"""The frozen front of a graph: what is the same for an image in every epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from specloom import DataError, Graph, Metric, Run

if TYPE_CHECKING:
    from specloom_training.gradient.cache import Cache

BATCH = "batch"


def node_of(end: str) -> str:
    """The node of ``node.port``; ``batch`` for what comes from the source."""
    return end.partition(".")[0]


def front_ends(
    graph: Graph, losses: Sequence[str], moving: Iterable[str], by_image: bool
) -> list[str]:
    """The values, as ``node.port``, at which what changes while training begins.

    A node is in front if it does not change, measures nothing, and all it reads is in front or
    the batch; and, where batches are made of other images in each epoch, if an image does not
    depend on the others of its batch.

    Args:
        graph: The graph.
        losses: The loss nodes that are minimised.
        moving: The nodes that change while training.
        by_image: Whether the images of a batch differ from epoch to epoch.
    """
    active = [name for name in graph.order if "train" in graph.stages[name]]
    needed = graph.ancestors([f"{name}.loss" for name in losses], active)
    behind = {*moving, *losses}
    front = {BATCH}
    ends: dict[str, None] = {}
    for name in active:
        if name not in needed:
            continue
        inputs = _inputs(graph, name, {*active, BATCH})
        fixed = name not in behind and _is_fixed(graph.nodes[name], by_image)
        if fixed and all(node_of(end) in front for end in inputs):
            front.add(name)
        else:
            ends.update(dict.fromkeys(end for end in inputs if node_of(end) in front))
    return list(ends)


def _inputs(graph: Graph, name: str, sources: set[str]) -> list[str]:
    """What a node reads of ``sources``."""
    ends = chain.from_iterable(graph.incoming(name).values())
    return [end for end in ends if node_of(end) in sources]


def _is_fixed(node: Any, by_image: bool) -> bool:
    """Whether a node gives the same for an image in every epoch, if what it reads is the same."""
    if isinstance(node, Metric):
        return False
    return not by_image or getattr(node, "locality", "batch") != "batch"


class FrozenFront:
    """Runs the frozen front, and makes one batch of what it made of several images.

    Args:
        run: The run.
        ends: The values at which what is trained begins.
        cache: Where values are stored.
    """

    def __init__(self, run: Run, ends: Sequence[str], cache: Cache) -> None:
        self.ends = ends
        self.cache = cache
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

    def collate(self, images: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """One batch for the rest of the graph.

        Raises:
            DataError: The images differ in size, or in what all images of a batch share.
        """
        if len(images) == 1:
            batch = dict(images[0])
        else:
            batch = {end: self._collate(end, images) for end in images[0]}
        return {end.removeprefix(f"{BATCH}."): value for end, value in batch.items()}

    def _collate(self, end: str, images: Sequence[dict[str, Any]]) -> Any:
        """The value of ``end`` for several images together."""
        values: list[Any] = [image.get(end) for image in images]
        if any(value is None for value in values):
            raise DataError(
                f"some images have {end} and some do not",
                fix="use a batch_size of 1, or data in which all have it",
            )
        if end in self.by_image:
            return _concatenate(end, values)
        if not all(_equal(value, values[0]) for value in values):
            raise DataError(
                f"the images of a batch differ in {end}, which they share",
                fix="use a batch_size of 1",
            )
        return values[0]


def _concatenate(end: str, values: Sequence[Tensor]) -> Tensor:
    """One behind the other, as ``torch.cat`` does it.

    On the CPU the memory comes from NumPy, which takes large pages from the system: the first
    touch of many small ones takes longer than the copy.
    """
    shapes = {tuple(value.shape[1:]) for value in values}
    if len(shapes) > 1:
        raise DataError(
            f"the images of a batch differ in size: {end} has {sorted(shapes)}",
            fix="use a batch_size of 1",
        )
    if any(value.device.type != "cpu" or value.dtype == torch.bfloat16 for value in values):
        return torch.cat([*values])
    return torch.from_numpy(np.concatenate([value.numpy() for value in values]))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    return bool(one == other)
