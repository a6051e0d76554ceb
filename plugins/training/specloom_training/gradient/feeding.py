"""Training batches: in a seeded order, shared among processes, one batch ahead."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from specloom import ConfigError, DataError, MapStyleSource, Run
from specloom_training import processes

if TYPE_CHECKING:
    from specloom_training.gradient.prefix import Prefix

T = TypeVar("T")
SPLIT = "train"


def seed_of(*parts: object) -> int:
    """A seed that follows from ``parts`` alone."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:7], "big")


def order(count: int, seed: int, epoch: int) -> list[int]:
    """The numbers below ``count`` in the order of an epoch."""
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    found: list[int] = torch.randperm(count, generator=generator).tolist()
    return found


def ahead(items: Iterable[T]) -> Iterator[T]:
    """``items``, the next one of which is made by another thread while the last one is used."""
    iterator, end = iter(items), object()
    # In this context, so that the thread's warnings come to the run's observers.
    read = partial(copy_context().run, next, iterator, end)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read)
        while (item := coming.result()) is not end:
            coming = pool.submit(read)
            yield item  # type: ignore[misc]  # it is not the end


class Feed:
    """The batches of an epoch, for the part of the graph that is trained.

    Args:
        run: The run.
        shuffle: Whether images come in a new order each epoch, where the source can.
        prefix: Runs and keeps the frozen front; None where the whole graph runs each time.
    """

    def __init__(self, run: Run, shuffle: bool, prefix: Prefix | None) -> None:
        self.run, self.shuffle, self.prefix = run, shuffle, prefix
        self.epoch, self.max_epochs = 0, 1

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The batches of ``epoch``; an empty one where this process has no image left."""
        total, hook = self.batches(), self.run.hook
        what = f"epoch {self.epoch + 1} of {self.max_epochs}"
        hook.progress(run=self.run, what=what, done=0, total=total)
        source = self.run.source
        parts = self._by_image(source) if isinstance(source, MapStyleSource) else self._in_turn()
        for done, part in enumerate(ahead(parts), start=1):
            yield self._made(part)
            hook.progress(run=self.run, what=what, done=done, total=total)

    def batches(self) -> int | None:
        """How many batches an epoch has for each process, where that is known."""
        source, world = self.run.source, processes.count()
        if isinstance(source, MapStyleSource):
            return -(-source.items(SPLIT) // (source.batch_size * world))
        return None if (count := source.count(SPLIT)) is None else -(-count // world)

    def _by_image(self, source: Any) -> Iterator[list[tuple[int, Any]]]:
        count = source.items(SPLIT)
        numbers = order(count, self.run.seed, self.epoch) if self.shuffle else [*range(count)]
        world = processes.count()
        size = source.batch_size * world
        for first in range(0, count, size):
            mine = processes.share(numbers[first : first + size], world, processes.rank())
            if self.prefix is None:
                yield [(-1, source.read(SPLIT, mine))] if mine else []
            else:
                kept = self.prefix.cache
                yield [
                    (n, kept.get(n) if n in kept else _Raw(source.read(SPLIT, [n]))) for n in mine
                ]

    def _in_turn(self) -> Iterator[list[tuple[int, Any]]]:
        """Batches in the source's own order: each process takes every ``world``-th."""
        world, rank = processes.count(), processes.rank()
        kept = self.prefix.cache if self.prefix else ()
        number, total = 0, self.run.source.count(SPLIT)
        if total is not None and self.prefix and all(n in kept for n in range(rank, total, world)):
            for first in range(0, total, world):  # nothing needs to be read
                n = first + rank
                yield [(n, self.prefix.cache.get(n))] if n < total else []
            return
        batches = iter(self.run.source.batches(SPLIT))
        while together := [*islice(batches, world)]:
            n = number + rank
            raw = _Raw(together[rank]) if rank < len(together) else None
            if raw is not None and self.prefix and n in kept:
                yield [(n, self.prefix.cache.get(n))]
            else:
                yield [(n, raw if self.prefix else raw.batch)] if raw else []
            number += len(together)

    def _made(self, part: list[tuple[int, Any]]) -> dict[str, Any]:
        if not part:
            return {}
        run = self.run
        if self.prefix is None:
            return dict(run.runtime.adopt(part[0][1], run.graph.batch))
        images = []
        for key, value in part:
            if isinstance(value, _Raw):
                adopted = run.runtime.adopt(value.batch, run.graph.batch)
                images.append(self.prefix(key, adopted))
            else:
                images.append(value)
        return self.prefix.together(images)


class _Raw:
    """A batch as the source gave it."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch


def require_images(run: Run) -> None:
    """Find out before training that there is something to learn from.

    Raises:
        ConfigError: The data have no training split.
        DataError: The training split is empty.
    """
    source, where = run.source, run.graph.where("data")
    if SPLIT not in (splits := [*source.splits()]):
        what, fix = "the data has no split 'train'", f"use one of: {', '.join(splits)}"
        raise ConfigError(what, where=where, fix=fix)
    count = source.items(SPLIT) if isinstance(source, MapStyleSource) else source.count(SPLIT)
    if count == 0:
        fix = "change the split of the data so that it has images"
        raise DataError("the training split is empty", where=where, fix=fix)
