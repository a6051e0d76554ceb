"""Repeat a run from its record, and compare the results bit for bit."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specloom import threads
from specloom.contract.errors import ConfigError, IntegrityError
from specloom_registry.base.paths import read_regular
from specloom_registry.importing.activate import FULL_CHECK
from specloom_registry.provenance import compare_weights, restore, run_record
from specloom_registry.store import tree

PROGRAM = "from specloom_registry.provenance.rerun import main; main()"
WEIGHTS = "pipeline.safetensors"


@dataclass
class Comparison:
    """How the results of two runs differ.

    Args:
        metrics: By name, the values before and after of those that differ.
        weights: By name, how each tensor that differs does.
        changes: What of all that is recorded is not as it was.
        counts: How many metrics and tensors were compared.
    """

    metrics: dict[str, list[Any]] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    counts: tuple[int, int] = (0, 0)

    @property
    def equal(self) -> bool:
        """Whether all results are the same, bit for bit."""
        return not self.metrics and not self.weights

    def lines(self) -> list[str]:
        """Return the comparison as text."""
        metrics, tensors = self.counts
        if self.equal:
            lines = [f"equal, bit for bit: {metrics} metrics, {tensors} tensors"]
            return lines + [f"although changed: {change}" for change in self.changes]
        lines = [
            f"different: {len(self.metrics)} of {metrics} metrics, "
            f"{len(self.weights)} of {tensors} tensors"
        ]
        for name, (before, after) in self.metrics.items():
            lines.append(f"  metric {name}: {before} -> {after}")
        for name, difference in self.weights.items():
            lines.append(f"  tensor {name}: {difference}")
        if self.changes:
            return [*lines, "changed since:", *(f"  {change}" for change in self.changes)]
        return [
            *lines,
            "nothing that is recorded has changed: a plugin or library is not deterministic here",
        ]


def read_finished(folder: Path) -> run_record.Record:
    """Read the record of a run that came to its end.

    Raises:
        ConfigError: It did not, or there is no run.
    """
    record = run_record.read(folder)
    if not record["ended"]:
        what = f"E-RUN the run in {folder} was stopped before its end, or is still running"
        raise ConfigError(what, fix=f"finish it: specloom run --resume {folder}")
    return record


def _metrics_hash(folder: Path) -> str:
    """Return the SHA-256 of a run's metrics; empty if they cannot be read."""
    try:
        return hashlib.sha256(read_regular(folder / "metrics.json")).hexdigest()
    except OSError:
        return ""


def check_results(folder: Path, record: run_record.Record) -> None:
    """Check that a run's weights are those of its ``pipeline.yaml``, and its metrics its own.

    Raises:
        IntegrityError: They are not what the run saved.
    """
    weights = folder / WEIGHTS
    fix = "restore it from where the run was saved"
    try:
        text = (folder / "pipeline.yaml").read_text("utf-8")
        found = hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as e:
        what = f"E-RUN {e.filename} cannot be read: {e.strerror}"
        raise IntegrityError(what, fix=fix) from e
    saved_metrics = record.get("metrics_sha256")
    if saved_metrics is not None and saved_metrics != _metrics_hash(folder):
        what = f"E-RUN {folder / 'metrics.json'} is not what the run saved: its SHA-256 is another"
        raise IntegrityError(what, fix=fix)
    saved = re.search(r"^ +sha256: ['\"]?([0-9a-f]{64})", text, re.MULTILINE)
    if saved is None or saved[1] != found:
        what = f"E-RUN {weights} is not what the run saved: its SHA-256 is another"
        raise IntegrityError(what, fix=fix)


def repeat(record: run_record.Record, folder: Path, out: Path) -> int:
    """Repeat a run in a process of its own, where it was run if possible; return the exit code."""
    arguments = {
        "folder": str(tree.resolved(folder)),
        "out": str(tree.resolved(out)),
        "fold": record.get("fold", True),
        **_thread_limit(record),
    }
    environment = {**os.environ, FULL_CHECK: "full"}
    if "limit" in arguments:
        for name in (*threads.VARIABLES, threads.SETTING):
            environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(arguments)],
        cwd=working_folder(record),
        env=environment,
        stdout=2,  # the result alone goes to standard output
        check=False,
    )
    return done.returncode


def _thread_limit(record: run_record.Record) -> dict[str, Any]:
    """Return how many threads the run had, as ``rerun.main`` takes it; empty if not known."""
    counts = run_record.thread_counts(record)
    if counts.get("by_default") is True:
        return {"limit": None}
    torch = counts.get("torch")
    if isinstance(torch, int):
        return {"limit": counts.get("blocks", torch), "outside": torch}
    older = re.search(r"OMP_NUM_THREADS=(\d+)", record.get("threads", ""))
    if older:
        return {"limit": int(older[1]), "outside": int(older[1])}
    return {}


def working_folder(record: run_record.Record) -> Path:
    """Return the folder that the run's relative paths are of: where it was run, else this one."""
    folder = Path(record.get("folder", "."))
    if folder.is_dir():
        return folder
    return Path.cwd()


def compare(folder: Path, out: Path) -> Comparison:
    """Compare the results in ``out`` with those in ``folder``.

    Raises:
        SpecloomError: Results are not there, or not what was saved.
    """
    before = run_record.metrics(folder)
    after = run_record.metrics(out)
    metrics = {}
    for name in dict.fromkeys([*before, *after]):
        old = before.get(name)
        new = after.get(name)
        if json.dumps(old) != json.dumps(new):  # NaN is equal to itself, 1 is not 1.0
            metrics[name] = [old, new]
    circumstances = [run_record.circumstances(run_record.read(path)) for path in (folder, out)]
    tensors = compare_weights.read_tensors(folder / WEIGHTS)
    return Comparison(
        metrics=metrics,
        weights=compare_weights.differences(folder / WEIGHTS, out / WEIGHTS),
        changes=run_record.changes(*circumstances),
        counts=(len(before.keys() | after.keys()), len(tensors)),
    )


def prepare(record: run_record.Record, out: Path, **options: Any) -> list[str]:
    """Make plugins and data ready for the run; return the plugins that were fetched.

    Raises:
        SpecloomError: Something is no longer available.
    """
    restore.check_data(record, working_folder(record))
    return restore.restore_project(record, out, **options)
