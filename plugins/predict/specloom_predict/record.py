"""What is known of the results in a folder: whose they are, and whether they are complete."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from specloom import write_json
from specloom_predict.input_state import states_of

RECORD = "predict.json"
LEDGER = "ledger"
"""The folder of the ledger, within that of all results."""
SCALES = "score_scales"
"""The entry of a record with the scales of the pictures of scores, by output."""

Record: TypeAlias = Mapping[str, Any]


def read(folder: Path) -> Record:
    """The record of a folder; empty where there is none that can be read."""
    with suppress(OSError, ValueError, RecursionError):
        record = json.loads((folder / RECORD).read_text("utf-8"))
        if isinstance(record, dict):
            return record
    return {}


def is_within(place: str) -> bool:
    """Whether a relative path, as a file of results states it, leads to no folder above."""
    return not Path(place).is_absolute() and ".." not in place.split("/")


def owner(folder: Path) -> str | None:
    """The input whose results a folder holds, or is to hold; None where it has no record."""
    address = read(folder).get("input")
    return address if isinstance(address, str) else None


def owners(out: Path) -> dict[str, Path]:
    """The folder within ``out`` that holds the results of each input, or is to hold them."""
    by_address = {}
    for file in sorted(out.rglob(RECORD)):
        address = owner(file.parent)
        if address is not None:
            by_address[address] = file.parent
    return by_address


def stamp(files: Iterable[Path], pipeline: str, options: Record) -> dict[str, Any]:
    """What results depend on: the input's files as they are now, the pipeline, the options.

    Args:
        files: The files of the input.
        pipeline: The hash of the pipeline.
        options: The options that change results.
    """
    # The key of the options is that of version 0.1, whose results stay complete.
    return {"files_in": states_of(files), "pipeline": pipeline, "asked": dict(options)}


def complete(record: Record, stamped: Record, formats: Iterable[str], folder: Path) -> bool:
    """Whether a folder holds all that is wanted, made from what is there now.

    Where the input has no file on this machine, whether it was changed is not known, and so
    nothing is complete.
    """
    return fits(record, stamped, formats) and has_files(record, folder)


def fits(record: Record, stamped: Record, formats: Iterable[str]) -> bool:
    """Whether a record is of complete results, made from what is there now."""
    if record.get("complete") is not True or not stamped["files_in"]:
        return False
    return record.get("of") == stamped and set(formats) <= set(record.get("formats", ()))


def has_files(record: Record, folder: Path) -> bool:
    """Whether the files of a record are there, each with its size."""
    sizes = record.get("files", {})
    return all(_size(folder / name) == size for name, size in sizes.items())


def claim(folder: Path, address: str, stamped: Record) -> Record:
    """Write down whose folder this is before anything else is in it.

    Returns:
        What was known before of files that are still there.
    """
    record = read(folder)
    before = {
        "files": record.get("files", {}),
        "formats": record.get("formats", []),
        "of": None,
    }
    if record.get("of") == stamped:
        before["of"] = stamped
        if SCALES in record:
            before[SCALES] = record[SCALES]
    claimed = {"input": address, "complete": False, **before}
    write_json(folder / RECORD, claimed, sync=False)  # a power cut may undo it: nothing is lost
    return before


def release(folder: Path) -> None:
    """Take back a claim on a folder in which there is nothing else."""
    known = read(folder)
    if known.get("complete") is not True and not known.get("files"):
        (folder / RECORD).unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()


def finish(
    folder: Path,
    address: str,
    stamped: Record,
    formats: Iterable[str],
    files: Iterable[Path],
    before: Record,
    more: Record,
) -> None:
    """Remove what was made from another pipeline or input, and write the record, last of all.

    Args:
        folder: The folder of the results.
        address: The input.
        stamped: What the results depend on.
        formats: The formats that were written.
        files: The files that were written.
        before: What ``claim`` returned.
        more: Further entries of the record.

    Raises:
        FileNotFoundError: A file has gone.
    """
    sizes = {file.name: file.stat().st_size for file in files}
    all_formats = set(formats)
    if before["of"]:
        sizes = {**before["files"], **sizes}
        all_formats |= set(before["formats"])
        if SCALES in before:
            more = {SCALES: before[SCALES], **more}
    else:
        for name in before["files"].keys() - sizes.keys():
            (folder / Path(name).name).unlink(missing_ok=True)
    made = {"files": sizes, "formats": sorted(all_formats), **more}
    record = {"input": address, "complete": True, "of": stamped, **made}
    write_json(folder / RECORD, record)


def replace_files(
    folder: Path, removed: Iterable[str], added: Iterable[Path], more: Record
) -> None:
    """Write a record again in which some files have taken the place of others.

    Args:
        folder: The folder of the results.
        removed: The names of files that are no longer part of them.
        added: The files that are.
        more: Further entries; those that are mappings are added to what is there.
    """
    record = dict(read(folder))
    gone = set(removed)
    files = {name: size for name, size in record.get("files", {}).items() if name not in gone}
    record["files"] = files | {file.name: _size(file) for file in added}
    for key, value in more.items():
        record[key] = {**record.get(key, {}), **value}
    write_json(folder / RECORD, record)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
