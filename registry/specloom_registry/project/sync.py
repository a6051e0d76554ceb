"""Fill the store with what a lock names. The lock itself is never changed here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import raise_all
from specloom_registry.base.faults import PluginIntegrityError, PluginUnavailableError
from specloom_registry.base.parallel import all_of
from specloom_registry.fetch import fetch
from specloom_registry.model import lockfile, manifest
from specloom_registry.packages import environment, overlay
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom_registry.fetch.fetch import Fetching
    from specloom_registry.model.lockfile import Lock
    from specloom_registry.model.manifest import Manifest
    from specloom_registry.store.store import Store


@dataclass
class Report:
    """What was done: names of plugins, and what the user should know of."""

    fetched: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    repaired: dict[str, str] = field(default_factory=dict)
    packages: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def read(file: Path) -> tuple[Manifest, Lock]:
    """A manifest and the lock that belongs to it.

    Raises:
        ConfigError: Either is wrong, or they disagree.
    """
    found = manifest.manifest(file)
    lock = lockfile.read(found.lock)
    raise_all(lockfile.stale(lock, found.entries, found.lock))
    return found, lock


def sync(
    found: Manifest,
    lock: Lock,
    how: Fetching,
    *,
    repair: bool = False,
    vendored: Path | None = None,
) -> Report:
    """Fetch what the store lacks of a lock.

    Raises:
        PluginUnavailableError: Something cannot be had; what could is in the store.
        PluginIntegrityError: Something is not what was locked.
    """
    report, where = Report(), {entry.name: entry for entry in found.entries}
    trees = lock.trees
    for name, one in trees.items():
        if how.store.has(one):
            _hold(how.store, name, one, report, repair=repair)
    if vendored is not None:
        for one in sorted({one for one in trees.values() if not how.store.has(one)}):
            _take_over(how.store, vendored, one)

    def work(name: str) -> bool:
        entry = where[name]
        return fetch.obtain(how, name, entry.source, lock.plugins[name], entry.where)

    new = all_of(trees, work)
    report.fetched = [name for name, is_new in zip(trees, new, strict=True) if is_new]
    report.present = [name for name, is_new in zip(trees, new, strict=True) if not is_new]
    pins = lock.packages.get(environment.platform_tag(), {}).get("pins", [])
    if pins:
        if vendored is not None:
            found_links = ["--no-index", "--find-links", str(vendored / "wheels")]
        options = found_links if vendored is not None else found.options.pip
        overlay.install(how.store, pins, options, offline=how.offline)
        report.packages = [f"{one['name']} {one['version']}" for one in pins]
    remember_root(how.store, found.file)
    report.notices = list(how.notices)
    return report


def remember_root(store: Store, file: Path) -> None:
    """Note that a project uses the store, so that gc keeps what its lock names."""
    from specloom_registry.store.store import replace

    place = str(tree.resolved(file))
    name = hashlib.sha256(place.encode()).hexdigest()
    folder = store.folder("roots")
    with store.writing():
        target = folder / f"{name}.path"
        if not target.is_file():
            replace(target, place.encode(), durable=False)


def _hold(store: Store, name: str, one: str, report: Report, *, repair: bool) -> None:
    """Check a tree that is there; with ``repair``, make room for a good one."""
    try:
        store.check(one, f"plugin {name!r}", full=repair)
    except PluginIntegrityError:
        if not repair:
            raise
        if store.has(one):
            report.repaired[name] = str(store.quarantine(one))


def _take_over(store: Store, vendored: Path, one: str) -> None:
    """Copy a tree from a vendor folder, if it has the right bytes there."""
    place = vendored / "trees" / one
    if not tree.is_dir(place):
        return
    with store.stage() as stage:
        hashes = dict[str, str]()
        with store.writing():
            for path, entry in tree.everything(place):
                target = stage / "tree" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                data = Path(entry.path).read_bytes()
                target.write_bytes(data)
                hashes[path] = hashlib.sha256(data).hexdigest()
        if tree.tree_hash(hashes) != one:
            raise PluginIntegrityError(
                f"E-HASH {place} does not hold what its name says; nothing was changed",
                fix="copy the vendor folder again from where it was made",
            )
        with store.writing():
            store.publish(stage / "tree", store.tree(one))
        store.remember(one, files=hashes, signature=tree.signature(store.tree(one)))


def in_use(store: Store) -> dict[str, set[str]]:
    """The trees, overlays and wheels that locks of known projects name."""
    used: dict[str, set[str]] = {"trees": set(), "overlays": set(), "wheels": set()}
    for root in sorted((store.root / "roots").glob("*.path")):
        lock = _lock_of(root)
        if lock is None:
            continue
        one = lockfile.read(lock)
        used["trees"] |= set(one.trees.values())
        for platform in one.packages.values():
            pins: list[dict[str, Any]] = platform["pins"]
            used["overlays"].add(overlay.digest(pins))
            used["wheels"] |= {f"sha256-{pin['sha256']}" for pin in pins}
    return used


def _lock_of(root: Path) -> Path | None:
    """The lock of the project that a note in the store names; None where there is none.

    Raises:
        PluginUnavailableError: Nobody can say, so that nothing may be deleted.
    """
    try:
        lock = Path(root.read_bytes().decode()).with_suffix(".lock")
        return lock if lock.is_file() else None
    except ValueError:  # no path of a project: nothing writes such a note
        return None
    except OSError as e:
        what = f"E-DISK {e.filename or root} cannot be read: {e.strerror}; nothing was deleted"
        raise PluginUnavailableError(what, fix="make it readable for this user") from e
