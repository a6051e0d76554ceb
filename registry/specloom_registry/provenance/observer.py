"""What ``run.json`` says of where a run came from, beside what the kernel writes."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import specloom
from specloom import impl, threads
from specloom_registry.importing import activate
from specloom_registry.model import metadata, requirements
from specloom_registry.packages import environment
from specloom_registry.provenance import data_files, git_status
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom import Run
    from specloom_registry.model.package import Package


def origin(manifest: Path | None, versions: Mapping[str, str]) -> dict[str, Any]:
    """The lock, and what each plugin that a run uses is: version, tag, commit, tree, dirtiness.

    A plugin's ``tree`` is the hash of its files; ``dirty`` tells whether they differ from what
    was locked or, of a folder in the lock's own repository, from what Git last saw.
    """
    used = activate.loaded.get(tree.resolved(manifest)) if manifest else None
    if manifest is None or used is None:
        return {"plugins": {name: {"version": version} for name, version in versions.items()}}
    plugins = dict[str, Any]()
    versions = _with_needed(versions, used)
    for name, version in versions.items():
        record = used.lock.plugins.get(name, {}) if used.lock else {}
        package = used.packages.get(name)
        source = record.get("source", {})
        if package is None:
            plugins[name] = {"version": version}
        elif "git" in source:
            about = {key: source[key] for key in ("git", "tag", "commit")}
            plugins[name] = {
                "version": package.version,
                **about,
                "tree": record["tree"],
                "dirty": False,
            }
        else:
            now = tree.tree_hash(tree.file_hashes(package.home))
            edits = git_status.changed(package.home)
            locked = record.get("tree")
            dirty = now != locked if locked else None if edits is None else bool(edits)
            plugins[name] = {
                "version": package.version,
                "path": source.get("path", str(package.home)),
                "commit": git_status.commit(package.home),
                "tree": now,
                "dirty": dirty,
            }
    found: dict[str, Any] = {"plugins": plugins, "warnings": list(used.notices)}
    found["manifest_text"] = manifest.read_text("utf-8")
    if used.lock:
        body = used.lock.body
        found["lock"] = {**body, "digest": metadata.digest(body)}
    return found


def _with_needed(versions: Mapping[str, str], used: activate.Loaded) -> dict[str, str]:
    """Plugins with their versions, and after them those that they import from."""
    locked = used.lock.plugins if used.lock else {}
    named = {_distribution(name, one): name for name, one in used.packages.items()}
    found, waiting = dict(versions), list(versions)
    while waiting:
        name = waiting.pop()
        if name not in used.packages:
            continue
        wanted = used.packages[name].project.get("dependencies", ())
        for text in (*wanted, *locked.get(name, {}).get("requires_plugins", ())):
            with suppress(ValueError):
                needed = named.get(requirements.parse(str(text)).name, "")
                if needed and needed not in found:
                    found[needed] = used.packages[needed].version
                    waiting.append(needed)
    return found


def _distribution(name: str, package: Package) -> str:
    return requirements.normal(str(package.project.get("name", metadata.PREFIX + name)))


class Provenance:
    """Adds plugins with versions, data files with hashes, arguments and the machine."""

    def __init__(self) -> None:
        self._started = 0.0

    @impl
    def run_started(self, run: Run) -> None:
        """Note what is known before anything runs."""
        asked = run.graph.document.value
        source = asked["data"]["type"] if isinstance(asked, dict) and "data" in asked else ""
        references = (
            *run.graph.types.values(),
            *(label for label, _ in run.phases),
            *([source] if "." in source else []),
        )
        versions = run.plugins.versions(references)
        run.record |= {
            "metadata": run.metadata,
            "manifest": run.plugins.manifest and str(run.plugins.manifest),
            **origin(run.plugins.manifest, versions),
            "data": data_files.described(asked, Path()),
            "folder": str(Path.cwd()),
            "fold": run.fold,
            "kernel": tree.tree_hash(tree.file_hashes(Path(specloom.__file__).parent)),
            "packages": dict(sorted(environment.installed().items())),
            "arguments": sys.argv[1:],
            "python": platform.python_version(),
            "platform": platform.platform(),
            "threads": f"{os.cpu_count()} processors, "
            f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '')}",
            "thread_counts": threads.counts(),
            "phases": [],
        }

    @impl
    def phase_started(self) -> None:
        """Look at the clock."""
        self._started = perf_counter()

    @impl
    def phase_ended(self, run: Run, name: str) -> None:
        """Note how long the phase took."""
        run.record["phases"].append({"type": name, "seconds": perf_counter() - self._started})
