"""The plugins that a run's record pins, for commands that use what the run saved.

A record is data that may come from elsewhere: of its plugins only those are used that the store
has already, by the hash of their files. Plugins in folders come from the present manifest.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError
from specloom.plugins import find_manifest, installed
from specloom_registry.base.faults import PluginIntegrityError, RegistryWarning, parse_json
from specloom_registry.importing import activate
from specloom_registry.importing.activate import ActiveManifest
from specloom_registry.model.lockfile import Lock
from specloom_registry.provenance import restore
from specloom_registry.store.store import Store

if TYPE_CHECKING:
    from specloom_registry.model.package import Package


def activate_recorded(file: Path) -> dict[str, str] | None:
    """Make the plugins of a run's record importable; return their modules, by plugin name.

    Plugins that the record does not name, or that are not at hand, are those of the present
    manifest, or the installed ones where there is no manifest.

    Args:
        file: The record, ``run.json``.

    Returns:
        The modules; None if the record pins no plugin.

    Raises:
        SpecloomError: The record's lock was changed, or with SPECLOOM_FROZEN a plugin differs.
    """
    record = _read(file)
    if "lock" not in record:
        return None
    lock = restore.read_lock(record)
    present = _present_manifest(file, record)
    store = Store()
    pinned = {
        name: activate.stored_package(name, lock, store, file)
        for name, name_of_tree in lock.trees.items()
        if store.has_tree(name_of_tree)
    }
    _report_differences(file, lock, present, pinned)
    merged = _merge(file, record, lock, present, pinned)
    return activate.install(merged, store)


def _read(file: Path) -> dict[str, Any]:
    """Return a record; empty for one that cannot be read, which what needs it reports."""
    try:
        record = parse_json(file.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict):
        return {}
    if not isinstance(record.get("lock", {}), dict):
        what = "E-RUN the lock in the record is not a mapping"
        raise ConfigError(what, where=str(file), fix=restore.RESTORE_RECORD)
    return record


def _present_manifest(file: Path, record: Mapping[str, Any]) -> ActiveManifest | None:
    """Return the manifest of the run's folder, of its run file or of this folder; None if none."""
    for place in (file, Path(str(record.get("file", ""))), Path("run.yaml")):
        found = find_manifest(place)
        if found is not None:
            return activate.read_active(found)[0]
    return None


def _report_differences(
    file: Path, lock: Lock, present: ActiveManifest | None, pinned: Mapping[str, Package]
) -> None:
    """Report plugins that are pinned otherwise now, and those that are not at hand.

    Raises:
        PluginIntegrityError: There are some, and the plugins are to be frozen.
    """
    lines = []
    for name in sorted(lock.plugins):
        line = _difference(name, lock, present, pinned)
        if line:
            lines.append(line)
    if not lines:
        return
    if os.environ.get(activate.FROZEN):
        raise PluginIntegrityError(
            f"E-PINS {'; '.join(lines)}",
            where=str(file),
            fix=f"run: specloom reproduce {file.parent}, or leave out --frozen",
        )
    for line in lines:
        warnings.warn_explicit(f"W-PINS {line}", RegistryWarning, str(file), 1)


def _difference(
    name: str, lock: Lock, present: ActiveManifest | None, pinned: Mapping[str, Package]
) -> str:
    """Return how a plugin of the run differs from the present one; empty if it does not."""
    recorded = lock.plugins[name]
    is_remote = name in lock.trees
    now = _present_plugin(name, present)
    if now and _is_same(recorded, now, is_remote=is_remote):
        return ""
    was = _describe(recorded)
    used = "the installed one"
    if now and present is not None:
        used = f"{_describe(now)} of {present.manifest}"
    if name not in pinned:
        if is_remote:
            return f"the run used {name} {was}, which is not in the store: {used} is used"
        if now:
            return f"the run used {name} {was}, a folder: {used} is used"
        return ""
    if now:
        return f"the run used {name} {was}, which is used here, not {used}"
    return ""


def _present_plugin(name: str, present: ActiveManifest | None) -> Mapping[str, Any]:
    """Return what the present manifest says of a plugin, as a lock does; empty if nothing."""
    if present is None or name not in present.packages:
        return {}
    package = present.packages[name]
    if present.lock is not None:
        found: Mapping[str, Any] = present.lock.plugins[name]
        return found
    return {"source": {"path": str(package.home)}, "package": {"version": package.version}}


def _is_same(recorded: Mapping[str, Any], now: Mapping[str, Any], *, is_remote: bool) -> bool:
    """Check whether a plugin has the files of the run; of folders, whether both are folders."""
    if is_remote:
        return bool(now.get("tree") == recorded["tree"])
    return "path" in now["source"]


def _describe(plugin: Mapping[str, Any]) -> str:
    """Return version, tag and commit of a locked plugin, or its folder."""
    source = plugin["source"]
    version = str(plugin["package"]["version"])
    if "tag" in source:
        return f"{version} ({source['tag']} {source['commit'][:12]})"
    return f"{version} ({source['path']})"


def _merge(
    file: Path,
    record: Mapping[str, Any],
    lock: Lock,
    present: ActiveManifest | None,
    pinned: Mapping[str, Package],
) -> ActiveManifest:
    """Return the present manifest with the plugins that the record pins in place of its own."""
    place = Path(str(record.get("manifest") or file))
    text = str(record.get("manifest_text", ""))
    others: dict[str, Package] = {}
    locked: dict[str, Any] = {}
    lines: dict[str, Any] = {}
    found = {name: module for name, module in installed().items() if name not in pinned}
    packages: Mapping[str, Any] = lock.packages
    if present is not None:
        others = {name: one for name, one in present.packages.items() if name not in pinned}
        found = {name: one for name, one in present.installed.items() if name not in pinned}
        if present.lock is not None:
            packages = {**present.lock.packages, **lock.packages}
            locked = {name: present.lock.plugins[name] for name in others}
            lines = {name: present.lock.manifest[name] for name in others}
    merged = Lock(
        {**lines, **{name: lock.manifest[name] for name in pinned}},
        {**locked, **{name: lock.plugins[name] for name in pinned}},
        packages,
        lock.installed,
    )
    active = ActiveManifest(file, merged, {**others, **pinned}, installed=found)
    return replace(active, recorded=activate.Recorded(place, text, lock))
