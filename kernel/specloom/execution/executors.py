"""Where a run runs: what ``--on``, ``--workers`` and ``--insecure`` lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, did_you_mean
from specloom.contract.views import StartedExecutor

if TYPE_CHECKING:
    from specloom.contract.fleet import Executor
    from specloom.execution.run import Run

LEAST_WORKERS = 1
MOST_WORKERS = 100_000


def on_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where its work is done.

    Write it below ``click.command()``. The function gets ``on``, ``workers`` and ``insecure``.
    """
    import click

    workers = click.IntRange(LEAST_WORKERS, MOST_WORKERS)
    options = (
        click.option(
            "--on",
            metavar="WHERE",
            help="Work on many workers: dask for workers on this machine, the address of a "
            "scheduler (tls://host:8786), or a cluster file [default: this process].",
        ),
        click.option(
            "--workers", type=workers, help="The number of workers [default: one a core]."
        ),
        click.option(
            "--insecure",
            is_flag=True,
            help="Accept a scheduler on another machine without encryption.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@contextmanager
def working_on(
    run: Run,
    on: str | Executor | None,
    workers: int | None = None,
    *,
    insecure: bool = False,
    folder: Path | None = None,
) -> Iterator[Executor | None]:
    """A context in which an executor works for a run; it is closed at the end.

    Args:
        run: The run, whose ``executor`` is set.
        on: An executor, or what ``--on`` names; None for this process, or the run's executor.
        workers: The number of workers; None for the executor's default.
        insecure: Whether an address without encryption may be used.
        folder: Where results go; None for none.

    Raises:
        ConfigError: No plugin knows the place.
        SpecloomError: The executor cannot start.
    """
    if on is None:
        if workers is not None:
            what = "--workers needs --on: one process has no workers"
            raise ConfigError(what, where="--workers", fix="add: --on dask")
        yield run.executor
        return
    executor = on
    if isinstance(executor, str):
        executor = make_executor(run, executor, workers, insecure=insecure)
    before = run.executor
    run.executor = executor
    try:
        if isinstance(executor, StartedExecutor):
            executor.start(run, folder)
        yield executor
    finally:
        run.executor = before
        if isinstance(executor, StartedExecutor):
            executor.close()


def make_executor(run: Run, on: str, workers: int | None, *, insecure: bool) -> Executor:
    """The executor that ``--on`` names.

    Raises:
        ConfigError: No plugin knows the place.
    """
    found: Executor | None = run.plugins.first_answer(
        "make_executor", on=on, workers=workers, insecure=insecure, plugins=run.plugins
    )
    if found is not None:
        return found
    known = sorted(_names(run))
    install = "run: specloom plugins add dask, or: pip install specloom-dask"
    fix = did_you_mean(on, known, otherwise=install)
    raise ConfigError(f"no plugin can work on {on!r}", where="--on", fix=fix)


def _names(run: Run) -> list[str]:
    """The plugins that offer executors for other processes than this."""
    offers = run.plugins.offers(("executors",))
    names = {label.partition(".")[0] for label in offers}
    return [name for name in names if name != "jobs"]
