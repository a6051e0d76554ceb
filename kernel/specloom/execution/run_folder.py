"""What a run leaves behind: its record, metrics and pipeline, each written in one step."""

import json
import re
import sys
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from specloom.contract.errors import ConfigError
from specloom.execution import saved_pipeline
from specloom.execution.files import write_json
from specloom.execution.run import Run
from specloom.runfile.yaml import Document


def fresh_folder(name: str) -> Path:
    """A folder of its own under ``runs/``: the run's name and the time, to the microsecond."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "run"
    return Path("runs") / f"{safe}-{datetime.now().astimezone():%Y%m%d-%H%M%S-%f}"


def interrupted_run(folder: Path) -> dict[str, Any]:
    """The arguments of a run that did not come to its end, as ``specloom.load`` takes them.

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
    """Run, and write into ``folder`` what comes of it: the record first, the rest at the end.

    The pipeline is also written before each phase that follows a change of it, so that a failure
    loses nothing that was fitted. A run that fails before anything else is there removes its
    record, so that the folder is free for the next one.

    Raises:
        ConfigError: Something is there already, which might be lost, and not ``anyway``.
    """
    before = _results(folder)
    if before and not anyway:
        raise _not_empty(folder, before)
    record(run, folder)
    try:
        run.run(partial(_write_pipeline, run, folder))
    except Exception:
        if not before and _holds_only_record(folder):
            (folder / "run.json").unlink()
        raise
    write(run, folder)


def write(run: Run, folder: Path) -> None:
    """Write ``pipeline.yaml``, ``pipeline.safetensors``, ``metrics.json`` and, last, ``run.json``.

    Raises:
        UnavailableError: The folder cannot be written.
    """
    saved_pipeline.save(folder / "pipeline.yaml", run.graph, run.metadata, run.plugins)
    metrics = folder / "metrics.json"
    write_json(metrics, run.metrics)
    run.record["metrics_sha256"] = sha256(metrics.read_bytes()).hexdigest()
    record(run, folder, datetime.now(UTC).isoformat(timespec="seconds"))


def record(run: Run, folder: Path, ended: str = "") -> None:
    """Write ``run.json``, at the beginning too: a run that was stopped can then be resumed."""
    document = run.graph.document
    content = {
        "specloom": version("specloom"),
        "file": document.name,
        "run": document.value,
        "seed": run.seed,
        "device": run.runtime.device,
        **run.record,
        "ended": ended,
    }
    write_json(folder / "run.json", content)


def write_log(error: BaseException) -> Path:
    """The traceback of an internal error, with versions, in a file that can be attached."""
    import platform
    import tempfile
    import traceback

    versions = f"specloom {version('specloom')}, Python {sys.version}, {platform.platform()}"
    trace = "".join(traceback.format_exception(error))
    text = f"{versions}\narguments: {sys.argv[1:]}\n\n{trace}"
    with tempfile.NamedTemporaryFile(prefix="specloom-", suffix=".log", delete=False) as log:
        log.write(text.encode())
    return Path(log.name)


def _results(folder: Path) -> list[str]:
    """The names of what a folder holds, but for hidden files and reports."""
    return sorted(path.name for path in folder.glob("[!.]*") if path.stem != "report")


def _not_empty(folder: Path, names: list[str]) -> ConfigError:
    listed = ", ".join(names[:3])
    if len(names) > 3:
        listed = f"{listed}, …"
    fix = f"use another --out, resume it with --resume {folder}, or replace it with --overwrite"
    return ConfigError(f"{folder} is not empty: it holds {listed}", fix=fix)


def _holds_only_record(folder: Path) -> bool:
    return {path.stem for path in folder.glob("[!.]*")} <= {"run", "report"}


def _write_pipeline(run: Run, folder: Path) -> None:
    """Write the pipeline as it is now; metrics of another one do not stay with it."""
    (folder / "metrics.json").unlink(missing_ok=True)
    saved_pipeline.save(folder / "pipeline.yaml", run.graph, run.metadata, run.plugins)
