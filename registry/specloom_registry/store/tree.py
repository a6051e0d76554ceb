"""Trees of files: their ``h1`` hash, their stat signature, and the names that are let in.

``h1-<hex>`` is the SHA-256 of one line ``<sha256 of the bytes>  <path>`` a file, sorted by path.
Modes, times and the order of a folder do not count; what tools leave behind is left out, so that a
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
from specloom_registry.base.faults import PluginUnavailableError

LEFT_BEHIND = re.compile(
    r"\.git|__pycache__|.*\.py[cod]|\.(?:mypy|ruff|pytest)_cache|\.hypothesis|\.venv|"
    r".*\.egg-info|\.DS_Store|\.coverage(?:\..*)?"
)
DEVICES = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")
LONGEST_PATH = 240


def tree_hash(files: Mapping[str, str]) -> str:
    """The hash of a tree from the SHA-256 of each file by its path."""
    lines = "".join(f"{files[path]}  {path}\n" for path in sorted(files))
    return f"h1-{hashlib.sha256(lines.encode(errors='surrogateescape')).hexdigest()}"


def file_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a folder, by its path; a link counts as what it says.

    Raises:
        PluginUnavailableError: A file or a folder cannot be read.
    """
    return {path: file_hash(entry) for path, entry in files(folder)}


def file_hash(entry: os.DirEntry[str]) -> str:
    """The SHA-256 of one file.

    Raises:
        PluginUnavailableError: It cannot be read.
    """
    try:
        if entry.is_symlink():
            text = f"link to {Path(entry.path).readlink()}"
            return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
        with open(entry.path, "rb") as file:  # noqa: PTH123  # twice as fast as Path.open
            return hashlib.sha256(file.read()).hexdigest()
    except OSError as e:
        raise _unreadable(entry.path, e) from e


def files(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file of a folder with its path, without what tools leave behind."""
    for path, entry in everything(folder):
        if not any(LEFT_BEHIND.fullmatch(part) for part in path.split("/")):
            yield path, entry


def everything(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file of a folder with its path, in no order.

    Raises:
        PluginUnavailableError: A folder cannot be read.
    """
    waiting = [(str(folder), "")]
    while waiting:
        place, above = waiting.pop()
        try:
            with os.scandir(place) as found:
                entries = list(found)
        except OSError as e:
            raise _unreadable(place, e) from e
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not LEFT_BEHIND.fullmatch(entry.name):
                    waiting.append((entry.path, f"{above}{entry.name}/"))
            else:
                yield above + entry.name, entry


def is_dir(place: Path) -> bool:
    """Whether there is a folder.

    Raises:
        PluginUnavailableError: A folder above it may not be searched.
    """
    try:
        return place.is_dir()
    except OSError as e:
        raise _unreadable(str(place), e) from e


def resolved(place: Path) -> Path:
    """An absolute path without links; where links lead in a circle they stay as they are."""
    return Path(os.path.realpath(place))


def _unreadable(place: str, error: OSError) -> PluginUnavailableError:
    what = f"E-DISK {place} cannot be read: {error.strerror}"
    return PluginUnavailableError(what, fix="make it readable for this user")


def signature(folder: Path) -> str:
    """A digest of every file's size, time and mode: when it is as before, so are the bytes.

    It guards against accidents, not against somebody who sets times back.
    """
    lines = []
    for path, entry in everything(folder):
        about = entry.stat(follow_symlinks=False)
        lines.append(f"{path} {about.st_size} {about.st_mtime_ns} {about.st_mode}")
    return hashlib.sha256("\n".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()


def check_names(paths: Iterable[str], owner: str) -> None:
    """Refuse paths that some system would write elsewhere, or to one place.

    Raises:
        ConfigError: There is one; the message names it.
    """
    seen: dict[str, str] = {}
    for path in paths:
        why = _bad(path)
        parts = path.split("/")
        for length in range(1, len(parts) + 1):
            prefix = "/".join(parts[:length])
            other = seen.setdefault(unicodedata.normalize("NFC", prefix).casefold(), prefix)
            if other != prefix:
                why = f"is the same as {other!r} on some systems"
        if why:
            raise ConfigError(
                f"E-PATH {owner}: {path!r} {why}",
                fix="ask its author to rename the file, and to tag again",
            )


def _bad(path: str) -> str:
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
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            Path(place, name).chmod(0o444)
        Path(place).chmod(0o555)


def remove(folder: Path) -> None:
    """Delete a folder, also a sealed one."""
    import shutil

    for place, _, _ in os.walk(folder):
        Path(place).chmod(stat.S_IRWXU)
    shutil.rmtree(folder)
