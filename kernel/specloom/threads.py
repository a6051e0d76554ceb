"""How many threads work on the blocks of large arrays, and how many BLAS and torch use meanwhile.

Short parallel regions of OpenMP cost more than they gain: its threads wait for each other by
spinning. So BLAS and torch work with one thread in our calls, and large arrays are divided into
blocks, which the threads of ``specloom.pool`` take as they become free. A library call restores
what BLAS and torch had: its process belongs to the caller.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from types import TracebackType
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

OF_THREADPOOLCTL = "KMP_DUPLICATE_LIB_OK"
"""What threadpoolctl sets when it is imported, for libraries that it does not load here."""

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")

_by_default = False
_of_command: int | None = None
"""The number of a running command; None outside of one."""
_of_long_work: int | None = None
"""The same, where it is not the user's ``OMP_NUM_THREADS``, which torch reads itself."""


class _OfThread:
    """What holds for one thread of the process."""

    def __init__(self) -> None:
        self.depth = 0
        """How many ``one_thread()`` are entered."""
        self.outer_threads: int | None = None
        """The threads that torch had before the first of them; None where that changed nothing."""


class _Threads(threading.local):
    """What holds for each thread."""

    def __init__(self) -> None:
        self.own = _OfThread()


_threads = _Threads()


def chosen_by_default() -> bool:
    """Whether a command is running whose number of threads was not chosen."""
    return _by_default


def cores() -> int:
    """The cores that this process may use, shared with the other processes of ``torchrun``.

    They follow from the affinity of the process and from the quota of its control groups.
    """
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    quota = cpu_quota()
    if quota is not None:
        available = min(available, quota)
    processes = os.environ.get("LOCAL_WORLD_SIZE", "")
    if processes.isdecimal() and int(processes) > 0:
        available //= int(processes)
    return max(1, available)


@cache
def cpu_quota(root: Path = CGROUP, own: Path = OWN_CGROUPS) -> int | None:
    """The cores that control groups (version 1 or 2) allow, rounded up; None for no limit.

    Args:
        root: Where the file systems of control groups are mounted.
        own: The file that names the groups of this process.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    found: list[int] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += _quotas_above(root, path, _quota_of_version_2)
        elif "cpu" in controllers.split(","):
            for mount in (root / controllers, root / "cpu"):
                found += _quotas_above(mount, path, _quota_of_version_1)
    return min(found, default=None)


def _quotas_above(
    mount: Path, path: str, read: Callable[[Path], tuple[int, int] | None]
) -> Iterator[int]:
    """The cores that a group and each group above it allows, where there is a limit."""
    group = mount / path.lstrip("/")
    for folder in (group, *group.parents):
        if not folder.is_relative_to(mount):
            return
        try:
            limit = read(folder)
        except (OSError, ValueError):
            continue
        if limit is not None:
            quota, period = limit
            yield max(-(-quota // period), 1)


def _quota_of_version_2(folder: Path) -> tuple[int, int] | None:
    """Microseconds of CPU in each period, and the period."""
    quota, period = (folder / "cpu.max").read_text().split()
    if quota == "max":
        return None
    return int(quota), int(period)


def _quota_of_version_1(folder: Path) -> tuple[int, int] | None:
    """Microseconds of CPU in each period, and the period."""
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    if quota <= 0:
        return None
    return quota, int((folder / "cpu.cfs_period_us").read_text())


def long_work() -> int | None:
    """How many threads a command gives to long operations of torch; None for those torch has."""
    return _of_long_work


def count() -> int:
    """How many threads work on the blocks of large arrays.

    In a command it is the number that the command has. From Python it is ``SPECLOOM_THREADS``,
    else ``OMP_NUM_THREADS``, else the number that torch has in the calling thread, but at most
    the cores that the process may use.
    """
    if _of_command is not None:
        return _of_command
    for name in (SETTING, OPENMP):
        chosen = _number(os.environ.get(name, ""))
        if chosen is not None:
            return chosen
    usual = outer_threads_of_torch()
    available = cores()
    if usual is None:
        return available
    return min(usual, available)


class one_thread:  # noqa: N801  # it is used as a function
    """A context in which BLAS and torch have one thread; afterwards they have what they had.

    torch has a number for each thread of the process, BLAS one for all of them: the last context
    that ends, in whatever thread, restores that of BLAS. Contexts may be nested.
    """

    __slots__ = ("_entered",)

    def __enter__(self) -> None:
        here = _threads.own
        self._entered = here
        here.depth += 1
        if here.depth > 1:
            return
        torch = sys.modules.get("torch")
        if torch is not None:
            usual = torch.get_num_threads()
            if usual != 1:
                torch.set_num_threads(1)
                here.outer_threads = usual
        _blas.limit()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        entered = self._entered
        entered.depth -= 1
        if entered.depth > 0:
            return
        _blas.release()
        usual = entered.outer_threads
        entered.outer_threads = None
        # A generator that is left may end in another thread.
        if usual is not None and entered is _threads.own:
            sys.modules["torch"].set_num_threads(usual)


def outer_threads_of_torch() -> int | None:
    """The threads that torch has outside of ``one_thread()``; None where it is not loaded."""
    return _threads.own.outer_threads or _threads_of_torch()


class _Blas:
    """The BLAS libraries of the process, with one thread while anything needs that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._changed: list[tuple[Any, int]] = []

    def limit(self) -> None:
        """Take one thread, until as many ``release`` as ``limit`` were called."""
        with self._lock:
            self._users += 1
            for library in _blas_libraries("scipy.linalg" in sys.modules):
                usual = library.get_num_threads()
                if usual != 1:
                    _set_threads_of_blas(library, 1)
                    self._changed.append((library, usual))

    def release(self) -> None:
        """Restore the numbers, if nothing else needs one thread."""
        with self._lock:
            self._users -= 1
            if self._users or not self._changed:
                return
            for library, usual in reversed(self._changed):
                _set_threads_of_blas(library, usual)
            self._changed = []


