"""What ``run.json`` says of where a run came from, in addition to what the kernel writes."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import Distribution, PackageNotFoundError
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
    """Return the lock, and what each plugin that a run uses is.

    A plugin's ``tree`` is the hash of its files; ``dirty`` is whether they differ from what was
    locked or, of a folder in the lock's own repository, from the commit.
    """
    active = None
    if manifest is not None:
        active = activate.active.get(tree.resolved(manifest))
    if manifest is None or active is None:
        return {"plugins": {name: {"version": version} for name, version in versions.items()}}
    copies = git_status.WorkingCopies()
    plugins = {
        name: _describe_plugin(active, name, version, copies)
        for name, version in _with_imported_plugins(versions, active).items()
    }
    found: dict[str, Any] = {"plugins": plugins, "warnings": list(active.notices)}
    lock = active.lock
    if active.recorded is None:
        found["manifest_text"] = manifest.read_text("utf-8")
    else:
        found["manifest"] = str(active.recorded.manifest)
        found["manifest_text"] = active.recorded.text
        lock = active.recorded.lock
    if lock:
        body = lock.body
        found["lock"] = {**body, "digest": metadata.digest(body)}
    return found


def _describe_plugin(
    active: activate.ActiveManifest,
    name: str,
    version: str,
    copies: git_status.WorkingCopies,
) -> dict[str, Any]:
    """Return what a plugin is: version, tag, commit, tree, and whether it was edited."""
    package = active.packages.get(name)
    if package is None:
        return {"version": version}
    record = _locked_record(active, name)
    source = record.get("source", {})
    if "git" in source:
        pinned = {key: source[key] for key in ("git", "tag", "commit")}
        return {"version": package.version, **pinned, "tree": record["tree"], "dirty": False}
    status = copies.status(package.home)
    now = tree.tree_hash(tree.file_hashes(package.home))
    dirty: bool | None = None
    if "tree" in record:
        dirty = now != record["tree"]
    elif status is not None:
        dirty = bool(status.changed)
    return {
        "version": package.version,
        "path": source.get("path", str(package.home)),
        "commit": status.commit if status else "",
        "tree": now,
        "dirty": dirty,
    }


def _kernel_commit() -> str:
    """Return the commit of the kernel's working copy, or from which it was installed; or empty."""
    folder = Path(specloom.__file__).parent
    if "site-packages" not in folder.parts:  # these may lie in the working copy of something else
        status = git_status.WorkingCopies().status(folder)
        if status is not None:
            return status.commit
    with suppress(PackageNotFoundError, ValueError, KeyError, TypeError):
        text = Distribution.from_name("specloom").read_text("direct_url.json")
        return str(json.loads(text or "")["vcs_info"]["commit_id"])
    return ""


def _locked_record(active: activate.ActiveManifest, name: str) -> Mapping[str, Any]:
    if active.lock is None:
        return {}
    record: Mapping[str, Any] = active.lock.plugins.get(name, {})
    return record


def _with_imported_plugins(
    versions: Mapping[str, str], active: activate.ActiveManifest
) -> dict[str, str]:
    """Return plugins with their versions, and after them those that they import from."""
    by_distribution = {
        _distribution(name, package): name for name, package in active.packages.items()
    }
    found = dict(versions)
    pending = list(versions)
    while pending:
        name = pending.pop()
        for distribution in _required_distributions(active, name):
            required = by_distribution.get(distribution)
            if required is not None and required not in found:
                found[required] = active.packages[required].version
                pending.append(required)
    return found


def _required_distributions(active: activate.ActiveManifest, name: str) -> Iterator[str]:
    """Yield the distributions that a plugin of the manifest needs."""
    package = active.packages.get(name)
    if package is None:
        return
    dependencies = package.project.get("dependencies", ())
    locked = _locked_record(active, name).get("requires_plugins", ())
    for text in (*dependencies, *locked):
        with suppress(ValueError):
            yield requirements.parse(str(text)).name


def _distribution(name: str, package: Package) -> str:
    return requirements.normalize_name(str(package.project.get("name", metadata.PREFIX + name)))


def circumstances(run: Run) -> dict[str, Any]:
    """Return what is known of a run before anything runs."""
    run_file = run.document.value
    versions = run.plugins.versions(_references(run, run_file))
    return {
        "metadata": run.metadata,
        "manifest": run.plugins.manifest and str(run.plugins.manifest),
        **origin(run.plugins.manifest, versions),
        "data": data_files.describe_files(run_file, Path()),
        "folder": str(Path.cwd()),
        "fold": run.fold,
        "kernel": tree.tree_hash(tree.file_hashes(Path(specloom.__file__).parent)),
        "kernel_version": specloom.__version__,
        "kernel_commit": _kernel_commit(),
        "packages": dict(sorted(environment.installed().items())),
        "package_hashes": dict(sorted(environment.hashes().items())),
        "local_packages": environment.from_folders(),
        "arguments": sys.argv[1:],
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": f"{os.cpu_count()} processors, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '')}",
        "thread_counts": threads.counts(),
        "phases": [],
    }


def _references(run: Run, run_file: Any) -> list[str]:
    """Return what a run names of plugins: nodes, phases and the source."""
    references = [*run.graph.types.values(), *(label for label, _ in run.phases)]
    if not isinstance(run_file, dict):
        return references
    if not run.graph.types:  # made in Python
        components = [*run_file["nodes"].values(), *run_file.get("phases", ())]
        references += [component["type"] for component in components]
    if "data" in run_file:
        references.append(run_file["data"]["type"])
    return [reference for reference in references if "." in reference]


class Provenance:
    """Adds plugins with versions, data files with hashes, arguments and the machine."""

    def __init__(self) -> None:
        self._started = 0.0

    @impl
    def run_started(self, run: Run) -> None:
        """Note what is known before anything runs."""
        run.record |= circumstances(run)

    @impl
    def phase_started(self) -> None:
        """Note when the phase started."""
        self._started = perf_counter()

    @impl
    def phase_ended(self, run: Run, name: str) -> None:
        """Note how long the phase took."""
        run.record["phases"].append({"type": name, "seconds": perf_counter() - self._started})
