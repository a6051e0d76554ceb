"""What a run leaves behind: its record, metrics and pipeline, each written in one step."""

import json
import re
import sys
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from specloom.contract.errors import ConfigError
from specloom.execution.result_files import record, save_pipeline, write
from specloom.execution.run import Run
from specloom.plugins import RECORD, Plugins
from specloom.runfile.yaml import Document


def fresh_folder(name: str) -> Path:
    """A folder of its own under ``runs/``: the run's name and the time, to the microsecond."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    safe = safe.strip("._") or "run"
    now = datetime.now().astimezone()
    return Path("runs") / f"{safe}-{now:%Y%m%d-%H%M%S-%f}"


def interrupted_run(folder: Path) -> dict[str, Any]:
    """The arguments of a run that did not come to its end, as ``specloom.load`` takes them.

    Where the record pins plugins, they are among the arguments.

    Raises:
        ConfigError: There is no such run in ``folder``.
        PluginError: A plugin that was pinned cannot be used.
    """
    arguments = recorded_arguments(folder)
    record = folder / RECORD
    if "lock" in json.loads(record.read_bytes()):
        arguments["plugins"] = Plugins.for_file(record)
    return arguments


def recorded_arguments(folder: Path) -> dict[str, Any]:
    """The run file, seed and device of the run in ``folder``.

    Raises:
        ConfigError: There is no such run in ``folder``.
    """
    try:
        content = (folder / RECORD).read_bytes()
        found = json.loads(content)
        document = Document(found["file"], found["run"])
        return {"path": document, "seed": found["seed"], "device": found["device"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        what = f"{folder} holds no run ({type(e).__name__}: {e})"
        fix = "give the folder of a run that was stopped"
        raise ConfigError(what, fix=fix) from e


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
    changed = partial(_save_changed_pipeline, run, folder)
    try:
        run.run(changed)
    except Exception:
        if not before and _holds_only_record(folder):
            (folder / RECORD).unlink()
        raise
    write(run, folder)


def write_log(error: BaseException) -> Path:
    """The traceback of an internal error, with versions, in a file that can be attached."""
    import platform
    import tempfile
    import traceback

    versions = f"specloom {version('specloom')}, Python {sys.version}, {platform.platform()}"
    arguments = sys.argv[1:]
    trace = "".join(traceback.format_exception(error))
    text = f"{versions}\narguments: {arguments}\n\n{trace}"
    with tempfile.NamedTemporaryFile(prefix="specloom-", suffix=".log", delete=False) as log:
        log.write(text.encode())
    return Path(log.name)


def _results(folder: Path) -> list[str]:
    """The names of what a folder holds, but for hidden files and reports."""
    names = []
    for path in folder.glob("[!.]*"):
        if path.stem != "report":
            names.append(path.name)
    return sorted(names)


def _not_empty(folder: Path, names: list[str]) -> ConfigError:
    listed = ", ".join(names[:3])
    if len(names) > 3:
        listed = f"{listed}, …"
    what = f"{folder} is not empty: it holds {listed}"
    fix = f"use another --out, resume it with --resume {folder}, or replace it with --overwrite"
    return ConfigError(what, fix=fix)


def _holds_only_record(folder: Path) -> bool:
    stems = {path.stem for path in folder.glob("[!.]*")}
    return stems <= {"run", "report"}


def _save_changed_pipeline(run: Run, folder: Path) -> None:
    """Save the pipeline as it is now; metrics of another one do not stay with it."""
    metrics = folder / "metrics.json"
    metrics.unlink(missing_ok=True)
    save_pipeline(run, folder)
