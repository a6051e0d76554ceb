"""What a run writes for TensorBoard: one file of events, whole after every write."""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING

from specloom import UnavailableError
from specloom_tensorboard.records import record, records

PREFIX = "events.out.tfevents."
BINS = 30
"""Bins of a histogram."""


class Log:
    """Numbers, pictures, texts and distributions by tag, and the steps that they were written for.

    Every write opens the file and closes it again, so that there is nothing to lose in a crash
    and nothing to close after an error. A tag's steps always rise: what comes for a step that its
    tag has already (an evaluation after the training, which counts from 0) gets the next one.

    In a folder that holds an earlier run, a new run takes its place: readers drop what was there.
    A resumed run goes on from its first step N: readers drop the steps from N on, which are run
    again. If it only evaluates, at step 0 of ``val`` or ``test``, nothing is dropped.

    Args:
        folder: Where to write; made with the first write.
        resumed: Whether an earlier run in ``folder`` is to be continued.
    """

    def __init__(self, folder: Path, resumed: bool = False) -> None:
        self.folder = folder
        self._resumed = resumed
        self._lock = Lock()
        self._path: Path | None = None
        self._last_steps: dict[str, int] = {}

    @property
    def started(self) -> bool:
        """Whether something was written."""
        return self._path is not None

    def write(
        self,
        step: int,
        values: Mapping[str, Any],
        describe: Callable[[str], str] = lambda tag: "",
    ) -> None:
        """Write numbers, pictures, texts and distributions by tag; omit what is none of them.

        Pictures are uint8 (H, W, 3); other arrays of numbers become histograms.

        Args:
            step: The step.
            values: The values by tag.
            describe: What a tag means, which TensorBoard shows beside its title.

        Raises:
            UnavailableError: The folder cannot be written.
        """
        summaries = _summaries(values)
        if not summaries:
            return
        with self._lock:
            for one in summaries:
                if one.tag not in self._last_steps:  # readers take the first one's
                    one.metadata.summary_description = describe(one.tag)
            self._write(step, summaries)

    def _write(self, step: int, summaries: Sequence[Summary.Value]) -> None:
        """Append summaries, by one thread at a time."""
        try:
            if self._path is None:
                self._path = self._start_file(step, summaries)
            step = max(step, self._next_step(summaries))
            summary = Summary(value=summaries)
            _append(self._path, [Event(wall_time=time.time(), step=step, summary=summary)])
        except OSError as e:
            what = f"TensorBoard's file cannot be written to {self.folder}: {e.strerror}"
            raise UnavailableError(what, fix="choose another output_dir") from e
        for one in summaries:
            self._last_steps[one.tag] = step

    def _next_step(self, summaries: Iterable[Summary.Value]) -> int:
        """The first step that none of these tags has yet."""
        return max(self._last_steps.get(one.tag, -1) for one in summaries) + 1

    def _start_file(self, step: int, summaries: Iterable[Summary.Value]) -> Path:
        """Write the head of a file: what readers shall drop of the files before it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        earlier = sorted(self.folder.glob(f"{PREFIX}*"))
        events = [Event(wall_time=time.time(), file_version="brain.Event:2")]
        if self._resumed:
            self._last_steps = _last_steps(earlier)
        trains = step > 0 or any(one.tag.startswith("train/") for one in summaries)
        if earlier and (trains or not self._resumed):
            restart = step if self._resumed else 0
            session = SessionLog(status=SessionLog.START)
            events.append(Event(wall_time=time.time(), step=restart, session_log=session))
            self._last_steps = _dropped_from(restart, self._last_steps)
        path = self.folder / _file_name(earlier)
        _append(path, events)
        return path


def _file_name(earlier: Iterable[Path]) -> str:
    """A name that comes after all others, in the order of which readers take files.

    The seconds in names are those of a clock, which may have been set back.
    """
    stamp = int(time.time())
    for path in earlier:
        text = path.name.removeprefix(PREFIX).partition(".")[0]
        if text.isdigit():
            stamp = max(stamp, int(text) + 1)
    return f"{PREFIX}{stamp:010d}.{socket.gethostname()}.{os.getpid()}"


def _append(path: Path, events: Iterable[Event]) -> None:
    with path.open("ab") as file:
        file.write(b"".join(record(event.SerializeToString()) for event in events))


def _summaries(values: Mapping[str, Any]) -> Sequence[Summary.Value]:
    """What TensorBoard can show of ``values``."""
    found = []
    for tag, value in values.items():
        if isinstance(value, int | float | np.number):
            found.append(Summary.Value(tag=tag, simple_value=float(value)))
        elif _is_picture(value):
            found.append(Summary.Value(tag=tag, image=_image(value)))
        elif isinstance(value, str):
            found.append(_text(tag, value))
        elif _is_distribution(value):
            found.append(Summary.Value(tag=tag, histo=_histogram(value)))
    return found


def _is_picture(value: Any) -> bool:
    if not isinstance(value, np.ndarray):
        return False
    return value.dtype == np.uint8 and value.ndim == 3 and value.shape[2] == 3


def _image(picture: np.ndarray[Any, Any]) -> Summary.Image:
    height, width, channels = picture.shape
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG")
    return Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=png.getvalue()
    )


def _text(tag: str, text: str) -> Summary.Value:
    """A text as TensorBoard's plugin for texts reads it."""
    plugin = SummaryMetadata.PluginData(plugin_name="text")
    tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
    tensor.tensor_shape.dim.add(size=1)
    metadata = SummaryMetadata(plugin_data=plugin)
    return Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def _is_distribution(value: Any) -> bool:
    if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.floating):
        return False
    return value.size > 0 and bool(np.isfinite(value).all())


def _histogram(values: np.ndarray[Any, Any]) -> HistogramProto:
    """The distribution of some numbers."""
    numbers = values.astype(np.float64).ravel()
    counts, edges = np.histogram(numbers, bins=BINS)
    return HistogramProto(
        min=float(numbers.min()),
        max=float(numbers.max()),
        num=float(numbers.size),
        sum=float(numbers.sum()),
        sum_squares=float((numbers**2).sum()),
        bucket_limit=edges[1:].tolist(),
        bucket=counts.tolist(),
    )


def _last_steps(paths: Iterable[Path]) -> dict[str, int]:
    """The last step of each tag in these files, as readers see them together."""
    found: dict[str, int] = {}
    for path in paths:
        for data in records(path):
            event = Event.FromString(data)
            if event.session_log.status == SessionLog.START:
                found = _dropped_from(event.step, found)
            for value in event.summary.value:
                found[value.tag] = max(event.step, found.get(value.tag, -1))
    return found


def _dropped_from(step: int, last_steps: Mapping[str, int]) -> dict[str, int]:
    """The last step of each tag where the steps from ``step`` on are dropped."""
    return {tag: min(last, step - 1) for tag, last in last_steps.items()}
