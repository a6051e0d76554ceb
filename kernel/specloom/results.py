"""What a run leaves behind: its record, metrics and pipeline, each written in one step."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from specloom import state
from specloom.errors import UnavailableError

if TYPE_CHECKING:
    from specloom.run import Run


def fresh_folder(name: str) -> Path:
    """A folder under ``runs/`` that does not exist yet: the run's name and the time."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "run"
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    folder, i = Path("runs") / f"{safe}-{stamp}", 2
    while folder.exists():
        folder, i = Path("runs") / f"{safe}-{stamp}-{i}", i + 1
    return folder


def check_folder(folder: Path) -> None:
    """Find out before a run, not after it, whether its results can be written.

    Raises:
        UnavailableError: The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        raise UnavailableError(
            f"results cannot be written to {folder}: {e.strerror}", fix="choose another --out"
        ) from e


def write(run: Run, folder: Path, *, file: str = "", overrides: Sequence[str] = ()) -> None:
    """Write ``pipeline.yaml``, ``pipeline.safetensors``, ``metrics.json`` and, last, ``run.json``.

    Raises:
        UnavailableError: The folder cannot be written.
    """
    from specloom import __version__

    state.save(folder / "pipeline.yaml", run.graph, run.metadata, run.plugins)
    state.write_json(folder / "metrics.json", run.metrics)
    used = sorted({label.partition(".")[0] for label in (*run.graph.types.values(), *run.labels)})
    state.write_json(
        folder / "run.json",
        {
            "specloom": __version__,
            "file": file,
            "overrides": list(overrides),
            "metadata": run.metadata,
            "seed": run.seed,
            "device": run.runtime.device,
            "plugins": {name: run.plugins.version(name) for name in used},
            "manifest": str(run.plugins.manifest) if run.plugins.manifest else None,
            "phases": [{"type": label, "seconds": s} for label, s in run.seconds],
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "arguments": sys.argv[1:],
        },
    )


def write_log(error: BaseException) -> Path:
    """The traceback of an error of ours, with versions, in a file that can be attached."""
    from specloom import __version__

    handle, name = tempfile.mkstemp(prefix="specloom-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as log:
        log.write(f"specloom {__version__}, Python {sys.version}, {platform.platform()}\n")
        log.write(f"arguments: {sys.argv[1:]}\n\n")
        log.writelines(traceback.format_exception(error))
    return Path(name)
