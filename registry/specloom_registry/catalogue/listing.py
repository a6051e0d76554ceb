"""The plugins of a manifest or of the environment, with the errors of the broken ones."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from specloom.contract.errors import SpecloomError
from specloom.contract.hooks import GROUP
from specloom.plugins import Plugins
from specloom_registry.base.paths import may_exist
from specloom_registry.importing import activate, import_hook, shadowed
from specloom_registry.model import lockfile, manifest
from specloom_registry.store.store import Store

if TYPE_CHECKING:
    from specloom_registry.model.entry import Entry
    from specloom_registry.model.package import Package


def manifest_plugins(file: Path) -> list[dict[str, str]]:
    """Return the plugins of a manifest: name, version, module, path, error and source.

    Raises:
        ConfigError: The file as a whole cannot be used.
    """
    lock_file = file.with_suffix(".lock")
    lock = lockfile.Lock()
    if may_exist(lock_file):
        lock = lockfile.read(lock_file)
    store = Store()
    rows = []
    for entry in manifest.read_entries(file):
        package, errors = _find_package(entry, lock, lock_file, store)
        if package is None or errors:
            rows.append(_row(entry.name, error="\n".join(map(str, errors))))
            continue
        error = _import_from_manifest(package, file, lock, store)
        rows.append(
            _row(
                package.name,
                version=package.version,
                module=package.module,
                path=str(package.folder),
                error=error,
                source=entry.source.tag or entry.source.path,
            )
        )
    return rows


def _find_package(
    entry: Entry, lock: lockfile.Lock, lock_file: Path, store: Store
) -> tuple[Package | None, list[SpecloomError]]:
    """Return the package of a line in its folder or in the store, and what is wrong with it."""
    package = entry.package
    errors = list(entry.errors)
    if entry.source.git and not errors:
        errors += lockfile.stale_errors(lock, [entry], lock_file, complete=False)
        if not errors:
            package = activate.stored_package(entry.name, lock, store, lock_file)
    if package is not None:
        errors += import_hook.already_imported([package])
    return package, errors


def _import_from_manifest(package: Package, file: Path, lock: lockfile.Lock, store: Store) -> str:
    """Import a plugin of a manifest; return the error, empty if there is none."""
    active = activate.ActiveManifest(file, lock, {package.name: package})
    active.copies = shadowed.installed_folders([package])
    checks, stored = activate.import_checks(active, store)
    import_hook.install([package], checks, stored)
    return _import_error(Plugins({package.name: package.module}, file), package.name)


def installed_plugins() -> list[dict[str, str]]:
    """Return the installed plugins: name, version, module, path, error and an empty source."""
    plugins = Plugins()
    rows = []
    for name in sorted(plugins.modules):
        module = str(plugins.modules[name])
        error = _import_error(plugins, name)
        imported = sys.modules.get(module.partition(".")[0])
        folder = ""
        if imported is not None:
            folder = str(Path(str(imported.__file__)).parent.parent)
        version = _installed_version(name)
        rows.append(_row(name, version=version, module=module, path=folder, error=error))
    return rows


def _installed_version(name: str) -> str:
    (entry_point,) = entry_points(group=GROUP, name=name)
    if entry_point.dist is None:
        return ""
    return entry_point.dist.version


def _import_error(plugins: Plugins, name: str) -> str:
    try:
        plugins.need(name)
    except SpecloomError as e:
        return str(e)
    return ""


def _row(
    name: str,
    *,
    version: str = "",
    module: str = "",
    path: str = "",
    error: str = "",
    source: str = "",
) -> dict[str, str]:
    return {
        "name": name,
        "version": version,
        "module": module,
        "path": path,
        "error": error,
        "source": source,
    }
