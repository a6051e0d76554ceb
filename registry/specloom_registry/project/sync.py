"""Fill the store with what a lock names. The lock itself is never changed here."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import raise_all
from specloom_registry.base.faults import PluginIntegrityError, PluginUnavailableError
from specloom_registry.base.parallel import map_parallel
from specloom_registry.base.paths import is_folder, read_regular, unreadable
from specloom_registry.fetch import fetch
from specloom_registry.importing import activate
from specloom_registry.model import lockfile, manifest
from specloom_registry.packages import environment, overlay
from specloom_registry.store import tree
from specloom_registry.store.store import replace_file

if TYPE_CHECKING:
    from specloom_registry.fetch.fetch import FetchContext
    from specloom_registry.model.lockfile import Lock
    from specloom_registry.model.manifest import Manifest
    from specloom_registry.store.store import Store


@dataclass
class Report:
    """What was done: names of plugins and packages, and warnings for the user."""

    fetched: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    repaired: dict[str, str] = field(default_factory=dict)
    packages: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def read(file: Path) -> tuple[Manifest, Lock]:
    """Read a manifest and the lock that belongs to it.

    Raises:
        ConfigError: Either is wrong, or they disagree.
    """
    found = manifest.read(file)
    lock = lockfile.read(found.lock)
    raise_all(lockfile.stale_errors(lock, found.entries, found.lock))
    return found, lock


def sync(
    found: Manifest,
    lock: Lock,
    context: FetchContext,
    *,
    repair: bool = False,
    vendored: Path | None = None,
) -> Report:
    """Fetch what the store lacks of a lock.

    Raises:
        PluginUnavailableError: Something is not available; everything else is in the store.
        PluginIntegrityError: Something is not what was locked.
    """
    report = Report()
    store = context.store
    for plugin, name in lock.trees.items():
        if store.has_tree(name):
            _check_tree(store, plugin, name, report, repair=repair)
    if vendored is not None:
        for name in sorted(set(lock.trees.values())):
            if not store.has_tree(name):
                _copy_vendored_tree(store, vendored, name)
    _fetch_trees(found, lock, context, report)
    for plugin in lock.trees:
        activate.check_stored(plugin, lock.plugins[plugin], store, str(found.lock))
    pins = lock.packages.get(environment.platform_tag(), {}).get("pins", [])
    if pins:
        pip: Sequence[str] = found.options.pip
        if vendored is not None:
            pip = ["--no-index", "--find-links", str(vendored / "wheels")]
        overlay.install(store, pins, pip, offline=context.offline)
        report.packages = [f"{pin['name']} {pin['version']}" for pin in pins]
    _register_if_possible(store, found.file, report)
    report.notices = list(context.notices)
    return report


def _fetch_trees(found: Manifest, lock: Lock, context: FetchContext, report: Report) -> None:
    entries = {entry.name: entry for entry in found.entries}

    def fetch_one(name: str) -> bool:
        entry = entries[name]
        return fetch.fetch_locked(context, name, entry.source, lock.plugins[name], entry.where)

    names = list(lock.trees)
    missing = [
        entries[name].source for name in names if not context.store.has_tree(lock.trees[name])
    ]
    with fetch.shared_repositories(context, missing):
        results = map_parallel(fetch_one, names)
    for name, fetched in zip(names, results, strict=True):
        if fetched:
            report.fetched.append(name)
        else:
            report.present.append(name)


def register_project(store: Store, file: Path) -> None:
    """Record that a project uses the store, so that gc spares what its lock names."""
    path = str(tree.resolved(file)).encode()
    note = store.folder("roots") / f"{hashlib.sha256(path).hexdigest()}.path"
    with store.disk_errors():
        if not note.is_file():
            replace_file(note, path, durable=False)


def _register_if_possible(store: Store, file: Path, report: Report) -> None:
    """Register a project; a complete store that may only be read needs no note, for want of gc.

    Raises:
        PluginUnavailableError: The store changed, but the note cannot be written.
    """
    try:
        register_project(store, file)
    except PluginUnavailableError:
        if report.fetched or report.repaired:
            raise


def _check_tree(store: Store, plugin: str, name: str, report: Report, *, repair: bool) -> None:
    """Check a tree that is there; with ``repair``, move a damaged one aside."""
    try:
        store.check(name, f"plugin {plugin!r}", full=repair)
    except PluginIntegrityError:
        if not repair:
            raise
        if store.has_tree(name):
            report.repaired[plugin] = str(store.quarantine(name))


def _copy_vendored_tree(store: Store, vendored: Path, name: str) -> None:
    """Copy a tree from a vendor folder, if it is there.

    Raises:
        PluginIntegrityError: It has other bytes than its name says.
    """
    source = vendored / "trees" / name
    if not is_folder(source):
        return
    with store.stage() as stage:
        hashes = dict[str, str]()
        with store.disk_errors():
            for path, entry in tree.all_files(source):
                target = stage / "tree" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if entry.is_symlink():
                    raise _vendor_error(source)
                data = _read_vendored(Path(entry.path), source)
                target.write_bytes(data)
                hashes[path] = hashlib.sha256(data).hexdigest()
        if tree.tree_hash(hashes) != name:
            raise _vendor_error(source)
        folder = store.tree_folder(name)
        with store.disk_errors():
            store.publish(stage / "tree", folder)
        store.remember(name, files=hashes, signature=tree.signature(folder))


def _read_vendored(file: Path, source: Path) -> bytes:
    try:
        return read_regular(file)
    except OSError as e:
        if e.errno == errno.EINVAL:
            raise _vendor_error(source) from e
        raise unreadable(file, e) from e


def _vendor_error(source: Path) -> PluginIntegrityError:
    return PluginIntegrityError(
        f"E-HASH {source} does not hold what its name says; nothing was changed",
        fix="copy the vendor folder again from where it was made",
    )


def used_names(store: Store) -> dict[str, set[str]]:
    """Return the trees, overlays, packages and wheels that the locks of known projects name."""
    used: dict[str, set[str]] = {
        "trees": set(),
        "overlays": set(),
        "packages": set(),
        "wheels": set(),
    }
    for note in sorted((store.root / "roots").glob("*.path")):
        file = _lock_of(note)
        if file is None:
            continue
        lock = lockfile.read(file)
        used["trees"] |= set(lock.trees.values())
        for platform in lock.packages.values():
            pins: list[dict[str, Any]] = platform["pins"]
            used["overlays"].add(overlay.digest(pins))
            of_pins = {f"sha256-{pin['sha256']}" for pin in pins}
            used["packages"] |= of_pins
            used["wheels"] |= of_pins
    return used


def _lock_of(note: Path) -> Path | None:
    """Return the lock of the project that a note in the store names; None if there is none.

    Raises:
        PluginUnavailableError: It cannot be read, so that nothing may be deleted.
    """
    try:
        lock = Path(note.read_bytes().decode()).with_suffix(".lock")
        if lock.is_file():
            return lock
    except ValueError:  # not the path of a project: nothing writes such a note
        return None
    except OSError as e:
        raise unreadable(e.filename or note, e, outcome="; nothing was deleted") from e
    return None
