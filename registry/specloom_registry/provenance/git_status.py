"""What Git says of the working copies that hold a run's local plugins."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from specloom_registry.base.paths import repository_root
from specloom_registry.fetch import git
from specloom_registry.store import tree

PATH_FIELD = {"1": 8, "u": 10}  # in a line of ``git status --porcelain=v2``, by its kind


@dataclass(frozen=True)
class GitStatus:
    """The commit of a working copy, and the tracked files that differ from it.

    Args:
        commit: The commit; empty before the first one.
        changed: The files, by their paths from the root; new files that were never added are not
            among them.
    """

    commit: str
    changed: tuple[str, ...]

    def within(self, folder: PurePosixPath) -> GitStatus:
        """Return the status of one folder, by its path from the root."""
        changed = tuple(p for p in self.changed if PurePosixPath(p).is_relative_to(folder))
        return GitStatus(self.commit, changed)


@dataclass
class WorkingCopies:
    """The status of working copies, each requested from Git once."""

    _by_root: dict[Path, GitStatus | None] = field(default_factory=dict)

    def status(self, folder: Path) -> GitStatus | None:
        """Return the status of a folder; None if it is in no working copy or Git cannot read it."""
        folder = tree.resolved(folder)
        root = repository_root(folder)
        if root is None:
            return None
        if root not in self._by_root:
            self._by_root[root] = _read_status(root)
        whole = self._by_root[root]
        if whole is None:
            return None
        return whole.within(PurePosixPath(folder.relative_to(root).as_posix()))


def _read_status(root: Path) -> GitStatus | None:
    try:
        output = git.status(root)
    except git.GitError:
        return None
    return parse_status(output)


def parse_status(output: str) -> GitStatus:
    """Parse what ``git status --porcelain=v2 --branch -z --no-renames`` prints."""
    commit = ""
    changed = []
    for line in output.split("\0"):
        kind = line.partition(" ")[0]
        if line.startswith("# branch.oid "):
            commit = line.removeprefix("# branch.oid ")
        elif kind in PATH_FIELD:
            changed.append(line.split(" ", PATH_FIELD[kind])[-1])
    if commit == "(initial)":
        commit = ""
    return GitStatus(commit, tuple(changed))
