"""The data of a report in the folder of its run: ``report.json`` and ``report.npz``."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from specloom import ConfigError, Pipeline, write_file
from specloom_report.graphs.description import (
    describe_graph,
    describe_parameters,
    describe_run_file,
)
from specloom_report.prediction_files import is_prediction, load_prediction, read_cubes

#: The version of the data. A report of another version counts as missing, and the page is made
#: from run.json and metrics.json: so a key is renamed only together with this number.
FORMAT_VERSION = 1
PAGE = "report.html"
DATA = "report.json"
ARRAYS = "report.npz"
#: What of the record of a run the page shows under "Environment".
ENVIRONMENT = (
    "specloom",
    "kernel_commit",
    "python",
    "platform",
    "device",
    "seed",
    "file",
    "manifest",
    "arguments",
)

#: What NumPy raises for a file that holds no arrays, or damaged ones.
UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)

Arrays: TypeAlias = Mapping[str, NDArray[Any]]


def save(folder: Path, report: Mapping[str, Any], arrays: Arrays) -> None:
    """Write the data of a report, each file in one step.

    Raises:
        UnavailableError: A file cannot be written.
    """
    text = json.dumps({"form": FORMAT_VERSION, **report}, ensure_ascii=False, separators=(",", ":"))
    if arrays:
        packed = io.BytesIO()
        np.savez_compressed(packed, allow_pickle=False, **arrays)
        write_file(folder / ARRAYS, packed.getvalue())
    else:
        (folder / ARRAYS).unlink(missing_ok=True)
    write_file(folder / DATA, text.encode())


def load(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the data of a run's report; without report files, what its record holds.

    A folder that ``specloom predict`` wrote has a report, too. Where it wrote into the folder of a
    run, the report has both.

    Raises:
        ConfigError: There is neither a run nor a prediction in ``folder``.
    """
    if not (folder / "run.json").exists() and is_prediction(folder):
        return load_prediction(folder)
    record, run_file = _read_record(folder)
    report = read_report(folder)
    try:
        if not report.get("graph"):
            report["graph"] = _describe_saved_graph(folder, run_file)
        stored = {key: value for key, value in report.items() if value is not None}
        report = describe_run(record, run_file) | stored
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        what = f"{folder}/run.json is no record of a run ({type(e).__name__}: {e})"
        raise ConfigError(what, fix="restore it, or run its run file again") from e
    report["ended"] = str(record.get("ended") or report.get("ended", ""))
    report["cubes"] = read_cubes(folder)
    metrics = _read_metrics(folder)
    if metrics is not None:
        report["metrics"] = metrics
    return report, _read_arrays(folder)


def _read_record(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what ``run.json`` holds, and the run file within it."""
    try:
        record = json.loads((folder / "run.json").read_bytes())
        return record, dict(record["run"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        what = f"{folder} holds no run: its run.json is damaged"
        if not (folder / "run.json").is_file():
            what = f"{folder} holds no run: there is no run.json in it"
        raise ConfigError(what, fix="give the folder that specloom run or predict wrote") from e


def read_report(folder: Path) -> dict[str, Any]:
    """Return what ``report.json`` holds; nothing where there is none of this version."""
    with suppress(OSError, ValueError, RecursionError):
        report: Any = json.loads((folder / DATA).read_bytes())
        if isinstance(report, dict) and report.get("form") == FORMAT_VERSION:
            return report
    return {}


def _read_metrics(folder: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError, RecursionError):
        metrics: Any = json.loads((folder / "metrics.json").read_bytes())
        if isinstance(metrics, dict) and all(isinstance(one, dict) for one in metrics.values()):
            return metrics
    return None


def _read_arrays(folder: Path) -> dict[str, NDArray[Any]]:
    with suppress(*UNREADABLE):
        # NumPy leaves a damaged file open that it opened itself.
        content = io.BytesIO((folder / ARRAYS).read_bytes())
        with np.load(content, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    return {}


def describe_run(record: Mapping[str, Any], run_file: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a run under the keys of a report.

    Args:
        record: What ``run.json`` holds.
        run_file: The run file within it.
    """
    metadata = record.get("metadata") or run_file.get("metadata") or {}
    environment = {}
    for key in ENVIRONMENT:
        if record.get(key) not in (None, "", []):
            environment[key] = record[key]
    data = run_file.get("data") or {}
    return {
        "title": metadata.get("name") or Path(str(record.get("file", "run"))).stem,
        "description": metadata.get("description", ""),
        "tags": list(metadata.get("tags") or ()),
        "author": metadata.get("author", ""),
        "facts": environment,
        "plugins": record.get("plugins") or {},
        "data": {"type": data.get("type", ""), "params": describe_parameters(data.get("config"))},
        "splits": describe_splits(record),
        "phases": _describe_phases(record, run_file),
        "calibrations": _describe_calibrations(record),
    }


def describe_splits(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what each split of the data holds; splits that hold the same share one entry."""
    splits: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    for split, described in (record.get("splits") or {}).items():
        key = json.dumps(described, sort_keys=True)
        splits.setdefault(key, []).append(split)
        values[key] = described
    return [{"splits": names, **values[key]} for key, names in splits.items()]


def _describe_phases(
    record: Mapping[str, Any], run_file: Mapping[str, Any]
) -> list[dict[str, Any]]:
    seconds = [phase.get("seconds") for phase in record.get("phases") or ()]
    phases = []
    for number, phase in enumerate(run_file.get("phases") or ()):
        taken = None
        if number < len(seconds):
            taken = seconds[number]
        phases.append(
            {
                "type": phase.get("type", ""),
                "params": describe_parameters(phase.get("config")),
                "seconds": taken,
            }
        )
    return phases


def _describe_calibrations(record: Mapping[str, Any]) -> list[str]:
    """Return one line for each threshold that was calibrated."""
    calibrations = record.get("calibrations") or ()
    return [f"{one['decider']} on {one['split']}: {one['summary']}" for one in calibrations]


def _describe_saved_graph(folder: Path, run_file: Mapping[str, Any]) -> dict[str, Any]:
    """Return the graph with sizes if the saved pipeline can be loaded, else as the file has it."""
    with suppress(Exception):  # a plugin that is gone costs the sizes, not the report
        graph = Pipeline.load(folder / "pipeline.yaml").graph()
        return describe_graph(graph, (run_file.get("data") or {}).get("type", ""))
    return describe_run_file(run_file)
