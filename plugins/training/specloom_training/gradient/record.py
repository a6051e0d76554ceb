"""The resume record: everything a training needs to go on after the last finished epoch.

One safetensors file, replaced in one step at each epoch's end: the values that JSON holds stand
in its metadata. Floats in JSON come back as they were.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import ConfigError, IntegrityError, Run, write_file
from specloom_training import processes
from specloom_training.gradient import cache

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
# As `write_file` names a file until it is whole: with the number of its process.
HALF = re.compile(r"\..+\.\w+\.\d+")


def place(run: Run, phase: object) -> Path | None:
    """Where the record of a phase stands; None where the run has no folder."""
    if run.folder is None:
        return None
    number = next((i for i, (_, one) in enumerate(run.phases) if one is phase), 0)
    return Path(run.folder) / "record" / f"phase-{number}.safetensors"


def write(run: Run, path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write the record in one step."""
    if processes.rank() == 0:
        text = json.dumps({"version": VERSION, **about})
        write_file(path, run.runtime.dump(tensors, {"record": text}))


def read(run: Run, path: Path, settings: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """The tensors and the values of a record; None where there is none yet.

    Raises:
        IntegrityError: The file is no record.
        ConfigError: It was made with other settings.
    """
    if not path.is_file():
        return None
    tensors, metadata = run.runtime.load(path.read_bytes())
    fix = "run it again with another --out"
    try:
        about = dict(json.loads(metadata["record"]))
    except (KeyError, ValueError, TypeError, RecursionError) as e:
        raise IntegrityError(f"{path} is no record of a training", fix=fix) from e
    if about.get("version") != VERSION:
        what = f"{path} was written by another version (form {about.get('version')})"
        raise IntegrityError(what, fix=fix)
    if "settings" not in about:
        raise IntegrityError(f"{path} is no record of a training", fix=fix)
    if about["settings"] != json.loads(json.dumps(settings)):
        raise ConfigError(f"{path} was made with other settings of this phase", fix=fix)
    return tensors, about


def sweep(run: Run) -> None:
    """Remove what a run that was killed left in its folder: caches, and half-written files."""
    if run.folder is None:
        return
    folder = Path(run.folder)
    for left in folder.glob(f"{cache.PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    for left in folder.rglob(".*"):
        if HALF.fullmatch(left.name):
            left.unlink(missing_ok=True)
