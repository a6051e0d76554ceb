"""What Git knows of a working copy, read from its files: a run starts no process for it."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

FIXED = 62  # bytes of an index entry before its path


def commit(folder: Path) -> str:
    """The commit that a folder's working copy is at; empty where there is none."""
    found = _git_folder(folder)
    if found is None:
        return ""
    git, common = found
    head = _text(git / "HEAD")
    if not head.startswith("ref: "):
        return head
    ref = head.removeprefix("ref: ")
    if sha := _text(git / ref) or _text(common / ref):
        return sha
    packed = (line.split(" ") for line in _text(common / "packed-refs").splitlines())
    return next((words[0] for words in packed if words[-1] == ref), "")


def changed(folder: Path) -> list[str] | None:
    """The files of a folder that are not as Git last saw them; None where nobody knows.

    New files that were never added are not seen.
    """
    found = _git_folder(folder)
    if found is None:
        return None
    root = _root(folder)
    try:
        entries = list(_entries((found[0] / "index").read_bytes()))
    except (OSError, ValueError, struct.error):
        return None
    within = folder.resolve().relative_to(root).as_posix()
    prefix, wrong = "" if within == "." else f"{within}/", []
    for path, size, mtime, sha in entries:
        if not path.startswith(prefix):
            continue
        file = root / path
        try:
            about = file.lstat()
            if (about.st_size & 0xFFFFFFFF, about.st_mtime_ns) == (size, mtime):
                continue
            data = os.fsencode(file.readlink()) if file.is_symlink() else file.read_bytes()
        except OSError:
            wrong.append(path)
            continue
        if hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).digest() != sha:
            wrong.append(path)
    return wrong


def _root(folder: Path) -> Path:
    above = (folder.resolve(), *folder.resolve().parents)
    return next(one for one in above if (one / ".git").exists())


def _git_folder(folder: Path) -> tuple[Path, Path] | None:
    """The folder of Git's own files, and the one that working copies share."""
    try:
        place = _root(folder) / ".git"
    except StopIteration:
        return None
    if place.is_file():
        text = _text(place).removeprefix("gitdir: ")
        place = (place.parent / text).resolve()
    shared = _text(place / "commondir")
    return place, (place / shared).resolve() if shared else place


def _entries(data: bytes) -> Iterator[tuple[str, int, int, bytes]]:
    """Path, size, time and hash of each file in an index of version 2 or 3."""
    magic, version, count = struct.unpack(">4sII", data[:12])
    if magic != b"DIRC" or version not in (2, 3):
        raise ValueError("an index of another version")
    position = 12
    for _ in range(count):
        seconds, fraction = struct.unpack(">II", data[position + 8 : position + 16])
        (size,) = struct.unpack(">I", data[position + 36 : position + 40])
        sha = data[position + 40 : position + 60]
        (flags,) = struct.unpack(">H", data[position + 60 : position + 62])
        start = position + FIXED + (2 if flags & 0x4000 else 0)
        end = data.index(b"\0", start)
        yield os.fsdecode(data[start:end]), size, seconds * 10**9 + fraction, sha
        position += (end - position + 8) // 8 * 8


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
