"""A run made again from its record, and whether its results are the same, bit for bit."""

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
from specloom_registry.provenance import compare_weights, restore, run_record
from specloom_registry.store import tree

PROGRAM = "from specloom_registry.provenance.rerun import main; main()"
WEIGHTS = "pipeline.safetensors"


@dataclass
class Verdict:
    """How two runs' results compare.

    Args:
        metrics: By name, the values before and after of those that differ.
        weights: By name, how each tensor that differs does.
        causes: What of all that is recorded is not as it was.
        counted: How many metrics and tensors were compared.
    """

    metrics: dict[str, list[Any]] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    causes: list[str] = field(default_factory=list)
    counted: tuple[int, int] = (0, 0)

    @property
    def equal(self) -> bool:
        """Whether all results are the same, bit for bit."""
        return not self.metrics and not self.weights

    def lines(self) -> list[str]:
        """The verdict for a person."""
        numbers, arrays = self.counted
        if self.equal:
            changed = [f"although changed: {one}" for one in self.causes]
            return [f"equal, bit for bit: {numbers} metrics, {arrays} tensors", *changed]
        found = [
            f"different: {len(self.metrics)} of {numbers} metrics, "
            f"{len(self.weights)} of {arrays} tensors"
        ]
        found += [f"  metric {name}: {was} -> {now}" for name, (was, now) in self.metrics.items()]
        found += [f"  tensor {name}: {how}" for name, how in self.weights.items()]
        if not self.causes:
            return [
                *found,
                "nothing that is recorded has changed: a plugin or library is not "
                "deterministic here",
            ]
        return [*found, "changed since:", *(f"  {one}" for one in self.causes)]


def finished(folder: Path) -> run_record.Record:
    """The record of a run that came to its end.

    Raises:
        ConfigError: It did not, or there is no run.
    """
    record = run_record.read(folder)
    if not record["ended"]:
        what = f"E-RUN the run in {folder} was stopped before its end, or goes on still"
        raise ConfigError(what, fix=f"finish it: specloom run --resume {folder}")
    return record


def check_results(folder: Path) -> None:
    """Hold a run's weights to what its ``pipeline.yaml`` says of them.

    Raises:
        IntegrityError: They are not what the run saved.
    """
    file, about = folder / WEIGHTS, folder / "pipeline.yaml"
    try:
        said = re.search(r"^ +sha256: ['\"]?([0-9a-f]{64})", about.read_text("utf-8"), re.MULTILINE)
        good = said and said[1] == hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as e:
        what = f"E-RUN {e.filename} cannot be read: {e.strerror}"
        raise IntegrityError(what, fix="restore it from where the run was saved") from e
    if not good:
        what = f"E-RUN {file} is not what the run saved: its SHA-256 is another"
        raise IntegrityError(what, fix="restore it from where the run was saved")


def repeat(record: run_record.Record, folder: Path, out: Path) -> int:
    """Run it again in a process of its own, where it was run if that is here; its exit code."""
    arguments = {
        "folder": str(tree.resolved(folder)),
        "out": str(tree.resolved(out)),
        "fold": record.get("fold", True),
        **_threads(record),
    }
    variables = {*threads.VARIABLES, threads.SETTING} if "limit" in arguments else {}
    environment = {name: one for name, one in os.environ.items() if name not in variables}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(arguments)],
        cwd=base(record),
        env=environment,
        stdout=2,  # the answer alone goes to standard output
        check=False,
    )
    return done.returncode


def _threads(record: run_record.Record) -> dict[str, Any]:
    """How many threads the run had, as ``rerun.main`` takes it; nothing where it is not known."""
    counts = run_record.thread_counts(record)
    if counts.get("by_default") is True:
        return {"limit": None}
    if isinstance(counts.get("torch"), int):
        return {"limit": counts["torch"]}
    older = re.search(r"OMP_NUM_THREADS=(\d+)", record.get("threads", ""))
    return {"limit": int(older[1])} if older else {}


def base(record: run_record.Record) -> Path:
    """The folder that the run's relative paths are of: where it was run, else here."""
    there = Path(record.get("folder", "."))
    return there if there.is_dir() else Path.cwd()


def compare(folder: Path, out: Path) -> Verdict:
    """How the results in ``out`` differ from those in ``folder``.

    Raises:
        SpecloomError: Results are not there, or not what was saved.
    """
    was, now = run_record.metrics(folder), run_record.metrics(out)
    metrics = {
        name: [was.get(name), now.get(name)]
        for name in dict.fromkeys([*was, *now])
        if json.dumps(was.get(name)) != json.dumps(now.get(name))
    }
    arrays = compare_weights.differences(folder / WEIGHTS, out / WEIGHTS)
    causes = run_record.changes(
        *(run_record.facts_of(run_record.read(one)) for one in (folder, out))
    )
    counted = len(was.keys() | now.keys()), len(compare_weights.tensors(folder / WEIGHTS))
    return Verdict(metrics, arrays, causes, counted)


def prepared(record: run_record.Record, out: Path, **how: Any) -> list[str]:
    """Make plugins and data ready for the run; the plugins that were fetched.

    Raises:
        SpecloomError: Something cannot be had any more.
    """
    restore.check_data(record, base(record))
    return restore.rebuild(record, out, **how)
