"""End every process that a piece of code has started, also those in sessions of their own."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

BECOME_REAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
TIMEOUT = 3.0  # seconds to end what is left


@contextmanager
def supervised() -> Iterator[None]:
    """Run the block in a child; this process ends what the child leaves behind, and ends as it did.

    On Linux, processes whose parent has ended become children of this one, whatever session they
    are in. On other systems the block runs in this process, and its group is ended from outside.
    """
    if sys.platform != "linux":
        yield
        return
    ctypes.CDLL(None, use_errno=True).prctl(BECOME_REAPER, 1, 0, 0, 0)
    child = os.fork()
    if child == 0:
        yield
        return
    signal.signal(signal.SIGTERM, _end_at_once)
    _, status = os.waitpid(child, 0)
    end_children()
    _end_like(status)


def end_children() -> None:
    """Kill the children of this process until there are none."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        found = _children()
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def _children() -> list[int]:
    """Return the processes whose parent is this one."""
    found = list[int]()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            after_name = (folder / "stat").read_text(errors="replace").rpartition(")")[2]
            if int(after_name.split()[1]) == os.getpid():
                found.append(int(folder.name))
    return found


def _end_at_once(*_: Any) -> None:
    end_children()
    os._exit(128 + signal.SIGTERM)


def _end_like(status: int) -> None:
    """End this process as another one ended: by the same signal, or with the same code."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
