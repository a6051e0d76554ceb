"""What a run does with a manifest and its lock: nothing is fetched, installed or written."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, SpecloomError, printable, raise_all
from specloom.plugins import RESOLVER, LocatedModule, installed
from specloom_registry.base.faults import PluginIntegrityError, RegistryWarning
from specloom_registry.base.ownership import check_owner
from specloom_registry.base.paths import may_exist, read_regular
from specloom_registry.importing import import_hook, shadowed
from specloom_registry.model import lockfile, metadata, requirements
from specloom_registry.model import package as package_files
from specloom_registry.model.package import Package
from specloom_registry.packages import unmet
from specloom_registry.store import file_lock, tree
from specloom_registry.store.store import Store

if TYPE_CHECKING:
    from specloom_registry.model.lockfile import Lock
    from specloom_registry.model.manifest import Manifest

FULL_CHECK = "SPECLOOM_VERIFY"
FROZEN = "SPECLOOM_FROZEN"


@dataclass(frozen=True)
class Recorded:
    """What a run's record says of the manifest that the run used.

    Args:
        manifest: The manifest's file.
        text: Its text.
        lock: Its lock.
    """

    manifest: Path
    text: str
    lock: Lock


@dataclass
class ActiveManifest:
    """A manifest as a run uses it.

    Args:
        manifest: The manifest's file.
        lock: Its lock; None if it has none.
        packages: Its plugins.
        notices: The warnings that were shown.
        installed: The modules of installed plugins that count, too.
        recorded: What the record of a run says of its manifest, if ``manifest`` is that record.
        copies: The folders of the environment's own copies of the plugins, by name.
    """

    manifest: Path
    lock: Lock | None
    packages: dict[str, Package]
    notices: list[str] = field(default_factory=list)
    installed: dict[str, str] = field(default_factory=dict)
    recorded: Recorded | None = None
    copies: dict[str, Path] = field(default_factory=dict)


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
    found, store = read_active(file)
    return install(found, store)


def read_active(file: Path) -> tuple[ActiveManifest, Store | None]:
    """Read a manifest, its lock and where its plugins lie; nothing is made importable.

    Raises:
        ConfigError: The manifest, its lock, or a plugin's folder is not as it should be.
        PluginIntegrityError: The manifest, its lock or the store belongs to another user.
    """
    check_owner(file, "the manifest")
    lock_file = file.with_suffix(".lock")
    if may_exist(lock_file):
        return _read_locked(file, lock_file)
    return _read_unlocked(file), None


def _read_unlocked(file: Path) -> ActiveManifest:
    """Read a manifest without a lock, which may name local plugins only."""
    from specloom_registry.model import manifest

    found = manifest.read(file)
    entries = found.entries
    remote = [entry for entry in entries if entry.source.git]
    if remote:
        raise _unlocked_error([entry.name for entry in remote], remote[0].where)
    packages = {entry.name: entry.package for entry in entries if entry.package}
    raise_all(_unusable(packages))
    active_manifest = ActiveManifest(file, None, packages)
    if found.installed:
        active_manifest.installed = _installed_modules(packages)
    return active_manifest


def _unusable(packages: Mapping[str, Package]) -> list[SpecloomError]:
    """Return an error for each plugin that needs another kernel, and what else it lacks."""
    errors: list[SpecloomError] = []
    for name, package in packages.items():
        compatibility = metadata.read_compatibility(package)
        try:
            metadata.check_kernel(name, compatibility, package.where)
        except ConfigError as e:
            errors.append(e)
            errors += unmet.unmet_errors(package, packages)
    return errors


def _read_locked(file: Path, lock_file: Path) -> tuple[ActiveManifest, Store]:
    """Read a manifest with a lock; it is parsed only if something has changed since."""
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
        raise_all(lockfile.stale_installed(lock, found, lock_file))
        local = {entry.name: entry.package for entry in found.entries if entry.package}
        _check_kernel(lock, found)
        store.remember(key, **state)
    packages = {}
    for name in lock.plugins:
        if name in lock.trees:
            packages[name] = stored_package(name, lock, store, lock_file)
        else:
            packages[name] = local[name]
    active_manifest = ActiveManifest(file, lock, packages)
    if lock.installed is not None:
        active_manifest.installed = _installed_modules(packages)
        _check_installed(active_manifest, lock.installed)
    return active_manifest, store


def _installed_modules(packages: Mapping[str, Package]) -> dict[str, str]:
    """Return the modules of the installed plugins, without those that the manifest names."""
    modules = installed()
    return {
        name: module
        for name, module in modules.items()
        if name not in packages and name != RESOLVER
    }


def _check_installed(manifest: ActiveManifest, locked: Mapping[str, str]) -> None:
    """Report installed plugins that do not have the versions that were locked."""
    from specloom_registry.packages import environment

    versions = environment.installed_plugins()
    differing = []
    for name, version in sorted(locked.items()):
        now = versions.get(name, "none")
        if name not in manifest.packages and now != version:
            differing.append(f"{name} {version}, here is {now}")
    if not differing:
        return
    what = f"the lock was made with {'; '.join(differing)}"
    where = str(manifest.manifest)
    if os.environ.get(FROZEN):
        raise PluginIntegrityError(f"E-INSTALLED {what}", where=where, fix=lockfile.RELOCK)
    _warn_at(manifest, where, 1, f"W-INSTALLED-VERSION {what}")


def install(manifest: ActiveManifest, store: Store | None) -> dict[str, str]:
    """Make the plugins of a manifest importable; return the module of each, by plugin name.

    Raises:
        PluginError: A plugin was already imported from elsewhere in this process.
    """
    packages = manifest.packages
    manifest.copies = shadowed.installed_folders(packages.values())
    raise_all(shadowed.foreign_modules(packages.values(), manifest.copies))
    raise_all(import_hook.already_imported(packages.values()))
    checks, stored = import_checks(manifest, store)
    if store and stored and store.root not in _store_handles:
        handle = file_lock.acquire(store.root / "use.lock", shared=True)
        if handle is not None:
            _store_handles[store.root] = handle
    import_hook.install(packages.values(), checks, stored)
    active[tree.resolved(manifest.manifest)] = manifest
    located = {
        name: LocatedModule(package.module, package.folder) for name, package in packages.items()
    }
    return {**manifest.installed, **located}


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
    copy = manifest.copies.get(package.name)
    if copy is not None:
        message = shadowed.installed_copy_warning(package, copy)
        if message:
            _warn(manifest, package, message)
    message = unmet.unmet_warning(package, manifest.packages)
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
    state = store.state(locked_tree)
    hashes = store.check(locked_tree, f"plugin {name!r}", full=full, state=state)
    said = metadata.digest([name, record["package"]])
    if not full and state.get("package") == said:
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
    lines = _read_bytes(manifest.manifest).decode(errors="replace").splitlines()
    number = 1
    for i, line in enumerate(lines, start=1):
        if line.strip().startswith(f"{package.name}:"):
            number = i
            break
    _warn_at(manifest, str(manifest.manifest), number, message)


def _warn_at(manifest: ActiveManifest, place: str, number: int, message: str) -> None:
    """Warn once, at a line of a file."""
    if message in manifest.notices:
        return
    manifest.notices.append(message)
    warnings.warn_explicit(printable(message), RegistryWarning, place, number)


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


def _unlocked_error(names: Sequence[str], where: str) -> ConfigError:
    plugins = f"plugin {names[0]!r} comes"
    if len(names) > 1:
        plugins = f"plugin {names[0]!r} and {len(names) - 1} more come"
    what = f"E-LOCK {plugins} from Git, but there is no plugins.lock"
    return ConfigError(what, where=where, fix=lockfile.RELOCK)


def _read_bytes(file: Path) -> bytes:
    try:
        return read_regular(file)
    except OSError:
        return b""  # reading it as a manifest reports why


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
