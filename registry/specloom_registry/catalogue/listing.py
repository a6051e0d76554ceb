"""The plugins there are, and of the broken ones what breaks them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from specloom.contract.errors import SpecloomError

if TYPE_CHECKING:
    from specloom.plugins import Plugins


def manifest_plugins(file: Path) -> list[dict[str, str]]:
    """The plugins of a manifest: name, version, module, path and error.

    Raises:
        ConfigError: The file as a whole cannot be used.
    """
    from specloom.plugins import Plugins
    from specloom_registry.importing import activate, import_hook, shadowed
    from specloom_registry.model import lockfile, manifest
    from specloom_registry.store.store import Store

    lock_file, store = file.with_suffix(".lock"), Store()
    lock = lockfile.read(lock_file) if lockfile.is_there(lock_file) else lockfile.Lock()
    rows = []
    for entry in manifest.entries(file):
        package, errors = entry.package, list(entry.errors)
        if entry.source.git and not errors:
            errors += lockfile.stale(lock, [entry], lock_file, whole=False)
            if not errors:
                package = activate.stored_package(entry.name, lock, store, lock_file)
        if package is not None:
            shadowed.let_go([package])
            errors += import_hook.already_imported([package])
        if package is None or errors:
            rows.append(_row(entry.name, error="\n".join(map(str, errors))))
            continue
        guards, caches = activate.guards(
            activate.Loaded(file, lock, {package.name: package}), store
        )
        import_hook.install([package], guards, caches)
        known = Plugins({package.name: package.module}, file)
        error = _import_error(known, package.name)
        rows.append(_row(package.name, package.version, package.module, str(package.folder), error))
        rows[-1]["source"] = entry.source.tag or entry.source.path
    return rows


def installed_plugins() -> list[dict[str, str]]:
    """The installed plugins: name, version, module, path and error."""
    from specloom.plugins import Plugins

    known = Plugins()
    rows = []
    for name in sorted(known.modules):
        module, error = str(known.modules[name]), _import_error(known, name)
        top = sys.modules.get(module.partition(".")[0])
        folder = str(Path(str(top.__file__)).parent.parent) if top else ""
        rows.append(_row(name, _version(name), module, folder, error))
    return rows


def _version(name: str) -> str:
    from importlib.metadata import entry_points

    from specloom.contract.hooks import GROUP

    (entry,) = entry_points(group=GROUP, name=name)
    return entry.dist.version if entry.dist else ""


def _import_error(known: Plugins, name: str) -> str:
    try:
        known.need(name)
    except SpecloomError as e:
        return str(e)
    return ""


def _row(
    name: str, version: str = "", module: str = "", path: str = "", error: str = ""
) -> dict[str, str]:
    about = {"name": name, "version": version, "module": module, "path": path, "error": error}
    return {**about, "source": ""}
