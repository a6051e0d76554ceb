"""Where the logs of Dask go: into the folder of results, and not to the terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "fleet.log"
FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"
LOGGER = logging.getLogger("distributed")


class FleetLog(logging.FileHandler):
    """Appends to a file in a folder, which appears with the first line.

    What is logged before the folder is there is left out.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        if Path(self.baseFilename).parent.is_dir():
            super().emit(record)


@contextmanager
def logged_into(folder: Path | None) -> Iterator[None]:
    """A context in which warnings of Dask are written into a folder; None for nowhere."""
    handler: logging.Handler = logging.NullHandler()
    if folder is not None:
        handler = FleetLog(folder / NAME, encoding="utf-8", delay=True)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter(FORMAT))
    propagated = LOGGER.propagate
    LOGGER.propagate = False
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.propagate = propagated
        handler.close()
