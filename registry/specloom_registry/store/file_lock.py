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

PATIENCE = 600.0  # seconds
FIRST_WORD = 1.0  # seconds until a waiter says whom it waits for


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


@contextmanager
def locked(
    file: Path, what: str, *, timeout: float = PATIENCE, say: Callable[[str], None] = _say
) -> Iterator[None]:
    """Hold ``file`` alone; wait for whoever holds it.

    Raises:
        PluginUnavailableError: It cannot be opened, or somebody held it for too long.
    """
    try:
        handle = _open(file)
    except OSError as e:
        what = f"E-DISK {file} cannot be locked: {e.strerror}; nothing was changed"
        fix = "set SPECLOOM_STORE to a folder that may be written"
        raise PluginUnavailableError(what, fix=fix) from e
    try:
        started, told, pause = time.monotonic(), False, 0.002
        while not try_lock(handle):
            waited = time.monotonic() - started
            holder = os.pread(handle, 200, 0).decode(errors="replace") or "another process"
            if waited > timeout:
                raise PluginUnavailableError(
                    f"E-BUSY {holder} holds {file} for more than {timeout:g} s",
                    fix="wait until it is done, or end it, and try again",
                )
            if waited > FIRST_WORD and not told:
                say(f"waiting for {holder}")
                told = True
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        with suppress(OSError):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"pid {os.getpid()} ({what})".encode(), 0)
        yield
        with suppress(OSError):
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def hold(file: Path, *, shared: bool) -> int | None:
    """A handle that holds ``file`` until it is closed; None if another process is in the way."""
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

    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
