"""The files that a run leaves behind: its record, metrics and pipeline, each in one step."""

from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from specloom.contract.errors import ConfigError
from specloom.contract.views import RunView
from specloom.execution import saved_pipeline
from specloom.execution.files import write_json
from specloom.graph.graph import Graph
from specloom.plugins import RECORD, Plugins
from specloom.runfile.yaml import Document


class Results(RunView, Protocol):
    """A run whose results can be written, with what it consists of in this library's classes."""

    @property
    def graph(self) -> Graph:
        """The graph."""

    @property
    def document(self) -> Document:
        """The run file."""

    @property
    def plugins(self) -> Plugins:
        """The plugins."""


def run_in_folder(run: Results, folder: Path, *, anyway: bool = False) -> None:
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


def write(run: Results, folder: Path) -> None:
    """Write ``pipeline.yaml``, ``pipeline.safetensors``, ``metrics.json`` and, last, ``run.json``.

    Raises:
        UnavailableError: The folder cannot be written.
    """
    save_pipeline(run, folder)
    metrics = folder / "metrics.json"
    write_json(metrics, run.metrics)
    run.record["metrics_sha256"] = sha256(metrics.read_bytes()).hexdigest()
    now = datetime.now(UTC)
    record(run, folder, now.isoformat(timespec="seconds"))


def record(run: Results, folder: Path, ended: str = "") -> None:
    """Write ``run.json``, at the beginning too: a run that was stopped can then be resumed."""
    content = {
        "specloom": version("specloom"),
        "file": run.document.name,
        "run": run.document.value,
        "seed": run.seed,
        "device": run.runtime.device,
        **run.record,
        "ended": ended,
    }
    write_json(folder / RECORD, content)


def save_pipeline(run: Results, folder: Path) -> None:
    """Write ``pipeline.yaml`` and ``pipeline.safetensors``.

    Raises:
        UnavailableError: The folder cannot be written.
    """
    path = folder / "pipeline.yaml"
    plugins = run.plugins
    if not plugins.modules:  # a run in Python that names none
        plugins = Plugins()
    saved_pipeline.save(path, run.graph, run.metadata, plugins)


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


def _save_changed_pipeline(run: Results, folder: Path) -> None:
    """Save the pipeline as it is now; metrics of another one do not stay with it."""
    metrics = folder / "metrics.json"
    metrics.unlink(missing_ok=True)
    save_pipeline(run, folder)
