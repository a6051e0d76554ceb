"""What a run leaves behind: its record, metrics and pipeline, each written in one step."""

from __future__ import annotations

import platform
import re
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from specloom import __version__, state
from specloom.errors import UnavailableError

if TYPE_CHECKING:
    from specloom.run import Run


def fresh_folder(name: str) -> Path:
    """A folder under ``runs/`` that does not exist yet: the run's name and the time."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "run"
    stem = f"{safe}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    names = (stem if i == 1 else f"{stem}-{i}" for i in count(1))
    return next(folder for one in names if not (folder := Path("runs") / one).exists())


def check_folder(folder: Path) -> None:
    """Find out before a run, not after it, whether its results can be written.

    Raises:
        UnavailableError: The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as e:
        what = f"results cannot be written to {folder}: {e.strerror}"
        raise UnavailableError(what, fix="choose another --out") from e


def write(run: Run, folder: Path, *, file: str = "", overrides: Sequence[str] = ()) -> None:
    """Write ``pipeline.yaml``, ``pipeline.safetensors``, ``metrics.json`` and, last, ``run.json``.

    Raises:
        UnavailableError: The folder cannot be written.
    """
    state.save(folder / "pipeline.yaml", run.graph, run.metadata, run.plugins)
    state.write_json(folder / "metrics.json", run.metrics)
    references = (*run.graph.types.values(), *(label for label, _ in run.phases))
    record = {
        "specloom": __version__, "file": file, "overrides": list(overrides), "seed": run.seed,
        "metadata": run.metadata, "manifest": run.plugins.manifest and str(run.plugins.manifest),
        "device": run.runtime.device, "plugins": run.plugins.versions(references),
        "phases": [{"type": label, "seconds": seconds} for label, seconds in run.seconds],
        "ended": datetime.now(UTC).isoformat(timespec="seconds"), "arguments": sys.argv[1:],
        "python": platform.python_version(), "platform": platform.platform(),
    }  # fmt: skip
    state.write_json(folder / "run.json", record)


def write_log(error: BaseException) -> Path:
    """The traceback of an error of ours, with versions, in a file that can be attached."""
    about = f"specloom {__version__}, Python {sys.version}, {platform.platform()}"
    lines = [f"{about}\narguments: {sys.argv[1:]}\n\n", *traceback.format_exception(error)]
    with tempfile.NamedTemporaryFile(prefix="specloom-", suffix=".log", delete=False) as log:
        log.write("".join(lines).encode())
    return Path(log.name)
