"""What a run leaves behind: its record, metrics and pipeline, each written in one step."""

import json
import re
import sys
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from specloom.contract.errors import ConfigError
from specloom.execution import saved_pipeline
from specloom.execution.run import Run
from specloom.runfile.yaml import Document


def fresh_folder(name: str) -> Path:
    """A folder of its own under ``runs/``: the run's name and the time, to the microsecond."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "run"
    return Path("runs") / f"{safe}-{datetime.now().astimezone():%Y%m%d-%H%M%S-%f}"


def interrupted_run(folder: Path) -> dict[str, Any]:
    """What a run that did not come to its end was asked to do, as ``specloom.load`` takes it.

    Raises:
        ConfigError: There is no such run in ``folder``.
    """
    try:
        found = json.loads((folder / "run.json").read_bytes())
        path = Document(found["file"], found["run"])
        return {"path": path, "seed": found["seed"], "device": found["device"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        what = f"{folder} holds no run ({type(e).__name__}: {e})"
        raise ConfigError(what, fix="give the folder of a run that was stopped") from e


def run_in_folder(run: Run, folder: Path, *, anyway: bool = False) -> None:
    """Run, and keep in ``folder`` what comes of it: the record at once, the rest at the end.

    The pipeline is also written before each phase that follows a change of it, so that a failure
    loses nothing that was fitted. A run that fails before anything else is there takes its record
    away, so that the folder is free for the next one.

    Raises:
        ConfigError: Something is there already, which might be lost, and not ``anyway``.
    """
    there = sorted(one.name for one in folder.glob("[!.]*") if one.stem != "report")
    if there and not anyway:
        what = f"{folder} is not empty: it holds {', '.join(there[:3])}{', …' * (len(there) > 3)}"
        fix = f"use another --out, go on with --resume {folder}, or replace it with --overwrite"
        raise ConfigError(what, fix=fix)
    record(run, folder)
    try:
        run.run(partial(_keep_pipeline, run, folder))
    except Exception:
        if not there and {one.stem for one in folder.glob("[!.]*")} <= {"run", "report"}:
            (folder / "run.json").unlink()
        raise
    write(run, folder)


def _keep_pipeline(run: Run, folder: Path) -> None:
    """Write the pipeline as it is now; metrics of another one do not stay beside it."""
    (folder / "metrics.json").unlink(missing_ok=True)
    saved_pipeline.save(folder / "pipeline.yaml", run.graph, run.metadata, run.plugins)


def write(run: Run, folder: Path) -> None:
    """Write ``pipeline.yaml``, ``pipeline.safetensors``, ``metrics.json`` and, last, ``run.json``.

    Raises:
        UnavailableError: The folder cannot be written.
    """
    saved_pipeline.save(folder / "pipeline.yaml", run.graph, run.metadata, run.plugins)
    saved_pipeline.write_json(folder / "metrics.json", run.metrics)
    record(run, folder, datetime.now(UTC).isoformat(timespec="seconds"))


def record(run: Run, folder: Path, ended: str = "") -> None:
    """Write ``run.json``, at the beginning too: a run that was stopped can then be resumed."""
    document, asked = run.graph.document, {"seed": run.seed, "device": run.runtime.device}
    about = {"specloom": version("specloom"), "file": document.name, "run": document.value, **asked}
    saved_pipeline.write_json(folder / "run.json", {**about, **run.record, "ended": ended})


def write_log(error: BaseException) -> Path:
    """The traceback of an error of ours, with versions, in a file that can be attached."""
    import platform
    import tempfile
    import traceback

    about = f"specloom {version('specloom')}, Python {sys.version}, {platform.platform()}"
    trace = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile(prefix="specloom-", suffix=".log", delete=False) as log:
        log.write(f"{about}\narguments: {sys.argv[1:]}\n\n{trace}".encode())
    return Path(log.name)
