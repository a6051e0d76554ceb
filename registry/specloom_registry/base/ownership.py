"""Whose a file is: code that another user put there must not run with this user's rights."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from specloom_registry.base.faults import PluginIntegrityError

VARIABLE = "SPECLOOM_SAFE_DIRECTORY"
ALL = "*"
ROOT = 0


def check_owner(path: Path, subject: str, where: str = "") -> None:
    """Refuse a file or folder of another user, root excepted.

    Folders named in ``SPECLOOM_SAFE_DIRECTORY``, separated as in ``PATH``, are trusted, and ``*``
    trusts all. Under sudo, the user who started it counts too.

    Args:
        path: What is about to be used; what is absent is no problem here.
        subject: What it is, for the message.
        where: The line that names it; by default the path.

    Raises:
        PluginIntegrityError: It belongs to another user.
    """
    owner = other_owner(path)
    if owner is None or is_trusted(path):
        return
    raise PluginIntegrityError(
        f"E-OWNER {subject} belongs to another user ({owner})",
        where=where or str(path),
        fix=f"look at it, and if you trust it: export {VARIABLE}={_folder(path)}",
    )


def check_not_writable(folder: Path, subject: str) -> None:
    """Refuse a folder that other users may write.

    Raises:
        PluginIntegrityError: They may.
    """
    if os.name != "posix":
        return
    try:
        found = folder.stat()
    except OSError:
        return
    others = found.st_mode & stat.S_IWOTH
    group = found.st_mode & stat.S_IWGRP and found.st_gid not in (ROOT, os.getegid())
    if (others or group) and not is_trusted(folder):
        mode = stat.S_IMODE(found.st_mode)
        raise PluginIntegrityError(
            f"E-OWNER {subject} may be written by other users (mode {mode:o})",
            where=str(folder),
            fix=f"chmod go-w {folder}, and fill it again if you do not trust what is in it",
        )


def other_owner(path: Path) -> str | None:
    """Return the owner of a path, or of the link that it is, if this is another user."""
    if os.name != "posix":
        return None
    try:
        owners = {path.lstat().st_uid, path.stat().st_uid}
    except OSError:  # reading it reports why
        return None
    others = owners - _own_ids()
    if not others:
        return None
    return _user_name(min(others))


def is_trusted(path: Path) -> bool:
    """Check whether the user trusts the folder that a path is or lies in."""
    value = os.environ.get(VARIABLE, "")
    places = [place for place in value.split(os.pathsep) if place]
    if ALL in places:
        return True
    resolved = os.path.realpath(path)
    return any(Path(resolved).is_relative_to(os.path.realpath(place)) for place in places)


def _own_ids() -> set[int]:
    """Return the users whose files count as this user's own."""
    ids = {ROOT, os.geteuid()}
    started_by = os.environ.get("SUDO_UID", "")
    if os.geteuid() == ROOT and started_by.isdecimal():
        ids.add(int(started_by))
    return ids


def _folder(path: Path) -> Path:
    if path.is_dir():
        return path
    return path.parent


def _user_name(uid: int) -> str:
    import pwd

    try:
        return f"{pwd.getpwuid(uid).pw_name}, uid {uid}"
    except KeyError:
        return f"uid {uid}"
