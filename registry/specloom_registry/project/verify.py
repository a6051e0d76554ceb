"""Queries of a locked project: is it intact, what is newer, why is something there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, SpecloomError
from specloom_registry.base.faults import PluginIntegrityError, PluginUnavailableError
from specloom_registry.base.paths import is_folder
from specloom_registry.fetch import candidates, git
from specloom_registry.importing import activate
from specloom_registry.model import lockfile, manifest, metadata, requirements
from specloom_registry.packages import environment, overlay
from specloom_registry.project import sync as syncing
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom_registry.model.entry import Entry
    from specloom_registry.project.project import Project

GOOD = "good"
NOT_CHECKED = "not checked"
CHANGED = "changed after it was locked"


def verify(project: Project, *, remote: bool) -> list[dict[str, str]]:
    """Return each plugin's state by the bytes of its files: ``good``, or what is wrong with it."""
    found, lock = syncing.read(project.file)
    rows = []
    for entry in found.entries:
        record = lock.plugins[entry.name]
        row = {"name": entry.name, "version": record["package"]["version"]}
        try:
            row["state"] = _state(project, entry, record, remote=remote)
        except SpecloomError as e:
            row["state"] = e.what
            row["fix"] = e.fix
        rows.append(row)
    try:
        overlay.find(project.store, lock.packages.get(environment.platform_tag(), {}), "")
    except SpecloomError as e:
        rows.append({"name": "packages", "version": "", "state": e.what, "fix": e.fix})
    return rows


def _state(project: Project, entry: Entry, record: dict[str, Any], *, remote: bool) -> str:
    """Return the state of one plugin.

    Raises:
        SpecloomError: The store does not hold what was locked.
    """
    if entry.source.git:
        where = str(project.file.with_suffix(".lock"))
        activate.check_stored(entry.name, record, project.store, where, full=True)
        if remote:
            return _remote_state(project, entry.source.git, entry.source.tag, record)
    elif entry.package and "tree" in record:
        locked = record["tree"]
        now = tree.tree_hash(tree.file_hashes(entry.package.home))
        if now != locked:
            return f"{CHANGED}: {locked[:11]}.. -> {now[:11]}.."
    return GOOD


def check_local(project: Project) -> None:
    """Check that local plugins are what was locked.

    Raises:
        PluginIntegrityError: One was edited.
    """
    for row in verify(project, remote=False):
        if row["state"].startswith(CHANGED):
            what = f"E-LOCAL-CHANGED {row['name']}: {row['state']}"
            raise PluginIntegrityError(what, fix=lockfile.RELOCK)


def outdated(project: Project) -> list[dict[str, str]]:
    """Return of each plugin from Git: tag, newest, newest compatible one, and whether it moved."""
    found, lock = syncing.read(project.file)
    if project.offline:
        raise PluginUnavailableError(
            "E-OFFLINE the tags of repositories cannot be listed", fix="leave out --offline"
        )
    context = project.fetch_context(found)
    rows = []
    for entry in found.entries:
        source = entry.source
        if not source.git:
            continue
        state = _remote_state(project, source.git, source.tag, lock.plugins[entry.name])
        rows.append(
            {
                "name": entry.name,
                "tag": source.tag,
                "newest": candidates.newest_tag(context, entry.name, source),
                "fits": candidates.newest_compatible_tag(context, entry.name, source),
                "note": "" if state == GOOD else state,
            }
        )
    return rows


def why(project: Project, name: str) -> list[str]:
    """Return why a package or a node is there: plugin, tag and commit, or what needs it.

    Raises:
        ConfigError: Nothing of the project needs or offers it.
    """
    found, lock = syncing.read(project.file)
    distribution = requirements.normalize_name(name)
    lines = list[str]()
    needs = list[str]()
    for entry in found.entries:
        record = lock.plugins[entry.name]
        lines += _reasons(entry, record, name)
        needs += _needs(entry, record, distribution)
    if needs:
        lines.append(f"package {distribution} <- {', '.join(sorted(needs))}")
    for platform, packages in sorted(lock.packages.items()):
        for pin in packages["pins"]:
            if pin["name"] == distribution:
                lines.append(
                    f"package {pin['name']} {pin['version']} is installed next to the environment "
                    f"on {platform}"
                )
    if not lines:
        what = f"E-NAME nothing in {project.file} needs or offers {name!r}"
        raise ConfigError(what, fix="see: specloom nodes")
    return lines


def _needs(entry: Entry, record: dict[str, Any], distribution: str) -> Iterator[str]:
    """Yield the plugin with its version and the versions of a distribution that it needs."""
    for text in _dependencies(entry, record):
        needed = requirements.parse(text)
        if needed.name == distribution:
            versions = needed.specifier or "any version"
            yield f"{entry.name} {record['package']['version']} ({versions})"


def _reasons(entry: Entry, record: dict[str, Any], name: str) -> Iterator[str]:
    """Yield how a plugin is or offers what has a name."""
    source = record["source"]
    origin = source.get("git") or source["path"]
    if "tag" in source:
        origin = f"{origin} at {source['tag']} ({source['commit'][:12]})"
    plugin = f"plugin {entry.name} {record['package']['version']} of {origin}"
    if name == entry.name:
        yield f"{plugin}, named by {entry.where}"
    for node in record.get("nodes", {}):
        reference = f"{entry.name}.{node}"
        if name in (node, reference):
            yield f"node {reference} <- {plugin}"


def info(project: Project, name: str) -> dict[str, Any]:
    """Return all that is known of one plugin, without importing it."""
    line = project.find_line(name)
    lock = lockfile.read(project.file.with_suffix(".lock"))
    record = lock.plugins.get(name, {})
    folder = ""
    present = True
    if name in lock.trees:
        path = project.store.tree_folder(record["tree"])
        folder = str(path)
        present = is_folder(path)
    return {"name": name, "manifest": line, **record, "folder": folder, "present": present}


def _remote_state(project: Project, url: str, tag: str, record: dict[str, Any]) -> str:
    """Return whether a tag is where it was when it was locked."""
    if project.offline:
        return NOT_CHECKED
    options = manifest.read(project.file).options
    try:
        now = git.tags(options.urls(url)[0], tag).get(tag)
    except git.GitError as e:
        return e.what
    if now is None:
        return f"W-TAG-GONE tag {tag} is no longer there"
    _, commit = now
    locked = record["source"]["commit"]
    if commit != locked:
        return f"W-TAG-MOVED tag {tag}: locked {locked[:12]}, remote now {commit[:12]}"
    return GOOD


def _dependencies(entry: Entry, record: dict[str, Any]) -> list[str]:
    if "dependencies" in record:
        return list(record["dependencies"])
    assert entry.package is not None
    return list(metadata.read_metadata(entry.package, entry.extras).dependencies)


def folder_size(folder: Path) -> int:
    """Return the bytes that the files of a folder take."""
    return sum(entry.stat(follow_symlinks=False).st_size for _, entry in tree.all_files(folder))
