"""What is known of the results in a folder: whose they are, and whether they are complete."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

RECORD = "predict.json"
Known: TypeAlias = Mapping[str, Any]


def read(folder: Path) -> Known:
    """The record of a folder; empty where there is none that can be read."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads((folder / RECORD).read_text("utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def owners(out: Path) -> dict[str, Path]:
    """The folder within ``out`` that holds the results of each input, or is to hold them."""
    known = {file.parent: read(file.parent).get("input") for file in sorted(out.rglob(RECORD))}
    return {path: folder for folder, path in known.items() if isinstance(path, str)}


def stamp(files: Iterable[Path], pipeline: str, asked: Known) -> dict[str, Any]:
    """What results depend on: the input's files as they are now, the pipeline, the options."""
    states = {path.name: path.stat() for path in files if path.is_file()}
    sizes = {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}
    return {"files_in": sizes, "pipeline": pipeline, "asked": dict(asked)}


def complete(known: Known, stamped: Known, formats: Iterable[str], folder: Path) -> bool:
    """Whether a folder holds all that is wanted, made from what is there now."""
    files = known.get("files", {})
    return (
        known.get("complete") is True
        and known.get("of") == stamped
        and set(formats) <= {*known.get("formats", ())}
        and all(_size(folder / name) == size for name, size in files.items())
    )


def claim(folder: Path, path: Path, stamped: Known) -> Known:
    """Write down whose folder this is before anything else is in it.

    Returns:
        What was known before of files that are still there.
    """
    known = read(folder)
    before = {"files": known.get("files", {}), "formats": known.get("formats", [])}
    before["of"] = stamped if known.get("of") == stamped else None
    write(folder, {"input": str(path), "complete": False, **before})
    return before


def release(folder: Path) -> None:
    """Take back a claim on a folder in which there is nothing else."""
    if not read(folder).get("files"):
        (folder / RECORD).unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()


def finish(
    folder: Path,
    path: Path,
    stamped: Known,
    formats: Iterable[str],
    files: Iterable[Path],
    before: Known,
    more: Known,
) -> None:
    """Remove what was made from another pipeline or input, and write the record, last of all."""
    sizes = {file.name: _size(file) for file in files}
    if before["of"]:
        sizes, formats = {**before["files"], **sizes}, {*before["formats"], *formats}
    else:
        for name in before["files"].keys() - sizes.keys():
            (folder / Path(name).name).unlink(missing_ok=True)
    made = {"files": sizes, "formats": sorted(formats), **more}
    write(folder, {"input": str(path), "complete": True, "of": stamped, **made})


def write(folder: Path, value: Known) -> None:
    """Write the record in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{RECORD}.{os.getpid()}"
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / RECORD)
    finally:
        temporary.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
