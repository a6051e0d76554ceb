"""Whether a file is of a process that lives: that process holds a lock on it.

A process number says it only to processes of the same machine and the same container; a lock
says it to every process that sees the file.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

if sys.platform != "win32":
    # With the module: a process may lose its right to read the library before it locks a file.
    import fcntl

Holder: TypeAlias = Literal["this process", "another process", "unknown"]

#: How a file is opened that is to be locked; never through a link.
FLAGS = os.O_RDWR | os.O_CREAT
if os.name == "posix":
    FLAGS |= os.O_CLOEXEC | os.O_NOFOLLOW


def lock_file(handle: int) -> Holder:
    """Lock an open file until it is closed, without waiting; who holds the lock then.

    Where file system or operating system have no such locks, the holder is not known.

    Args:
        handle: The descriptor of the file, which is open for writing.
    """
    if sys.platform == "win32":
        return "unknown"
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "another process"
    except OSError:
        return "unknown"
    return "this process"


def open_locked(path: Path) -> int | None:
    """Make a file, or open it, and hold its lock; None where another process has or removed it.

    The descriptor holds the lock until it is closed.

    Raises:
        OSError: The file cannot be opened.
    """
    handle = os.open(path, FLAGS, 0o666)
    try:
        if lock_file(handle) != "another process" and _is_at(handle, path):
            return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def lock_abandoned(path: Path) -> int | None:
    """Hold the lock of a file that no living process holds; None where one may hold it.

    A file that is not there is made, so that its owner, if it comes yet, finds it locked.
    """
    with suppress(OSError):
        handle = os.open(path, FLAGS, 0o666)
        if lock_file(handle) == "this process" and _is_at(handle, path):
            return handle
        os.close(handle)
    return None


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file is the one that has a path: it was neither removed nor replaced."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
