"""Make a lock from a manifest: fetch what is new, keep what has not changed, check the whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, SpecloomError, raise_all
from specloom_registry.base.faults import PluginIntegrityError
from specloom_registry.base.parallel import all_of
from specloom_registry.fetch import candidates, fetch
from specloom_registry.model import metadata, package
from specloom_registry.model.lockfile import Lock
from specloom_registry.model.manifest import clash
from specloom_registry.packages import compatibility, pinning
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom_registry.fetch.fetch import Fetching
    from specloom_registry.model.entry import Entry
    from specloom_registry.model.manifest import Manifest
    from specloom_registry.model.metadata import Facts


@dataclass(frozen=True)
class Locked:
    """One plugin on its way into the lock."""

    entry: Entry
    record: dict[str, Any]
    facts: Facts
    top: str


def make(
    manifest: Manifest,
    how: Fetching,
    old: Lock | None = None,
    anew: Collection[str] = (),
    *,
    accept: bool = False,
) -> Lock:
    """The lock of a manifest; what ``old`` has of unchanged plugins is kept but for ``anew``.

    A tag that was moved since is an error, unless the user said to ``accept`` it.

    Raises:
        SpecloomError: A plugin cannot be had or used, or two cannot be used together.
    """
    old = old or Lock()
    kept = {
        entry.name: old.plugins[entry.name]
        for entry in manifest.entries
        if entry.source.git
        and entry.name not in anew
        and old.manifest.get(entry.name) == entry.written
    }
    known = {normal for name in manifest.entries if (normal := f"{metadata.PREFIX}{name.name}")}

    def one(entry: Entry) -> Locked:
        if entry.name in kept:
            return _kept(entry, kept[entry.name])
        if entry.package is not None:
            return _local(entry, known, manifest.file)
        found = _remote(entry, known, how)
        if not accept and old.manifest.get(entry.name) == entry.written:
            _hold_to(entry, old.plugins[entry.name]["source"], found.record["source"])
        return found

    found = all_of(manifest.entries, one)
    raise_all(list(_apart(found)))
    raise_all(list(compatibility.plugin_problems((one.entry, one.facts) for one in found)))
    packages = pinning.pinned_packages(
        [(one.entry, one.facts) for one in found], how, manifest.options.pip, old.packages
    )
    return Lock(
        {entry.name: entry.written for entry in manifest.entries},
        {one.entry.name: one.record for one in found},
        packages,
    )


def inside(manifest: Path, folder: Path) -> bool:
    """Whether a folder lies in the repository of the manifest, whose lock cannot hold its hash."""
    base = tree.resolved(manifest).parent
    root = next((one for one in (base, *base.parents) if (one / ".git").exists()), base)
    return folder.is_relative_to(root)


def _kept(entry: Entry, record: dict[str, Any]) -> Locked:
    known = metadata.from_record(record)
    metadata.check_kernel(entry.name, known, entry.where)
    return Locked(entry, record, known, record["package"]["module"].partition(".")[0])


def _local(entry: Entry, known: Collection[str], manifest: Path) -> Locked:
    one = entry.package
    assert one is not None
    found = metadata.facts(one, entry.extras, known)
    metadata.check_kernel(entry.name, found, entry.where)
    record: dict[str, Any] = {
        "source": entry.source.written,
        "package": {"name": found.distribution, "version": found.version},
    }
    if not inside(manifest, one.home):
        hashes = tree.file_hashes(one.home)
        record |= {"tree": tree.tree_hash(hashes), "files": len(hashes)}
    return Locked(entry, record, found, one.top)


def _remote(entry: Entry, known: Collection[str], how: Fetching) -> Locked:
    exported = fetch.resolve(how, entry.name, entry.source, entry.where)
    one = package.read(entry.name, how.store.tree(exported.tree), entry.where)
    found = metadata.facts(one, entry.extras, known)
    metadata.check_version(entry.name, entry.source, found.version, entry.where)
    try:
        metadata.check_kernel(entry.name, found, entry.where)
    except ConfigError:
        newest = candidates.newest_that_fits(how, entry.name, entry.source)
        metadata.check_kernel(entry.name, found, entry.where, newest)
    source = {**entry.source.written, "commit": exported.commit, "git_tree": exported.git_tree}
    record = {
        "source": {**source, "tag_object": exported.tag_object},
        "tree": exported.tree,
        "files": len(exported.hashes),
        "bytes": exported.bytes,
        "package": {
            "name": found.distribution,
            "version": found.version,
            "requires_python": found.python,
            "root": one.folder.relative_to(one.home).as_posix(),
            "module": one.module,
        },
        "api": found.api,
        "requires_plugins": dict(sorted(found.plugins.items())),
        "dependencies": list(found.dependencies),
        "nodes": dict(found.nodes),
    }
    return Locked(entry, record, found, one.top)


def _hold_to(entry: Entry, was: dict[str, str], now: dict[str, str]) -> None:
    if was["commit"] != now["commit"]:
        raise PluginIntegrityError(
            f"E-TAG-MOVED plugin {entry.name!r}: tag {entry.source.tag!r}: locked "
            f"{was['commit'][:12]}, remote now {now['commit'][:12]}; nothing was changed",
            where=entry.where,
            fix="find out who moved it, then accept it: "
            f"specloom plugins update {entry.name} --accept-moved-tag",
        )


def _apart(found: Iterable[Locked]) -> Iterable[SpecloomError]:
    first: dict[str, str] = {}
    for one in found:
        if first.setdefault(one.top, one.entry.name) != one.entry.name:
            yield clash(one.top, first[one.top], one.entry.name, one.entry.where)
