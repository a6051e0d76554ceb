"""File locks between processes, on one machine: a few lines over the system's own call.

A lock file is never removed, so that two processes cannot hold the same lock on two files.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from specloom_registry.base.faults import PluginUnavailableError

TIMEOUT = 600.0  # seconds
NOTICE_AFTER = 1.0  # seconds until a waiting process names the one that it waits for


def _print(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


@contextmanager
def locked(
    file: Path, owner: str, *, timeout: float = TIMEOUT, notify: Callable[[str], None] = _print
) -> Iterator[None]:
    """Hold ``file`` exclusively; wait for the process that holds it.

    Raises:
        PluginUnavailableError: It cannot be opened, or another process held it for too long.
    """
    try:
        handle = _open(file)
    except OSError as e:
        what = f"E-DISK {file} cannot be locked: {e.strerror}; nothing was changed"
        fix = "set SPECLOOM_STORE to a folder that may be written"
        raise PluginUnavailableError(what, fix=fix) from e
    try:
        _wait_for(handle, file, timeout, notify)
        with suppress(OSError):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"pid {os.getpid()} ({owner})".encode(), 0)
        yield
        with suppress(OSError):
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _wait_for(handle: int, file: Path, timeout: float, notify: Callable[[str], None]) -> None:
    """Take the lock of an open file, as soon as it is free."""
    started = time.monotonic()
    notified = False
    pause = 0.002
    while not try_lock(handle):
        waited = time.monotonic() - started
        holder = os.pread(handle, 200, 0).decode(errors="replace") or "another process"
        if waited > timeout:
            raise PluginUnavailableError(
                f"E-BUSY {holder} holds {file} for more than {timeout:g} s",
                fix="wait until it is done, or end it, and try again",
            )
        if waited > NOTICE_AFTER and not notified:
            notify(f"waiting for {holder}")
            notified = True
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def acquire(file: Path, *, shared: bool) -> int | None:
    """Return a handle that holds ``file`` until it is closed; None if another process holds it."""
    try:
        handle = _open(file)
    except OSError:
        return None
    if try_lock(handle, shared=shared):
        return handle
    os.close(handle)
    return None


def _open(file: Path) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(file, flags | os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return os.open(file, flags | os.O_RDONLY)  # a store that may only be read


def try_lock(handle: int, *, shared: bool = False) -> bool:
    """Take the lock if it is free."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
