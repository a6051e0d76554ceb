"""A manifest, its lock and the store: what the commands do, as functions.

Each change is made in memory, fetched, checked and probed first; the lock is written before the
manifest, and both only when all went well, so that a failure leaves everything as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, did_you_mean
from specloom_registry.base.faults import PluginUnavailableError
from specloom_registry.fetch.fetch import Fetching
from specloom_registry.importing import activate, probe
from specloom_registry.model import edit, lockfile, manifest
from specloom_registry.model.lockfile import Lock
from specloom_registry.packages import environment
from specloom_registry.project import resolve
from specloom_registry.project import sync as syncing
from specloom_registry.store import file_lock, store, tree
from specloom_registry.store.store import Store

if TYPE_CHECKING:
    from specloom_registry.model.manifest import Manifest
    from specloom_registry.model.package import Package


@dataclass
class Project:
    """One manifest.

    Args:
        file: The manifest.
        offline: Whether nothing may be asked of another machine.
        allow_file: Whether a local repository may be named by its URL.
        probed: Whether plugins are imported once, each in a process of its own.
        dry: Whether nothing of the project may be changed.
    """

    file: Path
    offline: bool = False
    allow_file: bool = False
    probed: bool = True
    dry: bool = False
    store: Store = field(default_factory=Store)

    def how(self, found: Manifest) -> Fetching:
        """How this manifest's plugins are fetched."""
        return Fetching(self.store, found.options, self.offline, self.allow_file)

    def text(self) -> str:
        """The manifest's text; an empty one's where there is none."""
        try:
            return self.file.read_text("utf-8")
        except FileNotFoundError:
            return edit.EMPTY
        except OSError as e:
            what = f"{self.file} cannot be read: {e.strerror}"
            raise PluginUnavailableError(what, fix="make it readable") from e
        except UnicodeDecodeError as e:
            where = f"{self.file}:{e.object[: e.start].count(10) + 1}"
            raise ConfigError("is not UTF-8 text", where=where, fix="save it as UTF-8") from e

    def old_lock(self) -> Lock:
        """The lock there is; an empty one where there is none.

        Raises:
            ConfigError: It cannot be read.
        """
        file = self.file.with_suffix(".lock")
        return lockfile.read(file) if lockfile.is_there(file) else Lock()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other commands from changing the project meanwhile."""
        key = hashlib.sha256(str(tree.resolved(self.file)).encode()).hexdigest()
        guard = self.store.folder("locks") / f"project-{key[:32]}.lock"
        with file_lock.locked(guard, self.file.name), self.store.kept():
            for left in self.file.parent.glob(f".{self.file.stem}.*.new"):
                left.unlink(missing_ok=True)  # of a command that was killed
            yield

    def relock(
        self, text: str | None = None, accept: Collection[str] = (), *, fresh: bool = False
    ) -> Change:
        """Lock the manifest, or what its text is to become, and write both.

        Args:
            text: The manifest's new text.
            accept: Plugins whose tags are asked anew, wherever they lead now.
            fresh: Whether every tag is asked anew.

        Raises:
            SpecloomError: Something is wrong; nothing was changed.
        """
        with self.alone():
            found = self._candidate(text)
            how = self.how(found)
            try:
                old = self.old_lock()
            except ConfigError:  # conflict markers, say: what it held is not needed to make it anew
                old = Lock()
            names = [entry.name for entry in found.entries] if fresh else accept
            lock = resolve.make(found, how, old, names, accept=bool(accept))
            self.probe(found, lock, how)
            change = Change(old, lock, [*how.notices, *_clashes(lock)], how.fetched)
            if not self.dry:
                syncing.remember_root(self.store, self.file)
                change.written = lockfile.write(found.lock, lock)
                if text is not None and text != self.text():
                    self._write(text)
            return change

    def sync(self, *, repair: bool = False, vendored: Path | None = None) -> syncing.Report:
        """Fill the store with what the lock names.

        Raises:
            SpecloomError: Something cannot be had, or is not what was locked.
        """
        found, lock = syncing.read(self.file)
        how = self.how(found)
        if self.dry:
            trees = lock.trees
            missing = [name for name, one in trees.items() if not self.store.has(one)]
            return syncing.Report(fetched=missing, present=sorted(trees.keys() - set(missing)))
        with self.store.kept():
            report = syncing.sync(found, lock, how, repair=repair, vendored=vendored)
            self.probe(found, lock, how)
        report.notices = list(how.notices)
        return report

    def probe(self, found: Manifest, lock: Lock, how: Fetching) -> None:
        """Import each plugin once in a process of its own.

        Raises:
            PluginError: One cannot be imported.
        """
        packages = self.packages(found, lock)
        pins = lock.packages.get(environment.platform_tag(), {}).get("pins", [])
        if pins:
            from specloom_registry.packages import overlay

            place = overlay.install(self.store, pins, found.options.pip, offline=how.offline)
            how.notices += overlay.remarks(place)
        if self.probed:
            probe.probe(packages, lock, self.store)

    def packages(self, found: Manifest, lock: Lock) -> dict[str, Package]:
        """Every plugin, in its folder or in the store."""
        return {
            entry.name: entry.package
            or activate.stored_package(entry.name, lock, self.store, Path(entry.where))
            for entry in found.entries
        }

    def need(self, name: str) -> dict[str, Any]:
        """What the manifest says of a plugin.

        Raises:
            ConfigError: It names no such plugin.
        """
        named = {one.name: one for one in manifest.manifest(self.file).entries}
        if name not in named:
            fix = did_you_mean(name, named, otherwise="add it: specloom plugins add")
            raise ConfigError(f"E-NAME {self.file} names no plugin {name!r}", fix=fix)
        return dict(named[name].written)

    def _candidate(self, text: str | None) -> Manifest:
        if text is None:
            return manifest.manifest(self.file)
        return manifest.of_text(text, self.file)

    def _write(self, text: str) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            store.replace(self.file, text.encode())
        except OSError as e:
            what = f"E-DISK {self.file} cannot be written: {e.strerror}"
            raise PluginUnavailableError(what, fix="make the folder writable, or make room") from e


@dataclass
class Change:
    """What locking did.

    Args:
        old: The lock before.
        new: The lock now.
        notices: What the user should know of.
        fetched: The plugins that were fetched.
        written: Whether the lock's file changed.
    """

    old: Lock
    new: Lock
    notices: list[str]
    fetched: list[str]
    written: bool = False

    def lines(self) -> list[dict[str, Any]]:
        """What changed, plugin by plugin."""
        found = []
        for name in sorted(self.old.plugins.keys() | self.new.plugins.keys()):
            before, after = self.old.plugins.get(name), self.new.plugins.get(name)
            if before != after:
                found.append(
                    {
                        "name": name,
                        "was": _short(before),
                        "now": _short(after),
                        **_nodes(before or {}, after or {}),
                    }
                )
        return found


def _short(record: Mapping[str, Any] | None) -> str:
    if record is None:
        return ""
    source = record["source"]
    version = record["package"]["version"]
    tag = source.get("tag") or source.get("path", "")
    return f"{version} ({tag}{' ' + source['commit'][:12] if 'commit' in source else ''})"


def _nodes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    was, now = before.get("nodes", {}), after.get("nodes", {})
    if not before or not after:
        return {}
    changed = sorted(name for name in was.keys() & now.keys() if was[name] != now[name])
    gone, new = sorted(was.keys() - now.keys()), sorted(now.keys() - was.keys())
    return {
        key: names for key, names in (("changed", changed), ("gone", gone), ("new", new)) if names
    }


def _clashes(lock: Lock) -> Iterator[str]:
    offered = dict[str, list[str]]()
    for name, record in sorted(lock.plugins.items()):
        for node in record.get("nodes", {}):
            offered.setdefault(node, []).append(f"{name}.{node}")
    for node, full in sorted(offered.items()):
        if len(full) > 1:
            yield f"W-NODE-CLASH {node!r} is offered by several plugins: write {' or '.join(full)}"
