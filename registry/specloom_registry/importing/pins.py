"""Pinned plugins in other processes: what they are, where they lie, and their files to be sent."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from specloom.contract.errors import raise_all
from specloom_registry.base.faults import PluginIntegrityError, PluginUnavailableError
from specloom_registry.base.paths import is_folder
from specloom_registry.importing import import_hook
from specloom_registry.importing.activate import ActiveManifest, active
from specloom_registry.model.package import Package
from specloom_registry.store import tree
from specloom_registry.store.store import Store


def describe_pins(manifest: Path) -> list[dict[str, Any]] | None:
    """The plugins of an active manifest as plain values; None where it is not active.

    A plugin in the store has the hash of its tree; one in a folder of the user's has none, and is
    found where that folder is.
    """
    found = active.get(tree.resolved(manifest))
    if found is None:
        return None
    return [_describe(found, package) for package in found.packages.values()]


def install_pins(pins: Sequence[Mapping[str, Any]]) -> list[str]:
    """Make pinned plugins importable in this process.

    Returns:
        The trees that are not in the store of this machine; then nothing is installed.

    Raises:
        PluginError: A plugin was already imported from elsewhere in this process.
        PluginUnavailableError: The folder of a plugin is not on this machine.
        PluginIntegrityError: The files of a tree are not those of its hash.
    """
    store = Store()
    missing = [pin["tree"] for pin in pins if pin["tree"] and not store.has_tree(pin["tree"])]
    if missing:
        return list(dict.fromkeys(missing))
    packages = [_package(pin, store) for pin in pins]
    raise_all(import_hook.already_imported(packages))
    checks: dict[str, import_hook.Check] = {}
    stored = set()
    for pin, package in zip(pins, packages, strict=True):
        if pin["tree"]:
            checks[package.top] = partial(_check, store, pin, package)
            stored.add(package.top)
    import_hook.install(packages, checks, stored)
    return []


def pack_tree(name: str) -> dict[str, bytes]:
    """The files of a tree in the store, by path.

    Raises:
        PluginUnavailableError: It is not in the store.
        PluginIntegrityError: Its files are not those of its hash, or one is a link.
    """
    store = Store()
    store.check(name, f"tree {name[:15]}", full=True)
    found = {}
    for path, entry in tree.files(store.tree_folder(name)):
        if entry.is_symlink():
            what = f"E-LINK tree {name[:15]}: {path} is a link, which is not sent to workers"
            raise PluginIntegrityError(what, fix="sync the plugin on the workers")
        found[path] = Path(entry.path).read_bytes()
    return found


def store_tree(name: str, files: Mapping[str, bytes]) -> None:
    """Put the files of a tree into the store; they get their name only with the right hash.

    Raises:
        PluginIntegrityError: They are not those of the hash, or lie outside of the tree.
        PluginUnavailableError: The disk is full, or may not be written.
    """
    store = Store()
    if store.has_tree(name):
        return
    tree.check_names(files, f"tree {name[:15]}")
    with store.without_gc(), store.stage() as stage, store.disk_errors():
        folder = stage / "tree"
        for path, data in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        found = tree.tree_hash(tree.file_hashes(folder))
        if found != name:
            what = f"E-STORE the files that were sent for {name[:15]} have the hash {found[:15]}"
            raise PluginIntegrityError(what, fix="repeat the command")
        store.publish(folder, store.tree_folder(name))


def _describe(manifest: ActiveManifest, package: Package) -> dict[str, Any]:
    record: Mapping[str, Any] = {}
    packages: Mapping[str, Any] = {}
    if manifest.lock is not None:
        record = manifest.lock.plugins.get(package.name, {})
        packages = manifest.lock.packages
    name = ""
    if "git" in record.get("source", ()):
        name = record["tree"]
    return {
        "name": package.name,
        "version": package.version,
        "module": package.module,
        "distribution": str(package.project.get("name", package.name)),
        "folder": str(tree.resolved(package.folder)),
        "home": str(tree.resolved(package.home)),
        "root": tree.resolved(package.folder).relative_to(tree.resolved(package.home)).as_posix(),
        "tree": name,
        "packages": dict(packages),
    }


def _package(pin: Mapping[str, Any], store: Store) -> Package:
    """The plugin of a pin on this machine.

    Raises:
        PluginUnavailableError: Its folder is not here.
    """
    home = Path(pin["home"])
    if pin["tree"]:
        home = store.tree_folder(pin["tree"])
    folder = home / pin["root"]
    if not is_folder(folder):
        raise PluginUnavailableError(
            f"plugin {pin['name']!r} is not in {folder} on this machine",
            where=pin["name"],
            fix="use a folder that all machines share, or pin the plugin by a tag",
        )
    project = {"name": pin["distribution"]}
    return Package(pin["name"], pin["version"], pin["module"], folder, "", home, project)


def _check(store: Store, pin: Mapping[str, Any], package: Package) -> Mapping[str, str]:
    """Hold a plugin to the hash of its tree, and put the packages that it needs on the path."""
    hashes = store.check(pin["tree"], f"plugin {package.name!r}")
    if pin["packages"]:
        from specloom_registry.packages import environment, overlay

        packages = pin["packages"].get(environment.platform_tag(), {})
        folder = overlay.find(store, packages, package.name)
        if folder and str(folder) not in sys.path:
            sys.path.append(str(folder))
    return hashes
