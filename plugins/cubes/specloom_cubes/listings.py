"""Lists of folders that hold many cubes: read once, and again where a folder has changed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path

SETTLED = 2_000_000_000
"""Nanoseconds after a folder's last change from which on its time shows the next change."""


class Listing:
    """What a folder held when it was listed.

    Args:
        paths: Its files and folders, sorted.
    """

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        self.paths = paths

    @cached_property
    def by_name(self) -> dict[str, Path]:
        """The last path of each name in lower case."""
        return {path.name.lower(): path for path in self.paths}

    @cached_property
    def by_stem(self) -> dict[str, list[Path]]:
        """The paths of each name without its ending, in lower case."""
        found: dict[str, list[Path]] = {}
        for path in self.paths:
            found.setdefault(path.stem.lower(), []).append(path)
        return found


def listing_of(folder: Path) -> Listing:
    """What a folder holds; nothing where there is no such folder.

    The same object as long as the folder does not change, so that to look for the files of each of
    n cubes does not list n times n files.
    """
    if not folder.is_dir():
        return Listing()
    changed = folder.stat().st_mtime_ns
    if time.time_ns() - changed < SETTLED:
        return Listing(sorted(folder.iterdir()))
    return _listing_at(folder, changed)


@lru_cache(maxsize=16)
def _listing_at(folder: Path, changed: int) -> Listing:
    """What a folder held at the time of its last change."""
    return Listing(sorted(folder.iterdir()))
