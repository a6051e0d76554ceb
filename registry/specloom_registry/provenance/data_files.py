"""The files that a run reads: sizes and hashes for its record, bounded and fast.

A file is hashed whole up to 256 MB; of a larger one the size, the time and the hash of its two
ends stand for it. A folder has one hash of its files, of which as many are read whole as fit into
256 MB together. What changes only in the middle of a large file is seen by its time alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from specloom_registry.store import tree

MAX_HASHED = 256 << 20  # bytes that are read whole
END = 1 << 20  # bytes of each end of a larger file
MAX_FILES = 10_000
MAX_COMPANIONS = 16
LONGEST_PATH = 4096


def describe_files(document: Any, base: Path) -> list[dict[str, Any]]:
    """Describe the files and folders that a run file names, each with ``used_by``, its key there.

    Of ``data``, also the files next to one with the same name: an ENVI header's cube, a mask.

    Args:
        document: What the run file holds.
        base: The folder that relative paths are of.
    """
    found = []
    for key, text in _texts_of(document):
        is_data = key.startswith("data")
        try:
            found += _describe_named(base / text, text, key, is_data=is_data)
        except (OSError, ValueError):
            continue  # not a path, or one that may not be read: the run reports it
    return found


def _describe_named(path: Path, text: str, key: str, *, is_data: bool) -> list[dict[str, Any]]:
    """Describe the file or folder that a text in a run file names; nothing if there is none."""
    if path.is_file():
        files = [path]
        if is_data:
            files += _companions(path)
        return [describe(file, str(Path(text).with_name(file.name)), key) for file in files]
    if path.is_dir() and is_data:
        return [describe(path, text, key)]
    return []


def describe(file: Path, path: str, used_by: str) -> dict[str, Any]:
    """Return one file's or folder's line in the record; ``path`` is as the run file has it.

    Raises:
        OSError: It cannot be read.
    """
    line: dict[str, Any] = {"used_by": used_by, "path": path}
    if file.is_dir():
        return {**line, **_describe_folder(file)}
    stat_result = file.stat()
    line["size"] = stat_result.st_size
    if stat_result.st_size <= MAX_HASHED:
        return {**line, "sha256": _sha256(file)}
    ends = _sha256_of_ends(file, stat_result.st_size)
    return {**line, "mtime": stat_result.st_mtime_ns, "ends_sha256": ends}


def _texts_of(document: Any) -> Iterator[tuple[str, str]]:
    """Yield each text among the parameters of a run file that may be a path, with its key."""
    if not isinstance(document, Mapping):
        return
    for section in ("data", "nodes", "phases"):
        for key, text in _texts(document.get(section), section):
            if ".config" in key and text and len(text) <= LONGEST_PATH:
                yield key, text


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, f"{key}.{name}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _texts(inner, f"{key}[{i}]")


def _companions(file: Path) -> list[Path]:
    """Return the files next to one that have its name but for the ending."""
    names = {file.stem, file.name}
    found = [
        other
        for other in file.parent.iterdir()
        if other != file and not names.isdisjoint((other.stem, other.name)) and other.is_file()
    ]
    return sorted(found)[:MAX_COMPANIONS]


def _describe_folder(folder: Path) -> dict[str, Any]:
    files = _files_of(folder)
    if files is None:
        return {"unread": f"more than {MAX_FILES} files"}
    total = 0
    budget = MAX_HASHED
    hashes = dict[str, str]()
    key = "tree"
    for file in files:
        if not file.is_file():
            continue
        size = file.stat().st_size
        total += size
        path = file.relative_to(folder).as_posix()
        if size <= budget:
            budget -= size
            hashes[path] = _sha256(file)
        else:
            key = "ends_tree"
            hashes[path] = f"{size} {_sha256_of_ends(file, size)}"
    return {"files": len(hashes), "size": total, key: tree.tree_hash(hashes)}


def _files_of(folder: Path) -> list[Path] | None:
    """Return the files below a folder, sorted; None if there are too many."""
    files = list[Path]()
    for parent, folders, names in os.walk(folder):
        folders.sort()
        files += [Path(parent, name) for name in sorted(names)]
        if len(files) > MAX_FILES:
            return None
    return files


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sha256_of_ends(file: Path, size: int) -> str:
    with file.open("rb") as opened:
        digest = hashlib.sha256(opened.read(END))
        opened.seek(max(size - END, END))
        digest.update(opened.read(END))
    return digest.hexdigest()
