"""Changes to a manifest that users order: new plugins, other sources, other tags."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from specloom.contract.errors import ConfigError
from specloom.plugins import find_record
from specloom_registry.base.faults import PluginUnavailableError
from specloom_registry.fetch import candidates
from specloom_registry.fetch.fetch import FetchContext
from specloom_registry.model import edit, index, manifest
from specloom_registry.model.metadata import version_from_tag
from specloom_registry.model.source import Source, check_url, is_url
from specloom_registry.model.versions import parse_version
from specloom_registry.packages import environment
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom_registry.model.entry import Entry
    from specloom_registry.project.project import Project

KEY_ORDER = ("git", "tag", "subdir", "tag-pattern")


def parse_plugin(text: str) -> tuple[str, dict[str, str]]:
    """Parse how a command names a plugin and its source: ``NAME[=URL or FOLDER][@TAG]``.

    >>> parse_plugin("rx=https://localhost/rx.git@v1.0.0")
    ('rx', {'git': 'https://localhost/rx.git', 'tag': 'v1.0.0'})
    >>> parse_plugin("rx@v1.0.0"), parse_plugin("lab=../lab")
    (('rx', {'tag': 'v1.0.0'}), ('lab', {'path': '../lab'}))
    """
    name, _, place = text.partition("=")
    if not place:
        name, _, tag = text.partition("@")
        return name, {"tag": tag} if tag else {}
    before, _, tag = place.rpartition("@")
    if tag and is_url(before):
        return name, {"git": before, "tag": tag}
    if is_url(place):
        return name, {"git": place}
    return name, {"path": place}


def complete_source(project: Project, name: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return the manifest's line for a plugin, completed from the index and from its tags.

    Raises:
        ConfigError: The index does not have it, its repository is not configured, or no tag fits.
    """
    line = dict(options)
    if "path" in line:
        return {"path": line["path"]}
    found = manifest.parse(project.text(), project.file)
    where = "--git"
    if "git" not in line:
        line = {**index.find_source(name, found.options.index), **line}
        where = index.where_configured()
    check_url(line["git"], f"plugin {name!r}", where, allow_file=project.allow_file)
    if "tag" not in line:
        source = Source(
            git=line["git"],
            subdir=line.get("subdir", ""),
            tag_pattern=line.get("tag-pattern", ""),
        )
        tag = _newest(project, FetchContext(project.store, found.options), name, source)
        if not tag:
            raise ConfigError(
                f"E-TAG plugin {name!r}: no tag of {line['git']} spells a compatible version",
                fix="name one with --tag",
            )
        line["tag"] = tag
    return {key: line[key] for key in KEY_ORDER if key in line}


def find_missing(project: Project, names: Collection[str]) -> list[str]:
    """Return the plugins that plugins of the index need and the project does not have.

    Installed plugins are the project's where its manifest says ``installed: true``.
    """
    found = manifest.parse(project.text(), project.file)
    present = {entry.name for entry in found.entries}
    if found.installed:
        present |= environment.installed_plugins().keys()
    return sorted(index.find_needed(names) - present)


def check_new(text: str, file: Path, names: Collection[str]) -> None:
    """Refuse to add a plugin that a manifest's text names already.

    Raises:
        ConfigError: It does.
    """
    present = {entry.name for entry in manifest.parse(text, file).entries}
    for name in names:
        if name in present:
            fix = f"change it: specloom plugins update {name}"
            raise ConfigError(f"E-NAME {file} names {name!r} already", fix=fix)


