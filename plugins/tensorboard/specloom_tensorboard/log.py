"""What a run writes for TensorBoard: one file of events, whole after every write."""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary

from specloom import UnavailableError
from specloom_tensorboard.records import record, records

PREFIX = "events.out.tfevents."


class Log:
    """Numbers and pictures by tag, and the steps that they were written for.

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
        self.folder, self._resumed = folder, resumed
        self._path: Path | None = None
        self._last: dict[str, int] = {}

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Write numbers and pictures, uint8 (H, W, 3), by tag; leave out what is neither.

        Raises:
            UnavailableError: The folder cannot be written.
        """
        parts = [part for tag, value in values.items() if (part := _part(tag, value)) is not None]
        if not parts:
            return
        try:
            path = self._path or self._begin(step, parts)
            tags = [part.tag for part in parts]
            if step <= (last := max(self._last.get(tag, -1) for tag in tags)):
                step = last + 1
            _append(path, [Event(wall_time=time.time(), step=step, summary=Summary(value=parts))])
        except OSError as e:
            what = f"TensorBoard's file cannot be written to {self.folder}: {e.strerror}"
            raise UnavailableError(what, fix="choose another output_dir") from e
        self._last |= dict.fromkeys(tags, step)

    def _begin(self, step: int, parts: Iterable[Summary.Value]) -> Path:
        """Make the file, tell readers what it replaces, and learn which steps remain."""
        self.folder.mkdir(parents=True, exist_ok=True)
        earlier = sorted(self.folder.glob(f"{PREFIX}*"))
        events = [Event(wall_time=time.time(), file_version="brain.Event:2")]
        if self._resumed:
            self._last = _last_steps(earlier)
        epochs = step > 0 or any(part.tag.startswith("train/") for part in parts)
        if earlier and (epochs or not self._resumed):
            restart = step if self._resumed else 0
            start = SessionLog(status=SessionLog.START)
            events.append(Event(wall_time=time.time(), step=restart, session_log=start))
            self._last = {tag: min(last, restart - 1) for tag, last in self._last.items()}
        # Readers take files in the order of their names: ours must come last, whatever the clock.
        stamps = [path.name.removeprefix(PREFIX).partition(".")[0] for path in earlier]
        stamp = max([int(time.time()), *(int(one) + 1 for one in stamps if one.isdigit())])
        path = self.folder / f"{PREFIX}{stamp:010d}.{socket.gethostname()}.{os.getpid()}"
        _append(path, events)
        self._path = path
        return path


def _append(path: Path, events: Iterable[Event]) -> None:
    with path.open("ab") as file:
        file.write(b"".join(record(event.SerializeToString()) for event in events))


def _part(tag: str, value: Any) -> Summary.Value | None:
    if isinstance(value, int | float | np.number):
        return Summary.Value(tag=tag, simple_value=float(value))
    if not (isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 3):
        return None
    height, width, channels = value.shape
    if channels != 3:
        return None
    png = io.BytesIO()
    Image.fromarray(value).save(png, "PNG")
    image = Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=png.getvalue()
    )
    return Summary.Value(tag=tag, image=image)


def _last_steps(paths: Iterable[Path]) -> dict[str, int]:
    """The last step of each tag in these files, as readers see them together."""
    found: dict[str, int] = {}
    for path in paths:
        for data in records(path):
            event = Event.FromString(data)
            if event.session_log.status == SessionLog.START:
                found = {tag: min(last, event.step - 1) for tag, last in found.items()}
            for value in event.summary.value:
                found[value.tag] = max(event.step, found.get(value.tag, -1))
    return found
