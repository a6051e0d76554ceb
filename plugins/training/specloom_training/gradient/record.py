"""The resume record: everything a training needs to go on after the last finished epoch.

One safetensors file, replaced in one step at each epoch's end: the values that JSON holds stand
in its metadata. Floats in JSON come back as they were.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import IntegrityError, Run, is_temporary, write_file
from specloom_training import processes
from specloom_training.gradient import cache

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
FIX = "run it again with another --out"


def path_of(run: Run, phase: object) -> Path | None:
    """Where the record of a phase is; None where the run has no folder."""
    if run.folder is None:
        return None
    return Path(run.folder) / "record" / f"phase-{_number(run, phase)}.safetensors"


def _number(run: Run, phase: object) -> int:
    """The place of a phase among those of its run; 0 in Python, where a run has none."""
    for number, (_, one) in enumerate(run.phases):
        if one is phase:
            return number
    return 0


def write(run: Run, path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write the record in one step."""
    if processes.rank() == 0:
        text = json.dumps({"version": VERSION, **values})
        write_file(path, run.runtime.dump(tensors, {"record": text}))


def read(run: Run, path: Path) -> tuple[Any, Any] | None:
    """The tensors and the values of a record; None where there is none yet.

    Raises:
        IntegrityError: The file is not a record.
    """
    if not path.is_file():
        return None
    tensors, metadata = run.runtime.load(path.read_bytes())
    try:
        values = dict(json.loads(metadata["record"]))
    except (KeyError, ValueError, TypeError, RecursionError) as e:
        raise IntegrityError(f"{path} is not a training record", fix=FIX) from e
    if values.get("version") != VERSION:
        what = f"{path} has record version {values.get('version')}, not {VERSION}"
        raise IntegrityError(what, fix=FIX)
    if "settings" not in values:
        raise IntegrityError(f"{path} is not a training record", fix=FIX)
    return tensors, values


def remove_leftovers(run: Run) -> None:
    """Remove what a run that was killed left in its folder: caches, and unfinished files."""
    if run.folder is None:
        return
    folder = Path(run.folder)
    for path in folder.glob(f"{cache.PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.rglob(".*"):
        if is_temporary(path.name):
            path.unlink(missing_ok=True)
