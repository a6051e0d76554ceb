"""Trees of files: their ``h1`` hash, their stat signature, and the names that are let in.

``h1-<hex>`` is the SHA-256 of one line ``<sha256 of the bytes>  <path>`` a file, sorted by path.
Modes, times and the order of a folder do not count; caches and the like are excluded, so that a
working copy has the hash of the tag it was checked out from.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from specloom.contract.errors import ConfigError
from specloom_registry.base.paths import read_regular, unreadable

IGNORED = re.compile(
    r"\.git|__pycache__|.*\.py[co]|\.(?:mypy|ruff|pytest)_cache|\.hypothesis|\.venv|"
    r".*\.egg-info|\.DS_Store|\.coverage(?:\..*)?"
)
DEVICES = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")
LONGEST_PATH = 240


def tree_hash(files: Mapping[str, str]) -> str:
    """Return the hash of a tree from the SHA-256 of each file by its path."""
    lines = "".join(f"{files[path]}  {path}\n" for path in sorted(files))
    return f"h1-{hashlib.sha256(lines.encode(errors='surrogateescape')).hexdigest()}"


def file_hashes(folder: Path) -> dict[str, str]:
    """Hash every file of a folder (SHA-256, by path); a link counts as the path it holds.

    Raises:
        PluginUnavailableError: A file or a folder cannot be read.
    """
    return {path: file_hash(entry) for path, entry in files(folder)}


def file_hash(entry: os.DirEntry[str]) -> str:
    """Return the SHA-256 of one file.

    Raises:
        PluginUnavailableError: It cannot be read.
    """
    try:
        if entry.is_symlink():
            text = f"link to {Path(entry.path).readlink()}"
            return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
        return hashlib.sha256(read_regular(Path(entry.path))).hexdigest()
    except OSError as e:
        raise unreadable(entry.path, e) from e


def files(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield every file of a folder with its path, without caches and the like."""
    for path, entry in all_files(folder):
        if not is_ignored(path):
            yield path, entry


def is_ignored(path: str) -> bool:
    """Check whether a path is, or lies in, a cache or something else that tools leave behind."""
    return any(IGNORED.fullmatch(part) for part in path.split("/"))


def all_files(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield every file of a folder with its path, in no order.

    Raises:
        PluginUnavailableError: A folder cannot be read.
    """
    pending = [(str(folder), "")]
    while pending:
        parent, prefix = pending.pop()
        try:
            with os.scandir(parent) as found:
                entries = list(found)
        except OSError as e:
            raise unreadable(parent, e) from e
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield prefix + entry.name, entry
            elif not IGNORED.fullmatch(entry.name):
                pending.append((entry.path, f"{prefix}{entry.name}/"))


def resolved(path: Path) -> Path:
    """Return an absolute path without links; where links lead in a circle they stay."""
    return Path(os.path.realpath(path))


def signature(folder: Path) -> str:
    """Return a digest of every file's size, time and mode: when it is as before, so are the bytes.

    It guards against accidents, not against an attacker who sets times back.
    """
    lines = []
    for path, entry in all_files(folder):
        stat_result = entry.stat(follow_symlinks=False)
        size = stat_result.st_size
        lines.append(f"{path} {size} {stat_result.st_mtime_ns} {stat_result.st_mode}")
    text = "\n".join(sorted(lines))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def check_names(paths: Iterable[str], owner: str) -> None:
    """Refuse paths that some system would write elsewhere, or that it would take for one.

    Raises:
        ConfigError: There is one; the message names it.
    """
    seen: dict[str, str] = {}
    for path in paths:
        problem = _name_problem(path)
        for prefix in _prefixes(path):
            folded = unicodedata.normalize("NFC", prefix).casefold()
            other = seen.setdefault(folded, prefix)
            if other != prefix:
                problem = f"is the same as {other!r} on some systems"
        if problem:
            raise ConfigError(
                f"E-PATH {owner}: {path!r} {problem}",
                fix="request a new tag from its author, in which the file has another name",
            )


def _prefixes(path: str) -> Iterator[str]:
    """Yield the folders above a path, the top one first, and the path itself."""
    parts = path.split("/")
    for length in range(1, len(parts) + 1):
        yield "/".join(parts[:length])


def _name_problem(path: str) -> str:
    """Describe why a path cannot be written everywhere; empty for one that can."""
    if len(path) > LONGEST_PATH:
        return f"is longer than {LONGEST_PATH} characters"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "leads out of its folder"
        if re.search(r"[\0-\x1f\x7f\\:*?\"<>|]", part) or "\udc00" <= max(part) <= "\udfff":
            return "holds a character that some systems forbid"
        if part[-1] in ". " or DEVICES.fullmatch(part):
            return "is a name that some systems cannot hold"
        short = part.rstrip(". ").casefold()
        if short == ".git" or re.fullmatch(r"git~\d+", short):
            return "would be taken for a Git folder"
    return ""


def seal(folder: Path) -> None:
    """Make every file and folder read-only, whatever the umask was."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            Path(parent, name).chmod(0o444)
        Path(parent).chmod(0o555)


def remove(folder: Path) -> None:
    """Delete a folder, also a sealed one."""
    import shutil

    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(stat.S_IRWXU)
    shutil.rmtree(folder)
