"""What a report is made of, in the folder of its run: ``report.json`` and ``report.npz``."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from specloom import ConfigError, Pipeline, write_file
from specloom_report.graphs.description import configuration, described, described_file

FORM = 1
PAGE, NUMBERS, ARRAYS = "report.html", "report.json", "report.npz"

Arrays: TypeAlias = Mapping[str, NDArray[Any]]


def save(folder: Path, report: Mapping[str, Any], arrays: Arrays) -> None:
    """Write what a report is made of."""
    text = json.dumps({"form": FORM, **report}, ensure_ascii=False, separators=(",", ":"))
    if arrays:
        packed = io.BytesIO()
        np.savez_compressed(packed, allow_pickle=False, **arrays)
        write_file(folder / ARRAYS, packed.getvalue())
    else:
        (folder / ARRAYS).unlink(missing_ok=True)
    write_file(folder / NUMBERS, text.encode())


def recall(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What a run left in its folder; with less to tell where it was not watched.

    Raises:
        ConfigError: There is no run in ``folder``.
    """
    try:
        record = json.loads((folder / "run.json").read_bytes())
        run = dict(record["run"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        what = f"{folder} holds no run ({type(e).__name__}: {e})"
        raise ConfigError(what, fix="give the folder that a run wrote") from e
    report = begun(folder)
    try:
        if not report.get("graph"):
            report["graph"] = _graph(folder, run)
        report = told_of(record, run) | {k: v for k, v in report.items() if v is not None}
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        what = f"{folder}/run.json is no record of a run ({type(e).__name__}: {e})"
        raise ConfigError(what, fix="restore it, or run its run file again") from e
    report["ended"] = record.get("ended") or report.get("ended", "")
    with suppress(OSError, ValueError, RecursionError):
        metrics = json.loads((folder / "metrics.json").read_bytes())
        if isinstance(metrics, dict) and all(isinstance(one, dict) for one in metrics.values()):
            report["metrics"] = metrics
    arrays: dict[str, NDArray[Any]] = {}
    with suppress(OSError, ValueError), np.load(folder / ARRAYS, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    return report, arrays


def begun(folder: Path) -> dict[str, Any]:
    """What ``report.json`` holds; nothing where there is none of a form that we know."""
    with suppress(OSError, ValueError, RecursionError):
        found: Any = json.loads((folder / NUMBERS).read_bytes())
        if isinstance(found, dict) and found.get("form") == FORM:
            return dict(found)
    return {}


def told_of(record: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """What the record of a run says of it, in the words of a report.

    Args:
        record: What ``run.json`` holds.
        run: The run file within it.
    """
    metadata = record.get("metadata") or run.get("metadata") or {}
    spent = {i: one.get("seconds") for i, one in enumerate(record.get("phases") or ())}
    phases = [
        {
            "type": one.get("type", ""),
            "params": configuration(one.get("config")),
            "seconds": spent.get(i),
        }
        for i, one in enumerate(run.get("phases") or ())
    ]
    data = run.get("data") or {}
    facts = ("specloom", "python", "platform", "device", "seed", "file", "manifest", "arguments")
    return {
        "title": metadata.get("name") or Path(str(record.get("file", "run"))).stem,
        "description": metadata.get("description", ""),
        "tags": list(metadata.get("tags") or ()),
        "author": metadata.get("author", ""),
        "facts": {key: record[key] for key in facts if record.get(key) not in (None, "", [])},
        "plugins": record.get("plugins") or {},
        "data": {"type": data.get("type", ""), "params": configuration(data.get("config"))},
        "phases": phases,
    }


def _graph(folder: Path, run: Mapping[str, Any]) -> dict[str, Any]:
    """The graph with its sizes if the saved pipeline can be loaded, else as the file has it."""
    with suppress(Exception):  # a plugin that is gone costs the sizes, not the report
        graph = Pipeline.load(folder / "pipeline.yaml").graph()
        return described(graph, (run.get("data") or {}).get("type", ""))
    return described_file(run)
