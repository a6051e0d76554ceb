"""Make a lock from a manifest: fetch what is new, keep what has not changed, check the whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, SpecloomError, raise_all
from specloom_registry.base.faults import PluginIntegrityError
from specloom_registry.base.parallel import map_parallel
from specloom_registry.base.paths import repository_root
from specloom_registry.fetch import candidates, fetch
from specloom_registry.importing import shadowed
from specloom_registry.model import metadata, package
from specloom_registry.model.lockfile import Lock
from specloom_registry.model.manifest import module_clash
from specloom_registry.packages import compatibility, environment, pinning
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom_registry.fetch.export import Exported
    from specloom_registry.fetch.fetch import FetchContext
    from specloom_registry.model.entry import Entry
    from specloom_registry.model.manifest import Manifest
    from specloom_registry.model.metadata import PackageMetadata
    from specloom_registry.model.package import Package


@dataclass(frozen=True)
class LockedPlugin:
    """One plugin on its way into the lock."""

    entry: Entry
    record: dict[str, Any]
    metadata: PackageMetadata
    module: str
    package: Package | None = None


def make_lock(
    manifest: Manifest,
    context: FetchContext,
    old: Lock | None = None,
    refresh: Collection[str] = (),
    *,
    accept: bool = False,
) -> Lock:
    """Lock a manifest; unchanged plugins stay as in ``old``, but for those in ``refresh``.

    A tag that was moved since is an error, unless ``accept`` allows it.

    Raises:
        SpecloomError: A plugin is not available or cannot be used, or two cannot be used together.
    """
    if old is None:
        old = Lock()
    distributions = [f"{metadata.PREFIX}{entry.name}" for entry in manifest.entries]

    def lock_one(entry: Entry) -> LockedPlugin:
        unchanged = old.manifest.get(entry.name) == entry.to_dict()
        if entry.source.git and unchanged and entry.name not in refresh:
            return _from_record(entry, old.plugins[entry.name])
        if entry.package is not None:
            return _lock_local(entry, entry.package, distributions, manifest.file)
        locked = _lock_remote(entry, distributions, context)
        if unchanged and not accept:
            before = old.plugins[entry.name]["source"]
            _check_same_commit(entry, before, locked.record["source"])
        return locked

    changed = [
        entry.source
        for entry in manifest.entries
        if entry.name in refresh or old.manifest.get(entry.name) != entry.to_dict()
    ]
    with fetch.shared_repositories(context, changed):
        found = map_parallel(lock_one, manifest.entries)
    raise_all(list(_module_clashes(found)))
    raise_all(shadowed.foreign_modules([locked.package for locked in found if locked.package]))
    pairs = [(locked.entry, locked.metadata) for locked in found]
    installed = None
    if manifest.installed:
        installed = _installed_versions(manifest)
    raise_all(list(compatibility.plugin_problems(pairs, installed)))
    return Lock(
        manifest={entry.name: entry.to_dict() for entry in manifest.entries},
        plugins={locked.entry.name: locked.record for locked in found},
        packages=pinning.pin_packages(pairs, context, manifest.options.pip, old.packages),
        installed=installed,
    )


def _installed_versions(manifest: Manifest) -> dict[str, str]:
    """Return the versions of the installed plugins that the manifest does not name."""
    named = {entry.name for entry in manifest.entries}
    versions = environment.installed_plugins()
    return {name: versions[name] for name in sorted(versions.keys() - named)}


def in_repository_of(manifest: Path, folder: Path) -> bool:
    """Check whether a folder lies in the manifest's repository: no hash of it can be locked."""
    base = tree.resolved(manifest).parent
    root = repository_root(base) or base
    return folder.is_relative_to(root)


def _from_record(entry: Entry, record: dict[str, Any]) -> LockedPlugin:
    found = metadata.from_record(record)
    metadata.check_kernel(entry.name, found, entry.where)
    module = record["package"]["module"].partition(".")[0]
    return LockedPlugin(entry, record, found, module)


def _lock_local(
    entry: Entry, plugin: Package, distributions: Collection[str], manifest: Path
) -> LockedPlugin:
    found = metadata.read_metadata(plugin, entry.extras, distributions)
    metadata.check_kernel(entry.name, found, entry.where)
    record: dict[str, Any] = {
        "source": entry.source.to_dict(),
        "package": {"name": found.distribution, "version": found.version},
    }
    if not in_repository_of(manifest, plugin.home):
        hashes = tree.file_hashes(plugin.home)
        record["tree"] = tree.tree_hash(hashes)
        record["files"] = len(hashes)
    return LockedPlugin(entry, record, found, plugin.top, plugin)


def _lock_remote(
    entry: Entry, distributions: Collection[str], context: FetchContext
) -> LockedPlugin:
    exported = fetch.fetch_tag(context, entry.name, entry.source, entry.where)
    plugin = package.read(entry.name, context.store.tree_folder(exported.tree), entry.where)
    found = metadata.read_metadata(plugin, entry.extras, distributions)
    metadata.check_version(entry.name, entry.source, found.version, entry.where)
    try:
        metadata.check_kernel(entry.name, found, entry.where)
    except ConfigError:
        newest = candidates.newest_compatible_tag(context, entry.name, entry.source)
        metadata.check_kernel(entry.name, found, entry.where, newest)
    record = _remote_record(entry, exported, plugin, found)
    return LockedPlugin(entry, record, found, plugin.top, plugin)


def _remote_record(
    entry: Entry, exported: Exported, plugin: Package, found: PackageMetadata
) -> dict[str, Any]:
    return {
        "source": {
            **entry.source.to_dict(),
            "commit": exported.commit,
            "git_tree": exported.git_tree,
            "tag_object": exported.tag_object,
        },
        "tree": exported.tree,
        "files": len(exported.hashes),
        "bytes": exported.bytes,
        "package": {
            "name": found.distribution,
            "version": found.version,
            "requires_python": found.python,
            "root": plugin.folder.relative_to(plugin.home).as_posix(),
            "module": plugin.module,
        },
        "api": found.api,
        "requires_plugins": dict(sorted(found.plugins.items())),
        "dependencies": list(found.dependencies),
        "nodes": dict(found.nodes),
    }


def _check_same_commit(entry: Entry, before: dict[str, str], now: dict[str, str]) -> None:
    """Refuse a tag that leads to another commit than the locked one."""
    if before["commit"] != now["commit"]:
        raise PluginIntegrityError(
            f"E-TAG-MOVED plugin {entry.name!r}: tag {entry.source.tag!r}: locked "
            f"{before['commit'][:12]}, remote now {now['commit'][:12]}; nothing was changed",
            where=entry.where,
            fix="find out who moved it, then accept it: "
            f"specloom plugins update {entry.name} --accept-moved-tag",
        )


def _module_clashes(plugins: Iterable[LockedPlugin]) -> Iterable[SpecloomError]:
    owners: dict[str, str] = {}
    for plugin in plugins:
        name = plugin.entry.name
        owner = owners.setdefault(plugin.module, name)
        if owner != name:
            yield module_clash(plugin.module, owner, name, plugin.entry.where)
