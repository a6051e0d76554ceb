"""The record that a run leaves, ``run.json``, and what of it can make another run's results differ.

Two runs with the same parameters and circumstances should have the same results.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from specloom.contract.errors import ConfigError
from specloom_registry.base.faults import parse_json, redacted, type_problems
from specloom_registry.base.paths import read_regular

Record = dict[str, Any]
SHOWN_LENGTH = 15  # characters of a hash
KERNELS = "kernels"
"""The entry with the engine of the statistics and scores; another one may round otherwise."""
HASHES = ("sha256", "tree", "ends_sha256", "ends_tree", "unread")
TEXTS = (
    "metrics_sha256",
    "file",
    "manifest_text",
    "folder",
    "specloom",
    "kernel",
    "python",
    "platform",
    "threads",
    KERNELS,
)
PLUGIN_TEXTS = ("version", "git", "tag", "path", "commit", "tree")
PLUGIN_FORM = {f"{key}?": (str, type(None)) for key in PLUGIN_TEXTS}
DATA_FORM = {"path": str, "used_by?": str, "size?": int} | {f"{key}?": str for key in HASHES}
REQUIRED = {"run", "seed", "device", "ended"}
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
    "plugins?": {"*": PLUGIN_FORM},
    "data?": [DATA_FORM],
    "packages?": {"*": str},
    "package_hashes?": {"*": str},
    "local_packages?": [str],
}


def read(folder: Path) -> Record:
    """Read the record of the run in ``folder``.

    Raises:
        ConfigError: There is no run.
    """
    file = folder / "run.json"
    try:
        found: Record = parse_json(read_regular(file))
        if not isinstance(found, dict) or not found.keys() >= REQUIRED:
            raise ValueError("it is not the record of a run")
        for problem in type_problems(found, FORM):
            raise ValueError(f"in its run.json {problem}")
    except (OSError, ValueError) as e:
        what = f"E-RUN {folder} holds no run: {getattr(e, 'strerror', None) or e}"
        raise ConfigError(what, fix="name the folder that 'specloom run' wrote") from e
    return found


def metrics(folder: Path) -> dict[str, Any]:
    """Read the metrics of a run by ``stage/node/name``; empty if it wrote none.

    Raises:
        ConfigError: They cannot be read.
    """
    try:
        found = parse_json(read_regular(folder / "metrics.json"))
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


def parameters(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of a run by their keys in the run file; the seed is the one used."""
    sections = {
        key: section for key, section in record["run"].items() if key not in ("metadata", "seed")
    }
    values = dict(_leaves(sections))
    values["seed"] = record["seed"]
    values["fold"] = record.get("fold", True)
    return {key: json.dumps(value) for key, value in values.items()}


def circumstances(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a run used: plugins, data, versions and the machine."""
    found = dict[str, str]()
    for name, plugin in record.get("plugins", {}).items():
        tree = plugin.get("tree") or ""
        values = [plugin.get("version"), plugin.get("tag"), tree[:SHOWN_LENGTH]]
        found[f"plugin {name}"] = _join(values)
    for line in record.get("data", ()):
        found[f"data {line['path']}"] = _describe_data(line)
    kernel = record.get("kernel", "")[:SHOWN_LENGTH]
    found["specloom"] = f"{record.get('specloom', '')} {kernel}"
    found["Python"] = record.get("python", "")
    found["platform"] = record.get("platform", "")
    found["device"] = record["device"]
    found["threads"] = record.get("threads", "")
    if KERNELS in record:
        name, _, key = record[KERNELS].partition(" ")
        found[KERNELS] = f"{name} {key[:SHOWN_LENGTH]}".rstrip()
    counts = thread_counts(record)
    if counts:
        torch = counts.get("torch")
        long_work = counts.get("long_work")
        found["thread counts"] = f"torch {torch}, long work {long_work}"
        if "blocks" in counts:
            found["thread counts"] += f", blocks {counts['blocks']}"
    hashes = record.get("package_hashes", {})
    for name, version in record.get("packages", {}).items():
        digest = hashes.get(name, "")[:SHOWN_LENGTH]
        found[f"package {name}"] = f"{version} {digest}".rstrip()
    return found


def origins(record: Mapping[str, Any]) -> list[str]:
    """Return where the code of a run comes from: its plugins, and every URL of its manifest."""
    lines = []
    for name, plugin in record.get("plugins", {}).items():
        place = plugin.get("git") or plugin.get("path") or "the environment"
        lines.append(f"plugin {name}: {_join([place, plugin.get('tag'), plugin.get('version')])}")
    urls = re.findall(r"[a-z+]+://[^\s'\",}\]]+", record.get("manifest_text", ""))
    lines += [f"URL {redacted(url)}" for url in dict.fromkeys(urls)]
    return lines or ["no plugin that is recorded"]


def requirements(record: Mapping[str, Any]) -> str:
    """Return the packages that a run had as a file that ``pip install -r`` takes.

    Packages installed from a folder are comments, since no index has them; and so is the label of
    a local build, such as ``+cpu``, which indexes leave out.
    """
    lines = [f"# The packages of a run with Python {record.get('python', '')}."]
    local = set(record.get("local_packages", ()))
    for name, version in sorted(record.get("packages", {}).items()):
        public, _, label = version.partition("+")
        if name in local:
            lines.append(f"# {name} {version} was installed from a folder")
        elif label:
            lines.append(f"{name}=={public}  # the run had {version}")
        else:
            lines.append(f"{name}=={version}")
    return "\n".join(lines) + "\n"


def _join(values: Iterable[str | None]) -> str:
    return " ".join(value for value in values if value)


def _describe_data(line: Mapping[str, Any]) -> str:
    """Return the size of a file or folder, its hash, and its time if that stands for the hash."""
    digest = ""
    for key in HASHES:
        if key in line:
            digest = line[key][:SHOWN_LENGTH]
            break
    text = f"{line.get('size', 0)} bytes {digest}"
    if "mtime" in line:
        text += f" time {line['mtime']}"
    return text


def thread_counts(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many threads a run had; empty if its record does not say it."""
    found = record.get("thread_counts")
    if isinstance(found, dict):
        return found
    return {}


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return one line for each value that is not as it was."""
    lines = []
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) == after.get(key):
            continue
        line = f"{key}: {before.get(key) or 'absent'} -> {after.get(key) or 'absent'}"
        if key == KERNELS:
            line = f"other {line}; last digits may differ"
        lines.append(line)
    return lines


def differing(tables: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the keys whose values are not the same in all tables."""
    keys = dict.fromkeys(key for table in tables.values() for key in table)
    return [key for key in keys if len({table.get(key) for table in tables.values()}) > 1]


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for i, inner in enumerate(value):
            yield from _leaves(inner, f"{key}[{i}]")
    else:
        yield key, value
