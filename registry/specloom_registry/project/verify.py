"""Questions about a locked project: does it hold, what is newer, why is something there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, SpecloomError
from specloom_registry.base.faults import PluginIntegrityError, PluginUnavailableError
from specloom_registry.fetch import candidates, git
from specloom_registry.model import lockfile, manifest, requirements
from specloom_registry.packages import environment, overlay
from specloom_registry.project import sync as syncing
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom_registry.project.project import Project


def verify(project: Project, *, full: bool, remote: bool) -> list[dict[str, str]]:
    """Each plugin's state: ``good``, or what is wrong with it."""
    found, lock = syncing.read(project.file)
    rows = []
    for entry in found.entries:
        record = lock.plugins[entry.name]
        row = {"name": entry.name, "version": record["package"]["version"], "state": "good"}
        try:
            if entry.source.git:
                project.store.check(record["tree"], f"plugin {entry.name!r}", full=full)
            elif entry.package and "tree" in record:
                now = tree.tree_hash(tree.file_hashes(entry.package.home))
                if now != record["tree"]:
                    row["state"] = (
                        f"changed after it was locked: {record['tree'][:11]}.. -> {now[:11]}.."
                    )
            if remote and entry.source.git:
                row["state"] = _remote(project, entry.source.git, entry.source.tag, record)
        except SpecloomError as e:
            row["state"], row["fix"] = e.what, e.fix
        rows.append(row)
    pins = lock.packages.get(environment.platform_tag(), {})
    try:
        overlay.present(project.store, pins, "")
    except SpecloomError as e:
        rows.append({"name": "packages", "version": "", "state": e.what, "fix": e.fix})
    return rows


def check_local(project: Project) -> None:
    """Hold local plugins to the lock.

    Raises:
        PluginIntegrityError: One was edited.
    """
    for row in verify(project, full=False, remote=False):
        if row["state"].startswith("changed"):
            what = f"E-LOCAL-CHANGED {row['name']}: {row['state']}"
            raise PluginIntegrityError(what, fix=lockfile.AGAIN)


def outdated(project: Project) -> list[dict[str, str]]:
    """Each plugin from Git: its tag, the newest, the newest that fits, and whether it moved."""
    found, lock = syncing.read(project.file)
    if project.offline:
        raise PluginUnavailableError(
            "E-OFFLINE the tags of repositories cannot be asked for", fix="leave --offline out"
        )
    rows, how = [], project.how(found)
    for entry in found.entries:
        if not entry.source.git:
            continue
        newest = candidates.newest_tag(how, entry.name, entry.source)
        fits = candidates.newest_that_fits(how, entry.name, entry.source)
        state = _remote(project, entry.source.git, entry.source.tag, lock.plugins[entry.name])
        row = {"name": entry.name, "tag": entry.source.tag, "newest": newest, "fits": fits}
        rows.append({**row, "note": "" if state == "good" else state})
    return rows


def why(project: Project, name: str) -> list[str]:
    """Why a package or a node is there: plugin, tag and commit, or who needs it.

    Raises:
        ConfigError: Nothing of the project needs or offers it.
    """
    found, lock = syncing.read(project.file)
    lines = []
    for entry in found.entries:
        record = lock.plugins[entry.name]
        source = record["source"]
        origin = source.get("git") or source["path"]
        at = f" at {source['tag']} ({source['commit'][:12]})" if "tag" in source else ""
        whole = f"plugin {entry.name} {record['package']['version']} of {origin}{at}"
        nodes = record.get("nodes", {})
        if name == entry.name:
            lines.append(f"{whole}, named by {entry.where}")
        lines += [
            f"node {entry.name}.{node} <- {whole}"
            for node in nodes
            if name in (node, f"{entry.name}.{node}")
        ]
        lines += [
            f"package {one} <- {whole}"
            for one in _wanted(entry, record)
            if requirements.parse(one).name == requirements.normal(name)
        ]
    for platform, packages in sorted(lock.packages.items()):
        lines += [
            f"package {pin['name']} {pin['version']} is installed beside the environment "
            f"on {platform}"
            for pin in packages["pins"]
            if pin["name"] == requirements.normal(name)
        ]
    if not lines:
        what = f"E-NAME nothing in {project.file} needs or offers {name!r}"
        raise ConfigError(what, fix="see: specloom nodes")
    return lines


def info(project: Project, name: str) -> dict[str, Any]:
    """All that is known of one plugin, without importing it."""
    written = project.need(name)
    lock = lockfile.read(project.file.with_suffix(".lock"))
    record = dict(lock.plugins.get(name, {}))
    place = str(project.store.tree(record["tree"])) if name in lock.trees else ""
    there = tree.is_dir(Path(place)) if place else True
    return {"name": name, "manifest": written, **record, "folder": place, "present": there}


def _remote(project: Project, url: str, tag: str, record: dict[str, Any]) -> str:
    if project.offline:
        return "not asked for"
    how = manifest.manifest(project.file).options
    try:
        now = git.tags(how.places(url)[0], tag).get(tag)
    except git.GitError as e:
        return e.what
    was = record["source"]
    if now is None:
        return f"W-TAG-GONE tag {tag} is no longer there"
    if now[1] != was["commit"]:
        return f"W-TAG-MOVED tag {tag}: locked {was['commit'][:12]}, remote now {now[1][:12]}"
    return "good"


def _wanted(entry: Any, record: dict[str, Any]) -> list[str]:
    if "dependencies" in record:
        return list(record["dependencies"])
    from specloom_registry.model import metadata

    return list(metadata.facts(entry.package, entry.extras).dependencies)


def size(folder: Path) -> int:
    """The bytes that a folder takes."""
    found = (entry for _, entry in tree.everything(folder))
    return sum(entry.stat(follow_symlinks=False).st_size for entry in found)
