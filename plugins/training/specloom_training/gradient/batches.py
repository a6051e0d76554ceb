"""Training batches: in a seeded order, shared among processes, one batch ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import torch

from specloom import ConfigError, DataError, MapStyleSource, Run
from specloom_training import processes
from specloom_training.gradient.seeding import seed_of

if TYPE_CHECKING:
    from specloom_training.gradient.frozen_front import FrozenFront

T = TypeVar("T")
Item: TypeAlias = tuple[int, Any]
"""A number that does not change from epoch to epoch, and a raw batch or cached values."""
SPLIT = "train"
NO_NUMBER = -1
"""Where there is no frozen front, nothing is cached by number."""


def order(count: int, seed: int, epoch: int) -> list[int]:
    """The numbers below ``count`` in the order of an epoch."""
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    order: list[int] = torch.randperm(count, generator=generator).tolist()
    return order


def read_ahead(items: Iterable[T]) -> Iterator[T]:
    """``items``, the next one of which is made by another thread while the last one is used."""
    iterator = iter(items)
    end = object()
    # In this context, so that the thread's warnings come to the run's observers.
    read = partial(copy_context().run, next, iterator, end)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(read)
        while True:
            item = future.result()
            if item is end:
                return
            future = pool.submit(read)
            yield item  # type: ignore[misc]  # it is not the end


class TrainingBatches:
    """The batches of an epoch, for the part of the graph that is trained.

    Args:
        run: The run.
        shuffle: Whether images come in a new order each epoch, where the source can.
        front: Runs and caches the frozen front; None where the whole graph runs each time.
    """

    def __init__(self, run: Run, shuffle: bool, front: FrozenFront | None) -> None:
        self.run = run
        self.shuffle = shuffle
        self.front = front
        self.epoch = 0
        self.max_epochs = 1

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The batches of ``epoch``; an empty one where this process has no image left."""
        total = self.batches()
        what = f"epoch {self.epoch + 1} of {self.max_epochs}"
        self.run.hook.progress(run=self.run, what=what, done=0, total=total)
        for done, items in enumerate(read_ahead(self._prepared()), start=1):
            yield self._collate(items)
            self.run.hook.progress(run=self.run, what=what, done=done, total=total)

    def batches(self) -> int | None:
        """How many batches an epoch has for each process, where that is known."""
        source = self.run.source
        if isinstance(source, MapStyleSource):
            return _divide_up(source.items(SPLIT), source.batch_size * processes.count())
        count = source.count(SPLIT)
        if count is None:
            return None
        return _divide_up(count, processes.count())

    def _items(self) -> Iterator[list[Item]]:
        """The items of each batch of this process."""
        source = self.run.source
        if isinstance(source, MapStyleSource):
            return self._by_image(source)
        count = source.count(SPLIT)
        if self.front is not None and count is not None and self._all_cached(self.front, count):
            return self._from_cache(self.front, count)
        return self._in_order_of_source()

    def _prepared(self) -> Iterator[list[Item] | _Collated]:
        """The items of each batch; those that are all cached as one batch already.

        It runs in the thread that reads ahead: large copies then take no time of the training.
        """
        for items in self._items():
            front = self.front
            values = [value for _number, value in items]
            if front is None or not values or any(isinstance(one, _Raw) for one in values):
                yield items
            else:
                yield _Collated(front.collate(values))

    def _by_image(self, source: Any) -> Iterator[list[Item]]:
        """Batches of images that are read by their numbers."""
        count = source.items(SPLIT)
        numbers = list(range(count))
        if self.shuffle:
            numbers = order(count, self.run.seed, self.epoch)
        size = source.batch_size * processes.count()
        for first in range(0, count, size):
            batch = numbers[first : first + size]
            own = processes.share(batch, processes.count(), processes.rank())
            if self.front is not None:
                yield [(number, self._image(source, self.front, number)) for number in own]
            elif own:
                yield [(NO_NUMBER, source.read(SPLIT, own))]
            else:
                yield []

    def _image(self, source: Any, front: FrozenFront, number: int) -> Any:
        """What the cache holds of an image, or the image itself."""
        if number in front.cache:
            return front.cache.get(number)
        return _Raw(source.read(SPLIT, [number]))

    def _all_cached(self, front: FrozenFront, count: int) -> bool:
        """Whether every batch of this process is cached, so that nothing needs to be read."""
        own = range(processes.rank(), count, processes.count())
        return all(number in front.cache for number in own)

    def _from_cache(self, front: FrozenFront, count: int) -> Iterator[list[Item]]:
        for first in range(0, count, processes.count()):
            number = first + processes.rank()
            if number < count:
                yield [(number, front.cache.get(number))]
            else:
                yield []

    def _in_order_of_source(self) -> Iterator[list[Item]]:
        """Batches in the source's own order: of each ``world`` batches a process takes its own."""
        batches = iter(self.run.source.batches(SPLIT))
        first = 0
        while True:
            group = list(islice(batches, processes.count()))
            if not group:
                return
            if processes.rank() < len(group):
                number = first + processes.rank()
                yield [(number, self._batch(number, group[processes.rank()]))]
            else:
                yield []
            first += len(group)

    def _batch(self, number: int, batch: Any) -> Any:
        """A batch of the source, or what the cache holds of it."""
        if self.front is None:
            return batch
        if number in self.front.cache:
            return self.front.cache.get(number)
        return _Raw(batch)

    def _collate(self, items: list[Item] | _Collated) -> dict[str, Any]:
        """One batch for the part of the graph that is trained."""
        if isinstance(items, _Collated):
            return items.batch
        if not items:
            return {}
        if self.front is None:
            _, batch = items[0]
            return dict(self.run.adopt(batch))
        return self.front.collate([self._front_values(self.front, *item) for item in items])

    def _front_values(self, front: FrozenFront, number: int, value: Any) -> dict[str, Any]:
        if isinstance(value, _Raw):
            return front(number, self.run.adopt(value.batch))
        cached: dict[str, Any] = value
        return cached


class _Raw:
    """A batch as the source returned it."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch


class _Collated:
    """A batch for the part of the graph that is trained."""

    def __init__(self, batch: dict[str, Any]) -> None:
        self.batch = batch


def _divide_up(number: int, by: int) -> int:
    """``number / by``, rounded up."""
    return -(-number // by)


def require_images(run: Run) -> None:
    """Find out before training that there is something to learn from.

    Raises:
        ConfigError: The data have no training split.
        DataError: The training split is empty.
    """
    source = run.source
    where = run.graph.where("data")
    splits = list(source.splits())
    if SPLIT not in splits:
        fix = f"use one of: {', '.join(splits)}"
        raise ConfigError("the data has no split 'train'", where=where, fix=fix)
    count = source.items(SPLIT) if isinstance(source, MapStyleSource) else source.count(SPLIT)
    if count == 0:
        fix = "change the split of the data so that it has images"
        raise DataError("the training split is empty", where=where, fix=fix)
