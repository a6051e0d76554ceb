"""What a run does with a manifest and its lock: nothing is fetched, installed or written."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, printable, raise_all
from specloom_registry.base.faults import PluginIntegrityError, RegistryWarning
from specloom_registry.base.ownership import check_owner
from specloom_registry.base.paths import may_exist, read_regular
from specloom_registry.importing import import_hook, shadowed
from specloom_registry.model import lockfile, metadata, requirements
from specloom_registry.model import package as package_files
from specloom_registry.model.package import Package
from specloom_registry.store import file_lock, tree
from specloom_registry.store.store import Store

if TYPE_CHECKING:
    from specloom_registry.model.lockfile import Lock
    from specloom_registry.model.manifest import Manifest

FULL_CHECK = "SPECLOOM_VERIFY"
FROZEN = "SPECLOOM_FROZEN"


@dataclass
class ActiveManifest:
    """A manifest as a run uses it.

    Args:
        manifest: The manifest's file.
        lock: Its lock; None if it has none.
        packages: Its plugins.
        notices: The warnings that were shown.
    """

    manifest: Path
    lock: Lock | None
    packages: dict[str, Package]
    notices: list[str] = field(default_factory=list)


#: By manifest, what this process has activated.
active: dict[Path, ActiveManifest] = {}
_store_handles: dict[Path, int] = {}  # of locks that keep gc out; the end of the process frees them


def activate(file: Path) -> dict[str, str]:
    """Make the manifest's plugins importable; return the module of each, by plugin name.

    Raises:
        ConfigError: The manifest, its lock, or a plugin's folder is not as it should be.
        PluginError: A plugin was already imported from elsewhere in this process.
        PluginIntegrityError: The manifest, its lock or the store belongs to another user.
    """
    check_owner(file, "the manifest")
    lock_file = file.with_suffix(".lock")
    if may_exist(lock_file):
        return _activate_locked(file, lock_file)
    return _activate_unlocked(file)


def _activate_unlocked(file: Path) -> dict[str, str]:
    """Activate a manifest without a lock, which may name local plugins only."""
    from specloom_registry.model import manifest

    entries = manifest.read(file).entries
    raise_all([_unlocked_error(e.name, e.where) for e in entries if e.source.git])
    packages = {entry.name: entry.package for entry in entries if entry.package}
    for name, package in packages.items():
        compatibility = metadata.read_compatibility(package)
        metadata.check_kernel(name, compatibility, package.where)
    return _install(ActiveManifest(file, None, packages), None)


def _activate_locked(file: Path, lock_file: Path) -> dict[str, str]:
    """Activate a manifest with a lock; it is parsed only if something has changed since."""
    from specloom_registry.model import manifest

    lock = lockfile.read(lock_file)
    store = Store()
    key = f"project-{_sha256(str(tree.resolved(file)).encode())}"
    state = {
        "manifest": _sha256(_read_bytes(file)),
        "lock": lockfile.lock_digest(lock_file),
        "versions": [metadata.PYTHON_VERSION, lock.body["generator"]],
    }
    local: dict[str, Package] = {}
    has_local = len(lock.trees) < len(lock.plugins)
    if has_local or store.state(key) != state:
        found = manifest.read(file)
        raise_all(lockfile.stale_errors(lock, found.entries, lock_file))
        local = {entry.name: entry.package for entry in found.entries if entry.package}
        _check_kernel(lock, found)
        store.remember(key, **state)
    packages = {}
    for name in lock.plugins:
        if name in lock.trees:
            packages[name] = stored_package(name, lock, store, lock_file)
        else:
            packages[name] = local[name]
    return _install(ActiveManifest(file, lock, packages), store)


def _install(manifest: ActiveManifest, store: Store | None) -> dict[str, str]:
    packages = manifest.packages
    raise_all(shadowed.foreign_modules(packages.values()))
    shadowed.unload_installed(packages.values())
    raise_all(import_hook.already_imported(packages.values()))
    checks, stored = import_checks(manifest, store)
    if store and stored and store.root not in _store_handles:
        handle = file_lock.acquire(store.root / "use.lock", shared=True)
        if handle is not None:
            _store_handles[store.root] = handle
    import_hook.install(packages.values(), checks, stored)
    active[tree.resolved(manifest.manifest)] = manifest
    return {name: package.module for name, package in packages.items()}


def import_checks(
    manifest: ActiveManifest, store: Store | None
) -> tuple[dict[str, import_hook.Check], set[str]]:
    """Return what to call before each plugin is imported, by module, and which are in the store.

    No hash of a plugin in the lock's own repository is checked: the run's record says what its
    files are.
    """
    checks = dict[str, import_hook.Check]()
    stored = set[str]()
    for name, package in manifest.packages.items():
        record: Mapping[str, Any] = {}
        if manifest.lock:
            record = manifest.lock.plugins.get(name, {})
        check: import_hook.Check | None = None
        if store and "git" in record.get("source", ()):
            check = partial(_check_stored, manifest, package, record, store)
            stored.add(package.top)
        elif "tree" in record:
            check = partial(_check_local, manifest, package, record["tree"])
        checks[package.top] = partial(_check_and_warn, manifest, package, check)
    return checks, stored


def _check_and_warn(
    manifest: ActiveManifest, package: Package, check: import_hook.Check | None
) -> Mapping[str, str] | None:
    """Verify a plugin's files, and warn of another copy in the environment."""
    hashes = None
    if check is not None:
        hashes = check()
    message = shadowed.installed_copy_warning(package)
    if message:
        _warn(manifest, package, message)
    return hashes


