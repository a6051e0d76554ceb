"""What runs report, on the logger ``specloom`` of the standard library."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import UnavailableError, printable
from specloom.contract.hooks import impl

if TYPE_CHECKING:
    from specloom.contract.views import RunView

LOGGER = logging.getLogger("specloom")
"""The logger. Without a handler of the program's own nothing is printed."""

LOGGER.addHandler(logging.NullHandler())

FORMAT = "%(asctime)s %(levelname)s %(message)s"
LABEL = "specloom.LogObserver"
"""The name under which the observer is registered."""


class LogObserver:
    """Logs phases and fits as INFO, numbers as DEBUG, and errors as ERROR."""

    @impl
    def run_started(self, run: RunView) -> None:
        """Log the name of the run."""
        LOGGER.info("%s started", _name(run))

    @impl
    def phase_started(self, name: str) -> None:
        """Log the phase."""
        LOGGER.info("%s started", name)

    @impl
    def node_fitted(self, node: str, summary: str) -> None:
        """Log what a node was fitted to."""
        LOGGER.info("fitted %s: %s", node, printable(summary))

    @impl
    def recorded(self, step: int, values: Mapping[str, float]) -> None:
        """Log the numbers of a step."""
        for name, value in values.items():
            LOGGER.debug("step %d: %s = %r", step, name, value)

    @impl
    def phase_ended(self, name: str) -> None:
        """Log the end of the phase."""
        LOGGER.info("%s ended", name)

    @impl
    def run_ended(self, run: RunView, error: BaseException | None) -> None:
        """Log the end of the run, or the error that ended it."""
        if error is None:
            LOGGER.info("%s ended", _name(run))
        else:
            what = printable(str(error)) or type(error).__name__
            LOGGER.error("%s failed: %s", _name(run), what)


class WarningLogObserver(LogObserver):
    """Logs warnings as well, of runs whose warnings observers show.

    Those of other runs are Python's own warnings, which ``logging.captureWarnings`` logs.
    """

    @impl
    def warned(self, message: str) -> None:
        """Log a warning."""
        LOGGER.warning("%s", printable(message))


def _name(run: RunView) -> str:
    name = run.metadata.get("name")
    if not name:
        return "the run"
    return f"the run {str(name)!r}"


@contextmanager
def logged_to(file: Path | None) -> Iterator[None]:
    """Append everything that is logged to a file.

    Raises:
        UnavailableError: The file cannot be written.
    """
    if file is None:
        yield
        return
    try:
        handler = logging.FileHandler(file, encoding="utf-8")
    except OSError as error:
        what = f"{file} cannot be written: {error.strerror}"
        fix = "choose another file with --log-file"
        raise UnavailableError(what, fix=fix) from error
    handler.setFormatter(logging.Formatter(FORMAT))
    before = LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    try:
        yield
    except SystemExit:  # a command that ends with its exit code has reported why
        raise
    except BaseException as error:
        LOGGER.error("%s", printable(str(error)) or type(error).__name__)
        raise
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(before)
        handler.close()


def log_file_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--log-file``, and log to that file while it runs.

    Write it below ``click.command()``.
    """
    import click

    @wraps(function)
    def with_log_file(*arguments: Any, log_file: Path | None, **options: Any) -> Any:
        with logged_to(log_file):
            return function(*arguments, **options)

    option = click.option(
        "--log-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Append what happens to FILE, a line each with its time.",
    )
    return option(with_log_file)
