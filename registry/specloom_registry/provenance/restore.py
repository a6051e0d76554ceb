"""Restore a manifest and a lock from a run's record, so that its plugins can be fetched again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError
from specloom_registry.base.faults import (
    PluginIntegrityError,
    PluginUnavailableError,
    type_problems,
)
from specloom_registry.base.paths import exists
from specloom_registry.model import lockfile, metadata, package
from specloom_registry.model.lockfile import Lock
from specloom_registry.project.project import Project
from specloom_registry.store import store, tree

if TYPE_CHECKING:
    from specloom_registry.provenance.run_record import Record

RESTORE_RECORD = "restore run.json from where the run was saved"
MANIFEST_FORM = {"plugins": {"*": {"path?": str}}, "installer?": {"find-links?": [str]}}


def check_data(record: Record, base: Path) -> None:
    """Report early that a data file of the run is not there.

    Raises:
        PluginUnavailableError: One is not.
    """
    for line in record.get("data", ()):
        if exists(base / line["path"]):
            continue
        details = f"{line.get('used_by', 'data')}: {line.get('size', 0)} bytes"
        if "sha256" in line:
            details += f", SHA-256 {line['sha256']}"
        raise PluginUnavailableError(
            f"E-DATA {line['path']} is not in {base} ({details})",
            fix="put it there, or run the command in the folder that holds it",
        )


def restore_project(
    record: Record,
    out: Path,
    *,
    offline: bool = False,
    allow_file: bool = False,
    vendored: Path | None = None,
) -> list[str]:
    """Write the run's manifest and lock into ``out``; fetch what the store lacks, and return it.

    A run without a manifest used installed plugins: then nothing is written.

    Raises:
        SpecloomError: The record was changed, or a plugin is no longer available.
    """
    if not record.get("manifest"):
        _create_folder(out)
        return []
    manifest = _manifest(record)
    lock = None
    if "lock" in record:
        lock = read_lock(record)
    removed = _make_absolute(manifest, Path(record["manifest"]).parent, record)
    file = out / "plugins.yaml"
    _create_folder(out)
    text = "# Made by 'specloom reproduce' from a run's record.\n"
    _write(file, text + json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    if lock is None:
        file.with_suffix(".lock").unlink(missing_ok=True)  # of another run in this folder
        return []
    _write(file.with_suffix(".lock"), _adapt_lock(lock, manifest, removed, record).text())
    if not lock.trees and not lock.packages:
        return []
    project = Project(file, offline, allow_file, probe_imports=False)
    return project.sync(vendored=vendored).fetched


def _manifest(record: Record) -> dict[str, Any]:
    from specloom.runfile import yaml

    try:
        found: dict[str, Any] = yaml.parse(record["manifest_text"], "plugins.yaml").value
    except KeyError as e:
        what = "E-RUN the record has no manifest: the registry did not observe this run"
        raise ConfigError(what, fix="run it again, with the registry installed") from e
    for problem in type_problems(found, MANIFEST_FORM):
        what = f"E-RUN the manifest in the record cannot be used: {problem}"
        raise ConfigError(what, fix=RESTORE_RECORD)
    return found


def _create_folder(folder: Path) -> None:
    """Create the folder of results, and check that files can be written there.

    Raises:
        PluginUnavailableError: They cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as e:
        what = f"E-DISK results cannot be written to {folder}: {e.strerror}"
        raise PluginUnavailableError(what, fix="choose another folder with --out") from e


def _write(file: Path, text: str) -> None:
    try:
        store.replace_file(file, text.encode())
    except OSError as e:
        what = f"E-DISK {file} cannot be written: {e.strerror}"
        fix = "make room, or choose another folder with --out"
        raise PluginUnavailableError(what, fix=fix) from e


def read_lock(record: Record) -> Lock:
    """Read the lock in a run's record.

    Raises:
        ConfigError: It is of another form.
        PluginIntegrityError: It was changed.
    """
    value = dict(record["lock"])
    if value.pop("digest", None) != metadata.digest(value):
        what = "E-LOCK the lock in the record was changed: its digest is not that of its contents"
        raise PluginIntegrityError(what, fix=RESTORE_RECORD)
    return lockfile.from_value(value, "the lock in run.json", RESTORE_RECORD)


def _make_absolute(manifest: dict[str, Any], base: Path, record: Record) -> set[str]:
    """Turn relative paths into absolute ones; remove and return plugins neither used nor there.

    Raises:
        PluginUnavailableError: The folder of a plugin that the run used is not there.
    """
    removed = set()
    plugins = manifest["plugins"]
    for name, line in list(plugins.items()):
        if "path" not in line:
            continue
        folder = tree.resolved(base / line["path"])
        if folder.is_dir():
            plugins[name] = {**line, "path": str(folder)}
        elif name in record.get("plugins", {}):
            raise PluginUnavailableError(
                f"E-PATH-MISSING plugin {name!r} was in the folder {folder}, which is not there "
                f"(its tree was {record['plugins'][name].get('tree')})",
                fix="put it there; a plugin from a Git tag would have been fetched",
            )
        else:
            removed.add(name)
            del plugins[name]
    links = manifest.get("installer", {}).get("find-links", [])
    if links:
        places = [link if "://" in link else str(tree.resolved(base / link)) for link in links]
        manifest["installer"] = {**manifest["installer"], "find-links": places}
    return removed


def _adapt_lock(lock: Lock, manifest: Mapping[str, Any], removed: set[str], record: Record) -> Lock:
    """Return the lock for the new manifest; of a local plugin, with the files that the run used."""
    lines = {name: dict(line) for name, line in lock.manifest.items() if name not in removed}
    plugins = {name: dict(one) for name, one in lock.plugins.items() if name not in removed}
    for name, line in lines.items():
        if "path" not in line:
            continue
        path = manifest["plugins"].get(name, {}).get("path")
        if path is None:
            what = f"E-RUN the manifest and the lock in the record disagree on plugin {name!r}"
            raise ConfigError(what, fix=RESTORE_RECORD)
        line["path"] = path
        version = package.read(name, Path(path), "plugins.yaml").version
        plugin = plugins[name]
        plugin["source"] = {**plugin["source"], "path": path}
        plugin["package"] = {**plugin["package"], "version": version}  # compared after the run
        used_tree = record.get("plugins", {}).get(name, {}).get("tree")
        if used_tree:
            plugin["tree"] = used_tree
    return Lock(lines, plugins, lock.packages, lock.installed)
