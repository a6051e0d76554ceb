"""What a run does with a manifest and its lock: nothing is fetched, installed or written."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, raise_all
from specloom_registry.base.faults import PluginIntegrityError, RegistryWarning
from specloom_registry.importing import import_hook, shadowed
from specloom_registry.model import lockfile, metadata
from specloom_registry.model.package import Package
from specloom_registry.store import file_lock, tree
from specloom_registry.store.store import Store

if TYPE_CHECKING:
    from specloom_registry.model.lockfile import Lock
    from specloom_registry.model.manifest import Manifest


@dataclass
class Loaded:
    """A manifest as a run uses it.

    Args:
        manifest: The manifest's file.
        lock: Its lock; None where it has none.
        packages: Its plugins.
        notices: What the user was warned of.
    """

    manifest: Path
    lock: Lock | None
    packages: dict[str, Package]
    notices: list[str] = field(default_factory=list)


#: By manifest, what this process has loaded.
loaded: dict[Path, Loaded] = {}
_in_use: dict[Path, int] = {}  # handles of locks that keep gc away; the process's end frees them


def load(file: Path) -> dict[str, str]:
    """Make the manifest's plugins importable; give the module of each, by plugin name.

    Raises:
        ConfigError: The manifest, its lock, or a plugin's folder is not as it should be.
        PluginError: A plugin was already imported from elsewhere in this process.
    """
    from specloom_registry.model import manifest as manifests

    lock_file = file.with_suffix(".lock")
    if not lockfile.is_there(lock_file):
        found = manifests.manifest(file)
        raise_all(
            [_unlocked(entry.name, entry.where) for entry in found.entries if entry.source.git]
        )
        local = {entry.name: entry.package for entry in found.entries if entry.package}
        for name, package in local.items():
            metadata.check_kernel(name, metadata.wanted_kernel(package), package.where)
        return _use(file, None, local, None)
    lock, store = lockfile.read(lock_file), Store()
    state, known = f"project-{_sha256(str(tree.resolved(file)).encode())}", lock.trees
    seen = {
        "manifest": _sha256(_bytes(file)),
        "lock": lockfile.lock_digest(lock_file),
        "versions": [metadata.PYTHON, lock.body["generator"]],
    }
    local = {}
    if len(known) < len(lock.plugins) or store.state(state) != seen:
        manifest = manifests.manifest(file)
        raise_all(lockfile.stale(lock, manifest.entries, lock_file))
        local = {entry.name: entry.package for entry in manifest.entries if entry.package}
        _check_kernel(lock, manifest)
        store.remember(state, **seen)
    stored = {name: stored_package(name, lock, store, lock_file) for name in known}
    return _use(file, lock, {name: (stored | local)[name] for name in lock.plugins}, store)


def _use(
    file: Path, lock: Lock | None, packages: dict[str, Package], store: Store | None
) -> dict[str, str]:
    shadowed.let_go(packages.values())
    raise_all(import_hook.already_imported(packages.values()))
    now = Loaded(file, lock, packages)
    before, caches = guards(now, store)
    if store and caches and store.root not in _in_use:
        handle = file_lock.hold(store.root / "use.lock", shared=True)
        if handle is not None:
            _in_use[store.root] = handle
    import_hook.install(packages.values(), before, caches)
    loaded[tree.resolved(file)] = now
    return {name: package.module for name, package in packages.items()}


def guards(
    now: Loaded, store: Store | None
) -> tuple[dict[str, Callable[[], None]], dict[str, Path]]:
    """What to do before each plugin is imported, and where its byte code goes, by module."""
    found, caches = dict[str, Callable[[], None]](), dict[str, Path]()
    for name, package in now.packages.items():
        record = now.lock.plugins.get(name, {}) if now.lock else {}
        guard = _nothing
        if store and "git" in record.get("source", ()):
            guard = _guard(now, name, record, store)
            caches[package.top] = store.root / "pyc"
        elif "tree" in record:
            guard = _local_guard(now, package, record["tree"])
        found[package.top] = _remarking(now, package, guard)
    return found, caches


def _nothing() -> None:
    """A plugin in the lock's own repository: the run's record tells what its files are."""


def _remarking(now: Loaded, package: Package, guard: Callable[[], None]) -> Callable[[], None]:
    """A guard that then tells of another copy of the plugin, in the environment."""

    def both() -> None:
        guard()
        if said := shadowed.remark(package):
            _notice(now, package, said)

    return both


def _notice(now: Loaded, package: Package, message: str) -> None:
    """Warn once, at the plugin's place."""
    if message not in now.notices:
        now.notices.append(message)
        lines = _bytes(now.manifest).decode(errors="replace").splitlines()
        named = (i for i, one in enumerate(lines, 1) if one.strip().startswith(f"{package.name}:"))
        warnings.warn_explicit(message, RegistryWarning, str(now.manifest), next(named, 1))


def _guard(now: Loaded, name: str, record: Mapping[str, Any], store: Store) -> Callable[[], None]:
    """Verify a plugin's files, and put the packages that it needs within reach."""

    def guard() -> None:
        full = os.environ.get("SPECLOOM_VERIFY") == "full"
        store.check(record["tree"], f"plugin {name!r}", full=full)
        if now.lock and now.lock.packages:
            from specloom_registry.packages import environment, overlay

            here = now.lock.packages.get(environment.platform_tag(), {})
            place = overlay.present(store, here, name)
            if place and str(place) not in sys.path:
                sys.path.append(str(place))

    return guard


def _local_guard(now: Loaded, package: Package, locked: str) -> Callable[[], None]:
    """Tell when a local plugin is no longer what was locked."""

    def guard() -> None:
        found = tree.tree_hash(tree.file_hashes(package.home))
        if found == locked:
            return
        what = f"{package.name}: {locked[:11]}.. -> {found[:11]}.."
        if os.environ.get("SPECLOOM_FROZEN"):
            raise PluginIntegrityError(
                f"E-LOCAL-CHANGED {what}", where=package.where, fix="run: specloom plugins lock"
            )
        _notice(now, package, f"W-LOCAL-CHANGED {what} (edited after it was locked)")

    return guard


def stored_package(name: str, lock: Lock, store: Store, lock_file: Path) -> Package:
    """A locked plugin in the store."""
    record = lock.plugins[name]
    about, home = record["package"], store.tree(record["tree"])
    folder = home if about["root"] == "." else home / about["root"]
    project, where = {"name": about["name"]}, str(lock_file)
    return Package(name, about["version"], about["module"], folder, where, home, project)


def _check_kernel(lock: Lock, manifest: Manifest) -> None:
    for entry in manifest.entries:
        if entry.source.git:
            known = metadata.from_record(lock.plugins[entry.name])
            metadata.check_kernel(entry.name, known, entry.where)
        elif entry.package:
            metadata.check_kernel(entry.name, metadata.wanted_kernel(entry.package), entry.where)


def _unlocked(name: str, where: str) -> ConfigError:
    what = f"E-LOCK plugin {name!r} comes from Git, but there is no plugins.lock"
    return ConfigError(what, where=where, fix=lockfile.AGAIN)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""  # reading it as a manifest tells why


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
