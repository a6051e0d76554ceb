"""Paths as users give them: whether something is there, and what to do where it is not."""

from __future__ import annotations

import os
import re
from pathlib import Path

RELATIVE = "check the path; it is relative to where you run"
COPY = "copy the file to this machine and give its path"
PATTERN = re.compile(r"[*?]")
"""What makes the name of a file a pattern."""

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How the address of something elsewhere begins, such as ``s3://`` (a path has one slash)."""


def expand(path: str | Path) -> Path:
    """A path with ``~`` and ``$VAR`` replaced; a file whose name has these signs stays itself.

    Every path that a user gives goes through here before it is opened; addresses stay as they are.
    """
    plain = Path(path)
    text = str(path)
    if ("~" not in text and "$" not in text) or is_address(text) or _exists(plain):
        return plain
    expanded = Path(os.path.expandvars(text))
    try:
        return expanded.expanduser()
    except RuntimeError:  # there is no such user
        return expanded


def there(path: str | Path) -> bool:
    """Whether a path leads to something; a name that no system can have leads to nothing.

    A pattern such as ``band_*.tif`` leads to the files that match it.

    Raises:
        PermissionError: A folder on the way to it is closed.
    """
    return _exists(expand(path))


def _exists(path: Path) -> bool:
    try:
        return path.exists() or len(files_of_pattern(path)) > 0
    except PermissionError:
        raise
    except OSError:
        return False


def is_folder(path: str | Path) -> bool:
    """Whether a path leads to a folder; a name that no system can have leads to nothing."""
    folder = expand(path)
    return there(folder) and folder.is_dir()


def files_of_pattern(path: str | Path) -> list[Path]:
    """The files whose names match the last part of a path; none where that is no pattern."""
    path = Path(path)
    if PATTERN.search(path.name) is None or PATTERN.search(str(path.parent)) is not None:
        return []
    try:
        if path.exists() or not path.parent.is_dir():
            return []
        return sorted(file for file in path.parent.glob(path.name) if file.is_file())
    except OSError:
        return []


def is_address(text: str | Path) -> bool:
    """Whether a text is the address of something elsewhere and no path."""
    return ADDRESS.match(str(text)) is not None


def advice(path: str | Path) -> str:
    """What to do about a path that leads to nothing."""
    return COPY if is_address(path) else RELATIVE
