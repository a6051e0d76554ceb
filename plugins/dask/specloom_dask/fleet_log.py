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
    """A context in which warnings of Dask are written into a folder; None for nowhere.

    The handler that Dask adds when it is imported writes to the terminal, also what a cluster that
    is being closed has to say: it is taken away meanwhile.
    """
    handler: logging.Handler = logging.NullHandler()
    if folder is not None:
        handler = FleetLog(folder / NAME, encoding="utf-8", delay=True)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter(FORMAT))
    propagated = LOGGER.propagate
    others = LOGGER.handlers
    LOGGER.propagate = False
    LOGGER.handlers = [handler]
    try:
        yield
    finally:
        LOGGER.handlers = others
        LOGGER.propagate = propagated
        handler.close()
