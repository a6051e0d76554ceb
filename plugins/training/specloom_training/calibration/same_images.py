"""Whether images of one split are in another one, under any name."""

from __future__ import annotations

import hashlib
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import ConfigError, DataError, ImageWindows, SpecloomWarning, WindowedSource
from specloom_jobs import make_shares
from specloom_statistics import content_seed
from specloom_training.job_format import (
    make_job,
    no_jobs_because,
    open_job,
    tickets_with_progress,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from specloom import Batch, Executor, Job, Run, Ticket

TASK = "training.HashImages"


def check_test_images(run: Run, split: str, what: str) -> None:
    """Compare the pixels of a split with those of the test split, by their hashes.

    An error where a phase of the run evaluates the test split, else a warning. Nothing is read
    where there is no test split.

    Args:
        run: The run.
        split: The split that is calibrated on.
        what: What is calibrated.

    Raises:
        DataError: Images are in both splits, and the test split is evaluated.
    """
    if "test" not in run.source.splits() or split == "test":
        return
    calibrated = set(_image_hashes(run, split))
    shared = [one for one in _image_hashes(run, "test") if one in calibrated]
    if not shared:
        return
    problem = DataError(
        f"{what} is calibrated on {split!r}, and the test split has {len(shared)} of the same "
        "images, by their pixels: its metrics would be too good",
        where=run.graph.where("data"),
        fix=f"assign different images to {split} and test, or do not evaluate the test split",
    )
    if any(getattr(phase, "split", None) == "test" for _, phase in run.phases):
        raise problem
    warnings.warn(str(problem), SpecloomWarning, stacklevel=3)


def _image_hashes(run: Run, split: str) -> Iterable[int]:
    """A hash of the pixels of each image, by a job where the run has an executor."""
    job = None
    if run.executor is not None and not no_jobs_because(run, split):
        with suppress(ConfigError):  # a node that no plugin offers
            job = make_job(run, TASK, {"split": split})
    if run.executor is not None and job is not None:
        return _hashes_by_job(run, run.executor, job, split)
    source = run.source
    names = _names_of_pixels(run)
    batches: Iterator[Batch | ImageWindows] = iter(source.batches(split))
    if len(names) == 1 and isinstance(source, WindowedSource):
        batches = source.windowed_batches(split)
    return _hashes_of(batches, names)


def _hashes_by_job(run: Run, executor: Executor, job: Job, split: str) -> list[int]:
    shares = make_shares(tickets_with_progress(run, split, f"comparing the images of {split}"))
    hashes: list[int] = np.frombuffer(executor.total(job, shares), np.int64).tolist()
    return hashes


class HashImages:
    """The task: hashes of the images of a share, as 64-bit integers in the order of the data."""

    def begin(self, job: Job) -> None:
        """Make the source.

        Raises:
            SpecloomError: The graph or the source cannot be made here.
        """
        run = open_job(job).run
        self._source: Any = run.source
        self._names = _names_of_pixels(run)

    def do(self, tickets: Sequence[Ticket]) -> bytes:
        """The hashes of the images of a share."""
        hashes = list(_hashes_of(self._read(tickets), self._names))
        return np.array(hashes, np.int64).tobytes()

    def merge(self, parts: Sequence[bytes]) -> bytes:
        """The hashes of several shares, in their order."""
        return b"".join(parts)

    def _read(self, tickets: Sequence[Ticket]) -> Iterator[Batch | ImageWindows]:
        is_windowed = len(self._names) == 1 and isinstance(self._source, WindowedSource)
        for ticket in tickets:
            if is_windowed:
                yield self._source.read_windows(ticket)
            else:
                yield self._source.read_ticket(ticket)


def _names_of_pixels(run: Run) -> list[str]:
    """The outputs of the source that are pixels of images."""
    return [name for name, port in run.graph.batch.items() if _has_pixels(port)]


def _hashes_of(batches: Iterable[Batch | ImageWindows], names: Sequence[str]) -> Iterator[int]:
    """A hash of the pixels of each image of some batches."""
    for batch in batches:
        if isinstance(batch, ImageWindows):
            yield _hash_of_windows(batch, names[0])
            continue
        arrays = [np.asarray(batch[name]) for name in names if batch.get(name) is not None]
        for images in zip(*arrays, strict=True):
            contents: list[bytes | memoryview] = []
            for image in images:
                contents += [_shape(image.shape), np.ascontiguousarray(image).data]
            yield content_seed(*contents)


def _hash_of_windows(image: ImageWindows, name: str) -> int:
    """The hash of an image that comes in windows."""
    digest = hashlib.sha256()
    for rows, window in image:
        pixels = np.asarray(window[name][0])
        if rows.start == 0:
            digest.update(_shape((image.height, *pixels.shape[1:])))
        digest.update(np.ascontiguousarray(pixels).data)
    return int.from_bytes(digest.digest()[:7], "big")


def _has_pixels(port: Any) -> bool:
    """Whether an output is made of numbers for each pixel of each image, and is no mask."""
    return bool(port.names[:3] == ("B", "H", "W") and len(port.names) == 4 and port.dtype != "bool")


def _shape(shape: tuple[int, ...]) -> bytes:
    return repr(shape).encode()
