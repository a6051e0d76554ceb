"""The files that a run leaves behind: its record, metrics and pipeline, each in one step."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from specloom.contract.runtime import Runtime
from specloom.execution import saved_pipeline
from specloom.execution.files import write_json
from specloom.graph.graph import Graph
from specloom.plugins import RECORD, Plugins
from specloom.runfile.yaml import Document


class Results(Protocol):
    """What is written of a run."""

    @property
    def graph(self) -> Graph:
        """The graph."""

    @property
    def document(self) -> Document:
        """The run file."""

    @property
    def plugins(self) -> Plugins:
        """The plugins."""

    @property
    def runtime(self) -> Runtime:
        """The array library and its device."""

    @property
    def seed(self) -> int:
        """The seed of every generator."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Name, description, tags and author."""

    @property
    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """The last value of each metric."""

    @property
    def record(self) -> dict[str, Any]:
        """What observers add to ``run.json``."""


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
