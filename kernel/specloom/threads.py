"""How many threads BLAS and torch use for a command.

Short parallel regions cost more than they gain: the threads of OpenMP wait for each other by
spinning. So a command takes one thread where the user chose no number. A library call chooses
nothing: its process belongs to the caller.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

SETTING = "SPECLOOM_THREADS"
"""The environment variable with the number of threads; the option ``--threads`` overrides it."""

OPENMP = "OMP_NUM_THREADS"
VARIABLES = (
    OPENMP,
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""What the libraries read when they are loaded."""

MOST = 1024

_by_default = False


def chosen_by_default() -> bool:
    """Whether a command is running with one thread because no number was chosen."""
    return _by_default


def cores() -> int:
    """The cores that this process may use, shared with the other processes of ``torchrun``."""
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    processes = os.environ.get("LOCAL_WORLD_SIZE", "")
    if processes.isdecimal() and int(processes) > 0:
        available //= int(processes)
    return max(1, available)


@contextmanager
def limited(count: int | None = None) -> Iterator[None]:
    """Limit BLAS and torch to ``count`` threads; afterwards environment and torch are as before.

    Args:
        count: The number of threads. None keeps what the user's ``OMP_NUM_THREADS`` says, and
            means one thread where the user set none.
    """
    global _by_default
    if count is None and os.environ.get(OPENMP):
        yield
        return
    environment = {name: os.environ.get(name) for name in VARIABLES}
    outer_default = _by_default
    outer_threads = _threads_of_torch()
    for name, value in environment.items():
        if count is not None or not value:
            os.environ[name] = str(count or 1)
    _set_threads_of_torch(count or 1)
    _by_default = count is None
    try:
        yield
    finally:
        _by_default = outer_default
        for name, value in environment.items():
            _restore(name, value)
        _set_threads_of_torch(outer_threads or _usual_threads())


def threads_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that computes the option ``--threads``, and run it with that many threads.

    Write it below ``click.command()``. The number comes from the option, else from the
    environment variable ``SPECLOOM_THREADS``, else from ``OMP_NUM_THREADS``; else it is one.
    """
    import click

    def number(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
        if value is None:
            return None
        count = _number(value)
        if count is not None:
            return count
        source = ctx.get_parameter_source("threads")
        place = "'--threads'"
        if source == click.core.ParameterSource.ENVIRONMENT:
            place = f"'{SETTING}'"
        what = f"{value!r} is not a number of threads; write a whole number from 1 to {MOST}."
        raise click.BadParameter(what, ctx, param_hint=place)

    @wraps(function)
    def with_threads(*arguments: Any, threads: int | None, **options: Any) -> Any:
        with limited(threads):
            return function(*arguments, **options)

    option = click.option(
        "--threads",
        envvar=SETTING,
        callback=number,
        metavar="N",
        help=f"Threads of BLAS and torch [default: {SETTING}, else {OPENMP}, else 1].",
    )
    return option(with_threads)


def counts() -> dict[str, Any]:
    """How many threads run now, for a record.

    ``torch`` is None where it is not loaded; ``long_work`` is what ``specloom.torch.all_cores``
    gives, and ``by_default`` says that no number was chosen.
    """
    short_work = _threads_of_torch()
    long_work = short_work
    if _by_default:
        long_work = cores()
    return {"torch": short_work, "long_work": long_work, "by_default": _by_default}


def _number(text: str) -> int | None:
    """The number of threads that a text means; None where it means none."""
    digits = text.strip()
    if not digits.isascii() or not digits.isdecimal() or len(digits) > len(str(MOST)):
        return None
    count = int(digits)
    if not 1 <= count <= MOST:
        return None
    return count


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _usual_threads() -> int:
    """What torch would take by itself in this environment."""
    chosen = os.environ.get(OPENMP, "")
    if chosen.isdecimal() and int(chosen) > 0:
        return int(chosen)
    return cores()


def _threads_of_torch() -> int | None:
    """The threads that torch uses now; None where it is not loaded."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    count: int = torch.get_num_threads()
    return count


def _set_threads_of_torch(count: int) -> None:
    """Change the number in a torch that is loaded, which reads no variable any more."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != count:
        torch.set_num_threads(count)