def _check_stored(
    manifest: ActiveManifest, package: Package, record: Mapping[str, Any], store: Store
) -> Mapping[str, str]:
    """Verify a plugin's files, and put the packages that it needs on the path."""
    full = os.environ.get(FULL_CHECK) == "full"
    name = package.name
    hashes = check_stored(name, record, store, package.where, full=full)
    if manifest.lock and manifest.lock.packages:
        from specloom_registry.packages import environment, overlay

        packages = manifest.lock.packages.get(environment.platform_tag(), {})
        folder = overlay.find(store, packages, name)
        if folder and str(folder) not in sys.path:
            sys.path.append(str(folder))
    return hashes


def check_stored(
    name: str, record: Mapping[str, Any], store: Store, where: str, *, full: bool = False
) -> Mapping[str, str]:
    """Hold a plugin in the store to its lock: its files, and what the lock says that they say.

    Returns:
        The SHA-256 of its files by path.

    Raises:
        PluginUnavailableError: It is not in the store.
        PluginIntegrityError: Its files are not those that were locked, or say something else.
    """
    locked_tree = record["tree"]
    hashes = store.check(locked_tree, f"plugin {name!r}", full=full)
    said = metadata.digest([name, record["package"]])
    if not full and store.state(locked_tree).get("package") == said:
        return hashes
    try:
        found = package_files.read(name, store.tree_folder(locked_tree), where)
    except ConfigError as e:
        raise PluginIntegrityError(e.what, where=e.where, fix=lockfile.RELOCK) from e
    _compare_with_lock(found, record["package"], where)
    store.remember(locked_tree, package=said)
    return hashes


def _compare_with_lock(found: Package, locked: Mapping[str, Any], where: str) -> None:
    """Refuse a lock that says something else of a plugin than its ``pyproject.toml``."""
    distribution = str(found.project.get("name", found.name))
    values = {
        "name": requirements.normalize_name(distribution),
        "version": found.version,
        "root": tree.resolved(found.folder).relative_to(tree.resolved(found.home)).as_posix(),
        "module": found.module,
    }
    for key, value in values.items():
        if locked[key] != value:
            raise PluginIntegrityError(
                f"E-LOCK plugin {found.name!r}: its {key} is {locked[key]!r} in the lock, but "
                f"{value!r} in the files that are locked",
                where=where,
                fix=f"restore the lock, or {lockfile.RELOCK}",
            )


def _check_local(manifest: ActiveManifest, package: Package, locked: str) -> Mapping[str, str]:
    """Report a local plugin that is no longer what was locked."""
    hashes = tree.file_hashes(package.home)
    found = tree.tree_hash(hashes)
    if found == locked:
        return hashes
    what = f"{package.name}: {locked[:11]}.. -> {found[:11]}.."
    if os.environ.get(FROZEN):
        raise PluginIntegrityError(
            f"E-LOCAL-CHANGED {what}", where=package.where, fix=lockfile.RELOCK
        )
    _warn(manifest, package, f"W-LOCAL-CHANGED {what} (edited after it was locked)")
    return hashes


def _warn(manifest: ActiveManifest, package: Package, message: str) -> None:
    """Warn once, at the plugin's line of the manifest."""
    if message in manifest.notices:
        return
    manifest.notices.append(message)
    lines = _read_bytes(manifest.manifest).decode(errors="replace").splitlines()
    number = 1
    for i, line in enumerate(lines, start=1):
        if line.strip().startswith(f"{package.name}:"):
            number = i
            break
    warnings.warn_explicit(printable(message), RegistryWarning, str(manifest.manifest), number)


def stored_package(name: str, lock: Lock, store: Store, lock_file: Path) -> Package:
    """Return a locked plugin in the store."""
    record = lock.plugins[name]
    locked = record["package"]
    home = store.tree_folder(record["tree"])
    folder = home
    if locked["root"] != ".":
        folder = home / locked["root"]
    return Package(
        name=name,
        version=locked["version"],
        module=locked["module"],
        folder=folder,
        where=str(lock_file),
        home=home,
        project={"name": locked["name"]},
    )


def _check_kernel(lock: Lock, manifest: Manifest) -> None:
    for entry in manifest.entries:
        if entry.source.git:
            found = metadata.from_record(lock.plugins[entry.name])
            metadata.check_kernel(entry.name, found, entry.where)
        elif entry.package:
            found = metadata.read_compatibility(entry.package)
            metadata.check_kernel(entry.name, found, entry.where)


def _unlocked_error(name: str, where: str) -> ConfigError:
    what = f"E-LOCK plugin {name!r} comes from Git, but there is no plugins.lock"
    return ConfigError(what, where=where, fix=lockfile.RELOCK)


def _read_bytes(file: Path) -> bytes:
    try:
        return read_regular(file)
    except OSError:
        return b""  # reading it as a manifest reports why


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
