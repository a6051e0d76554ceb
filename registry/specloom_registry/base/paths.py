"""Questions about paths that may be unreadable, too long or absent.

A path that cannot be looked at is neither there nor not there: ``is_file`` and ``exists`` take it
for absent, ``may_exist`` takes it for present, and ``is_folder`` raises.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from specloom_registry.base.faults import PluginUnavailableError


def read_regular(path: Path) -> bytes:
    """Read a file that others may have put there: a named pipe would be waited for without end.

    Raises:
        OSError: It cannot be read, or is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def is_file(path: Path) -> bool:
    """Check whether a path is a file; one that cannot be looked at is none."""
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be searched
        return False


def exists(path: Path) -> bool:
    """Check whether there is a file or folder; one that cannot be looked at is absent."""
    try:
        return path.exists()
    except OSError:
        return False


def may_exist(path: Path) -> bool:
    """Check whether a path is not surely absent: reading it then reports what is wrong with it."""
    try:
        return path.exists()
    except OSError:
        return True


def is_folder(path: Path) -> bool:
    """Check whether a path is a folder.

    Raises:
        PluginUnavailableError: A folder above it may not be searched.
    """
    try:
        return path.is_dir()
    except OSError as e:
        raise unreadable(path, e) from e


def unreadable(path: Path | str, error: OSError, *, outcome: str = "") -> PluginUnavailableError:
    """Return the error for a path that this user may not read; ``outcome`` ends the message."""
    return PluginUnavailableError(
        f"E-DISK {path} cannot be read: {error.strerror}{outcome}",
        fix="make it readable for this user",
    )


def repository_root(folder: Path) -> Path | None:
    """Return the root of the Git working copy that holds a folder; None if there is none."""
    for candidate in (folder, *folder.parents):
        if exists(candidate / ".git"):
            return candidate
    return None
