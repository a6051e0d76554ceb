"""A manifest and a lock made anew from a run's record, so that its plugins can be fetched again."""

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
from specloom_registry.model import lockfile, metadata, package
from specloom_registry.model.lockfile import Lock
from specloom_registry.project.project import Project
from specloom_registry.store import store, tree

if TYPE_CHECKING:
    from specloom_registry.provenance.run_record import Record

MANIFEST = {"plugins": {"*": {"path?": str}}, "installer?": {"find-links?": [str]}}


def check_data(record: Record, base: Path) -> None:
    """Tell early when a data file of the run is not there.

    Raises:
        PluginUnavailableError: One is not.
    """
    for one in record.get("data", ()):
        if not _is_there(base / one["path"]):
            size = one.get("size", 0)
            digest = f", SHA-256 {one['sha256']}" if "sha256" in one else ""
            raise PluginUnavailableError(
                f"E-DATA {one['path']} is not in {base} "
                f"({one.get('used_by', 'data')}: {size} bytes{digest})",
                fix="put it there, or call the command where it is",
            )


def rebuild(
    record: Record,
    out: Path,
    *,
    offline: bool = False,
    allow_file: bool = False,
    vendored: Path | None = None,
) -> list[str]:
    """Write the run's manifest and lock into ``out`` and fetch what the store lacks; what was.

    A run without a manifest used installed plugins: then nothing is written.

    Raises:
        SpecloomError: The record was changed, or a plugin cannot be had any more.
    """
    if not record.get("manifest"):
        _make_folder(out)
        return []
    manifest, lock = _manifest(record), _lock(record)
    gone = _absolute(manifest, Path(record["manifest"]).parent, record)
    file = out / "plugins.yaml"
    _make_folder(out)
    text = "# Made by 'specloom reproduce' from a run's record.\n"
    _write(file, text + json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    if lock is None:
        file.with_suffix(".lock").unlink(missing_ok=True)  # of another run in this folder
        return []
    _write(file.with_suffix(".lock"), _moved(lock, manifest, gone, record).text())
    if not lock.trees and not lock.packages:
        return []
    project = Project(file, offline, allow_file, probed=False)
    return project.sync(vendored=vendored).fetched


def _manifest(record: Record) -> dict[str, Any]:
    from specloom.runfile import yaml

    try:
        found: dict[str, Any] = yaml.parse(record["manifest_text"], "plugins.yaml").value
    except KeyError as e:
        what = "E-RUN the record has no manifest: the registry did not watch this run"
        raise ConfigError(what, fix="run it again, with the registry installed") from e
    for problem in type_problems(found, MANIFEST):
        what = f"E-RUN the manifest in the record cannot be used: {problem}"
        raise ConfigError(what, fix="restore run.json from where the run was saved")
    return found


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:  # a name that is too long, a folder that may not be searched
        return False


def _make_folder(folder: Path) -> None:
    """Make the folder of results, and see that files can be written there.

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
        store.replace(file, text.encode())
    except OSError as e:
        what = f"E-DISK {file} cannot be written: {e.strerror}"
        fix = "make room, or choose another folder with --out"
        raise PluginUnavailableError(what, fix=fix) from e


def _lock(record: Record) -> Lock | None:
    if "lock" not in record:
        return None
    value = dict(record["lock"])
    restore = "restore run.json from where the run was saved"
    if value.pop("digest", None) != metadata.digest(value):
        what = "E-LOCK the lock in the record was changed: its digest is not that of its contents"
        raise PluginIntegrityError(what, fix=restore)
    return lockfile.of_value(value, "the lock in run.json", restore)


def _absolute(manifest: dict[str, Any], base: Path, record: Record) -> set[str]:
    """Turn relative paths into absolute ones; the plugins left out: neither used nor there.

    Raises:
        PluginUnavailableError: The folder of a plugin that the run used is not there.
    """
    gone, plugins = set(), manifest["plugins"]
    for name, one in list(plugins.items()):
        if "path" not in one:
            continue
        folder = tree.resolved(base / one["path"])
        if folder.is_dir():
            plugins[name] = {**one, "path": str(folder)}
        elif name in record.get("plugins", {}):
            raise PluginUnavailableError(
                f"E-PATH-MISSING plugin {name!r} was in the folder {folder}, which is not there "
                f"(its tree was {record['plugins'][name].get('tree')})",
                fix="put it there; a plugin from a Git tag would have been fetched",
            )
        else:
            gone.add(name)
            del plugins[name]
    links = manifest.get("installer", {}).get("find-links", [])
    if links:
        there = [one if "://" in one else str(tree.resolved(base / one)) for one in links]
        manifest["installer"] = {**manifest["installer"], "find-links": there}
    return gone


def _moved(lock: Lock, manifest: Mapping[str, Any], gone: set[str], record: Record) -> Lock:
    """The lock for the new manifest; of a local plugin, with the files that the run used."""
    lines = {name: dict(one) for name, one in lock.manifest.items() if name not in gone}
    plugins = {name: dict(one) for name, one in lock.plugins.items() if name not in gone}
    for name, line in lines.items():
        if "path" not in line:
            continue
        if "path" not in manifest["plugins"].get(name, {}):
            what = f"E-RUN the manifest and the lock in the record disagree on plugin {name!r}"
            raise ConfigError(what, fix="restore run.json from where the run was saved")
        line["path"] = manifest["plugins"][name]["path"]
        now = package.read(name, Path(line["path"]), "plugins.yaml").version
        one = plugins[name]
        one["source"] = {**one["source"], "path": line["path"]}
        one["package"] = {**one["package"], "version": now}  # what changed is told afterwards
        if tree := record.get("plugins", {}).get(name, {}).get("tree"):
            one["tree"] = tree
    return Lock(lines, plugins, lock.packages)
