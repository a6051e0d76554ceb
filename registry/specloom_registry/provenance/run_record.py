"""The record that a run leaves, ``run.json``, and what of it can make another run's results differ.

Two runs with the same facts, as ``facts_of`` gives them, should have the same results.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from specloom.contract.errors import ConfigError
from specloom_registry.base.faults import parse_json, type_problems

Record = dict[str, Any]
SHOWN = 15  # characters of a hash
HASHES = ("sha256", "tree", "ends_sha256", "ends_tree", "unread")
TEXTS = ("file", "manifest_text", "folder", "specloom", "kernel", "python", "platform", "threads")
PLUGIN = {f"{key}?": (str, type(None)) for key in ("version", "tag", "path", "commit", "tree")}
DATUM = {"path": str, "used_by?": str, "size?": int} | {f"{key}?": str for key in HASHES}
NEEDED = {"run", "seed", "device", "ended"}
#: What a record holds, as far as it is used here; its lock is looked at when it is used.
FORM = {
    "run": {"*": object},
    "seed": int,
    "device": str,
    "ended": str,
    "fold?": bool,
    **{f"{key}?": str for key in TEXTS},
    "manifest?": (str, type(None)),
    "lock?": {"*": object},
    "plugins?": {"*": PLUGIN},
    "data?": [DATUM],
    "packages?": {"*": str},
}


def read(folder: Path) -> Record:
    """What ``folder`` says of its run.

    Raises:
        ConfigError: There is no run.
    """
    file = folder / "run.json"
    try:
        found: Record = parse_json(file.read_bytes())
        if not isinstance(found, dict) or not found.keys() >= NEEDED:
            raise ValueError("it is no record of a run")
        for problem in type_problems(found, FORM):
            raise ValueError(f"in its run.json {problem}")
    except (OSError, ValueError) as e:
        what = f"E-RUN {folder} holds no run: {getattr(e, 'strerror', None) or e}"
        raise ConfigError(what, fix="give the folder that 'specloom run' wrote") from e
    return found


def metrics(folder: Path) -> dict[str, Any]:
    """The metrics of a run by ``stage/node/name``; none where it wrote none.

    Raises:
        ConfigError: They cannot be read.
    """
    try:
        found = parse_json((folder / "metrics.json").read_bytes())
        return {
            f"{stage}/{name}": value
            for stage, values in found.items()
            for name, value in values.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as e:
        what = f"E-RUN {folder / 'metrics.json'} cannot be read: {e}"
        raise ConfigError(what, fix="restore it from where the run was saved") from e


def parameters_of(record: Mapping[str, Any]) -> dict[str, str]:
    """What was asked for, by its place in the run file; the seed is the one that was used."""
    run = {key: one for key, one in record["run"].items() if key not in ("metadata", "seed")}
    asked = {"seed": record["seed"], "fold": record.get("fold", True)}
    return {key: json.dumps(value) for key, value in (*_leaves(run), *asked.items())}


def facts_of(record: Mapping[str, Any]) -> dict[str, str]:
    """What a run used: plugins, data, versions and the machine."""
    found = dict[str, str]()
    for name, one in record.get("plugins", {}).items():
        known = (one.get("version"), one.get("tag"), one.get("tree", "")[:SHOWN])
        found[f"plugin {name}"] = " ".join(filter(None, known))
    for one in record.get("data", ()):
        digest = next((one[key] for key in HASHES if key in one), "")[:SHOWN]
        parts = [f"{one.get('size', 0)} bytes", digest]
        parts += [f"time {one['mtime']}"] if "mtime" in one else []
        found[f"data {one['path']}"] = " ".join(parts)
    found["specloom"] = " ".join([record.get("specloom", ""), record.get("kernel", "")[:SHOWN]])
    found["Python"], found["platform"] = record.get("python", ""), record.get("platform", "")
    found["device"] = record["device"]
    found["threads"] = record.get("threads", "")
    counts = thread_counts(record)
    if counts:
        short, long = counts.get("torch"), counts.get("long_work")
        found["thread counts"] = f"torch {short}, long work {long}"
    for name, version in record.get("packages", {}).items():
        found[f"package {name}"] = version
    return found


def thread_counts(record: Mapping[str, Any]) -> dict[str, Any]:
    """How many threads a run had; empty where its record does not say it."""
    found = record.get("thread_counts")
    return found if isinstance(found, dict) else {}


def changes(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """One line for each thing that is not as it was."""
    return [
        f"{key}: {was.get(key) or 'absent'} -> {now.get(key) or 'absent'}"
        for key in dict.fromkeys([*was, *now])
        if was.get(key) != now.get(key)
    ]


def differing(tables: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The keys of which not all runs say the same."""
    keys = dict.fromkeys(key for one in tables.values() for key in one)
    return [key for key in keys if len({one.get(key) for one in tables.values()}) > 1]


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}.{key}" if place else key)
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        for i, inner in enumerate(value):
            yield from _leaves(inner, f"{place}[{i}]")
    else:
        yield place, value