def changed_source(project: Project, name: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return the manifest's line for a plugin with another URL, folder, tag or pattern.

    An empty value removes the key. A ``commit`` stays where it is still that of the tag.

    Raises:
        ConfigError: The manifest does not name the plugin, or no tag fits.
    """
    present = project.find_line(name)
    if "path" in options:
        return {"path": options["path"]}
    line = {key: value for key, value in {**present, **options}.items() if value}
    line.pop("path", None)
    source = complete_source(project, name, line)
    tag = (source["git"], source["tag"])
    if "commit" in present and tag == (present.get("git"), present.get("tag")):
        source["commit"] = present["commit"]
    return source


def removed_commit(present: Mapping[str, str], source: Mapping[str, str], name: str) -> list[str]:
    """Return a warning if a changed line of the manifest names no commit any more."""
    if "commit" not in present or "commit" in source:
        return []
    return [f"the commit {present['commit'][:12]} of {name} was removed: it was of the old source"]


def newer_tags(
    project: Project, wanted: Mapping[str, str], to: str | None, *, moved: bool
) -> dict[str, str]:
    """Return the tags to which plugins from Git are to be updated.

    Args:
        project: The project.
        wanted: The plugins, each with its tag, empty for the newest; all where there is none.
        to: The tag of a single plugin.
        moved: Whether the tags stay, and their commits are accepted.

    Raises:
        ConfigError: A plugin is not from Git.
    """
    found = manifest.read(project.file)
    for name in wanted:
        if "git" not in project.find_line(name):
            what = f"E-SOURCE plugin {name!r} is a folder"
            raise ConfigError(what, fix="edit its files: it has no tag")
    entries = [e for e in found.entries if e.source.git and (not wanted or e.name in wanted)]
    if to and len(entries) != 1:
        raise ConfigError("--to is for one plugin", fix="name each with its tag: rx@v1.0.0")
    context = project.fetch_context(found)
    tags = {}
    for entry in entries:
        tag = to or wanted.get(entry.name, "")
        if not tag and moved:
            tag = entry.source.tag
        if not tag:
            tag = _newest(project, context, entry.name, entry.source)
        tags[entry.name] = tag or entry.source.tag
    return tags


def with_tags(
    text: str, file: Path, tags: Mapping[str, str], *, downgrade: bool, named: Collection[str]
) -> str:
    """Return a manifest's text with other tags.

    Args:
        text: The text.
        file: The manifest.
        tags: The tags by plugin.
        downgrade: Whether a version may go down.
        named: The plugins whose tags the user named; of others an older tag is passed over.

    Raises:
        ConfigError: A version would go down, or a plugin is pinned to a commit.
    """
    for entry in manifest.parse(text, file).entries:
        tag = tags.get(entry.name, entry.source.tag)
        if tag != entry.source.tag:
            is_named = entry.name in named
            text = _change_tag(text, entry, tag, downgrade=downgrade, named=is_named)
    return text


def _change_tag(text: str, entry: Entry, tag: str, *, downgrade: bool, named: bool) -> str:
    """Return the manifest's text with another tag; an older one only if the user allows it."""
    source = entry.source
    if _is_older(entry.name, tag, source) and not downgrade:
        if not named:
            return text
        raise ConfigError(
            f"E-DOWNGRADE plugin {entry.name!r}: {tag} is older than {source.tag}",
            where=entry.where,
            fix="allow it with --downgrade, if you mean it",
        )
    if source.commit:
        what = f"E-COMMIT plugin {entry.name!r} is pinned to a commit"
        fix = "remove 'commit' from the manifest, then update"
        raise ConfigError(what, where=entry.where, fix=fix)
    return edit.change(text, entry.name, "tag", tag)


def check_unused(file: Path, name: str) -> None:
    """Refuse to remove a plugin that run files in the manifest's folder use.

    Raises:
        ConfigError: Some do; the message names them.
    """
    pattern = re.compile(rf"\btype['\"]?\s*:\s*['\"]?{re.escape(name)}\.\w+")
    users = []
    for run_file in sorted(tree.resolved(file).parent.rglob("*.yaml")):
        if find_record(run_file) is not None:  # saved by a run, whose record pins its plugins
            continue
        number = _first_match(run_file, pattern)
        if number is not None:
            users.append(f"{run_file}:{number}")
    if users:
        raise ConfigError(
            f"E-USED plugin {name!r} is used at {', '.join(users)}",
            fix="change these files first, or use --force",
        )


def _first_match(file: Path, pattern: re.Pattern[str]) -> int | None:
    """Return the number of the first line that matches outside a comment."""
    try:
        text = file.read_text("utf-8", errors="replace")
    except OSError:  # a folder of such a name, or a file that no run could read either
        return None
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.search(line.partition("#")[0]):
            return number
    return None


def _newest(project: Project, context: FetchContext, name: str, source: Source) -> str:
    """Return the newest compatible tag, else the newest; empty if no tag spells a version."""
    if project.offline:
        what = f"E-OFFLINE the tags of {source.git} cannot be listed"
        raise PluginUnavailableError(what, fix="name the tag, or leave out --offline")
    tag = candidates.newest_compatible_tag(context, name, source)
    return tag or candidates.newest_tag(context, name, source)


def _is_older(name: str, tag: str, source: Source) -> bool:
    """Check whether a tag spells an older version than that of the source."""
    new = version_from_tag(tag, name, source.tag_pattern)
    old = version_from_tag(source.tag, name, source.tag_pattern)
    if new is None or old is None:
        return False
    return parse_version(new) < parse_version(old)
