"""A manifest, its lock and the store: what the commands do, as functions.

Each change is made in memory, fetched, checked and probed first; the lock is written before the
manifest, and both only when all went well, so that a failure leaves everything as it was.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from specloom.contract.errors import ConfigError, did_you_mean
from specloom_registry.base.faults import PluginUnavailableError
from specloom_registry.base.paths import may_exist
from specloom_registry.fetch.fetch import FetchContext
from specloom_registry.importing import activate, probe
from specloom_registry.model import edit, lockfile, manifest
from specloom_registry.model.lockfile import Lock
from specloom_registry.packages import environment
from specloom_registry.project import resolve
from specloom_registry.project import sync as syncing
from specloom_registry.store import file_lock, store, tree
from specloom_registry.store.store import Store

#: Makes a manifest's new text from the present one.
Revise: TypeAlias = Callable[[str], str]

if TYPE_CHECKING:
    from specloom_registry.model.manifest import Manifest
    from specloom_registry.model.package import Package


@dataclass
class Project:
    """One manifest.

    Args:
        file: The manifest.
        offline: Whether the network may not be used.
        allow_file: Whether a local repository may be named by its URL.
        probe_imports: Whether plugins are imported once, each in a process of its own.
        dry_run: Whether nothing of the project may be changed.
    """

    file: Path
    offline: bool = False
    allow_file: bool = False
    probe_imports: bool = True
    dry_run: bool = False
    store: Store = field(default_factory=Store)

    def fetch_context(self, found: Manifest) -> FetchContext:
        """Return how this manifest's plugins are fetched."""
        return FetchContext(self.store, found.options, self.offline, self.allow_file)

    def text(self) -> str:
        """Return the manifest's text; that of an empty one if there is none."""
        try:
            return self.file.read_text("utf-8")
        except FileNotFoundError:
            return edit.FIRST
        except OSError as e:
            what = f"{self.file} cannot be read: {e.strerror}"
            raise PluginUnavailableError(what, fix="make it readable") from e
        except UnicodeDecodeError as e:
            where = f"{self.file}:{e.object[: e.start].count(10) + 1}"
            raise ConfigError("is not UTF-8 text", where=where, fix="save it as UTF-8") from e

    def old_lock(self) -> Lock:
        """Return the present lock; an empty one if there is none.

        Raises:
            ConfigError: It cannot be read.
        """
        file = self.file.with_suffix(".lock")
        if may_exist(file):
            return lockfile.read(file)
        return Lock()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from changing the project."""
        key = hashlib.sha256(str(tree.resolved(self.file)).encode()).hexdigest()
        guard = self.store.folder("locks") / f"project-{key[:32]}.lock"
        with file_lock.locked(guard, self.file.name), self.store.without_gc():
            for file in self.file.parent.glob(f".{self.file.stem}.*.new"):
                file.unlink(missing_ok=True)  # of a command that was killed
            yield

    def relock(
        self, revise: Revise | None = None, accept: Collection[str] = (), *, fresh: bool = False
    ) -> Change:
        """Lock the manifest, or what it is to become, and write both.

        Args:
            revise: Makes the manifest's new text from the present one, while no other command
                may change it.
            accept: Plugins whose tags are resolved again, wherever they lead now.
            fresh: Whether every tag is resolved again.

        Raises:
            SpecloomError: Something is wrong; nothing was changed.
        """
        with self.locked():
            text = None
            if revise is not None:
                text = revise(self.text())
            found = self._candidate(text)
            context = self.fetch_context(found)
            try:
                old = self.old_lock()
            except ConfigError:  # of conflict markers, say: a new lock does not need the old one
                old = Lock()
            refresh = accept
            if fresh:
                refresh = [entry.name for entry in found.entries]
            lock = resolve.make_lock(found, context, old, refresh, accept=bool(accept))
            self.probe(found, lock, context)
            notices = [*context.notices, *_node_clashes(lock)]
            change = Change(old, lock, notices, context.fetched)
            if not self.dry_run:
                syncing.register_project(self.store, self.file)
                change.written = lockfile.write(found.lock, lock)
                is_new = not may_exist(self.file)
                if text is not None and (is_new or text != self.text()):
                    self._write(text)
            return change

    def sync(
        self, *, repair: bool = False, vendored: Path | None = None, frozen: bool = False
    ) -> syncing.Report:
        """Fill the store with what the lock names.

        With ``frozen``, or ``SPECLOOM_FROZEN``, a tag must still lead to the commit that is locked.

        Raises:
            SpecloomError: Something is not available, or is not what was locked.
        """
        found, lock = syncing.read(self.file)
        context = self.fetch_context(found)
        context.frozen = frozen or bool(os.environ.get(activate.FROZEN))
        if self.dry_run:
            return self._planned_sync(lock)
        with self.store.without_gc():
            report = syncing.sync(found, lock, context, repair=repair, vendored=vendored)
            self.probe(found, lock, context)
        report.notices = list(context.notices)
        return report

    def _planned_sync(self, lock: Lock) -> syncing.Report:
        """Return what would be fetched, and say how large the packages are."""
        missing = [name for name, one in lock.trees.items() if not self.store.has_tree(one)]
        present = sorted(lock.trees.keys() - set(missing))
        packages = self._announce_packages(_pins(lock))
        return syncing.Report(fetched=missing, present=present, packages=packages)

    def _announce_packages(self, pins: Sequence[Mapping[str, Any]]) -> list[str]:
        """Say which packages would be downloaded and how large they are; return them."""
        from specloom_registry.packages import overlay, progress

        missing = overlay.not_fetched(self.store, pins)
        if missing:
            progress.announce(missing)
        return [progress.describe(pin) for pin in missing]

    def probe(self, found: Manifest, lock: Lock, context: FetchContext) -> None:
        """Install the packages that plugins need, and import each plugin in a process of its own.

        Where nothing may be changed, it is said instead how large the packages are.

        Raises:
            PluginError: One cannot be imported.
        """
        packages = self.packages(found, lock)
        pins = _pins(lock)
        if self.dry_run:
            self._announce_packages(pins)
            return
        if pins:
            from specloom_registry.packages import overlay

            pip = found.options.pip
            folder = overlay.install(self.store, pins, pip, offline=context.offline)
            context.notices += overlay.pth_warnings(folder)
        if self.probe_imports:
            probe.probe(packages, lock, self.store)

    def packages(self, found: Manifest, lock: Lock) -> dict[str, Package]:
        """Return every plugin, in its folder or in the store."""
        packages = {}
        for entry in found.entries:
            package = entry.package
            if package is None:
                where = Path(entry.where)
                package = activate.stored_package(entry.name, lock, self.store, where)
            packages[entry.name] = package
        return packages

    def find_line(self, name: str) -> dict[str, Any]:
        """Return what the manifest says of a plugin.

        Raises:
            ConfigError: It names no such plugin.
        """
        entries = {entry.name: entry for entry in manifest.read(self.file).entries}
        if name not in entries:
            fix = did_you_mean(name, entries, otherwise="add it: specloom plugins add")
            raise ConfigError(f"E-NAME {self.file} names no plugin {name!r}", fix=fix)
        return entries[name].to_dict()

    def _candidate(self, text: str | None) -> Manifest:
        if text is None:
            return manifest.read(self.file)
        return manifest.parse(text, self.file)

    def _write(self, text: str) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            store.replace_file(self.file, text.encode())
        except OSError as e:
            what = f"E-DISK {self.file} cannot be written: {e.strerror}"
            raise PluginUnavailableError(what, fix="make the folder writable, or make room") from e


@dataclass
class Change:
    """What locking did.

    Args:
        old: The lock before.
        new: The lock now.
        notices: Warnings for the user.
        fetched: The plugins that were fetched.
        written: Whether the lock's file changed.
    """

    old: Lock
    new: Lock
    notices: list[str]
    fetched: list[str]
    written: bool = False

    def rows(self) -> list[dict[str, Any]]:
        """Return what changed, plugin by plugin."""
        rows = []
        for name in sorted(self.old.plugins.keys() | self.new.plugins.keys()):
            before = self.old.plugins.get(name)
            after = self.new.plugins.get(name)
            if before == after:
                continue
            row: dict[str, Any] = {"name": name, "was": _short(before), "now": _short(after)}
            if before and after:
                row |= _node_changes(before.get("nodes", {}), after.get("nodes", {}))
            rows.append(row)
        return rows


def _pins(lock: Lock) -> list[Mapping[str, Any]]:
    """Return the packages that the lock has for this platform."""
    pins: list[Mapping[str, Any]] = lock.packages.get(environment.platform_tag(), {}).get(
        "pins", []
    )
    return pins


def _short(record: Mapping[str, Any] | None) -> str:
    """Return version, tag or folder, and commit of a plugin; empty if there is none."""
    if record is None:
        return ""
    source = record["source"]
    place = source.get("tag") or source.get("path", "")
    if "commit" in source:
        place = f"{place} {source['commit'][:12]}"
    return f"{record['package']['version']} ({place})"


def _node_changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the nodes that changed, are gone and are new; kinds without a node are absent."""
    common = before.keys() & after.keys()
    names = {
        "changed": sorted(name for name in common if before[name] != after[name]),
        "gone": sorted(before.keys() - after.keys()),
        "new": sorted(after.keys() - before.keys()),
    }
    return {kind: found for kind, found in names.items() if found}


def _node_clashes(lock: Lock) -> Iterator[str]:
    """Yield a warning for each node that several plugins offer."""
    references = dict[str, list[str]]()
    for name, record in sorted(lock.plugins.items()):
        for node in record.get("nodes", {}):
            references.setdefault(node, []).append(f"{name}.{node}")
    for node, found in sorted(references.items()):
        if len(found) > 1:
            yield f"W-NODE-CLASH {node!r} is offered by several plugins: write {' or '.join(found)}"