_blas = _Blas()


def _start_again() -> None:
    """Forget the other threads of the process that this one was forked from."""
    global _blas
    _blas = _Blas()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_again)


def _set_threads_of_blas(library: Any, count: int) -> None:
    """Change the number, from whatever thread; threadpoolctl lets one thread alone do it."""
    release = getattr(library, "clear_controlling_thread", None)
    if release is None:
        library.set_num_threads(count)
        return
    release(force=True)
    library.set_num_threads(count)
    release(force=True)


@cache
def _blas_libraries(with_scipy: bool) -> list[Any]:
    """The BLAS libraries that are loaded; SciPy has one of its own."""
    if "numpy" not in sys.modules:
        return []
    mark = os.environ.get(OF_THREADPOOLCTL)
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return []
    finally:
        _restore(OF_THREADPOOLCTL, mark)
    found: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    return found


@contextmanager
def limited(count: int | None = None, outside: int = 1) -> Iterator[None]:
    """Give a command ``count`` threads; afterwards environment and torch are as before.

    Args:
        count: The number of threads for blocks of arrays, and for long operations of torch. None
            keeps what the user's ``OMP_NUM_THREADS`` says; where the user set none, it is the
            cores of the process.
        outside: The threads of BLAS and torch outside of these. Short operations and gradient
            steps take no less time with more than one.
    """
    global _by_default, _of_command, _of_long_work
    outer_number = _of_command
    outer_long_work = _of_long_work
    if count is None and os.environ.get(OPENMP):
        _of_command = _number(os.environ[OPENMP]) or 1
        try:
            yield
        finally:
            _of_command = outer_number
        return
    environment = {name: os.environ.get(name) for name in VARIABLES}
    outer_default = _by_default
    outer_threads = _threads_of_torch()
    _of_command = count or cores()
    _of_long_work = _of_command
    for name, value in environment.items():
        if count is not None or not value:
            os.environ[name] = str(outside)
    _set_threads_of_torch(outside)
    _by_default = count is None
    try:
        yield
    finally:
        _of_command = outer_number
        _of_long_work = outer_long_work
        _by_default = outer_default
        for name, value in environment.items():
            _restore(name, value)
        _set_threads_of_torch(outer_threads or _usual_threads())


def threads_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that computes the option ``--threads``, and run it with that many threads.

    Write it below ``click.command()``. The number comes from the option, else from the
    environment variable ``SPECLOOM_THREADS``, else from ``OMP_NUM_THREADS``; else it is that of
    the cores that the process may use.
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
        help=f"Threads [default: {SETTING}, else {OPENMP}, else the cores].",
    )
    return option(with_threads)


def counts() -> dict[str, Any]:
    """How many threads run now, for a record.

    ``blocks`` is how many work on the blocks of large arrays, ``torch`` how many torch has outside
    of them, None where it is not loaded. ``long_work`` is what ``specloom.torch.all_cores`` gives,
    and ``by_default`` says that no number was chosen.
    """
    short_work = outer_threads_of_torch()
    return {
        "blocks": count(),
        "torch": short_work,
        "long_work": long_work() or short_work,
        "by_default": _by_default,
    }


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
