"""Changes to a manifest that users order: the line of a new plugin, and newer tags."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from specloom.contract.errors import ConfigError
from specloom_registry.base.faults import PluginUnavailableError
from specloom_registry.fetch import candidates
from specloom_registry.fetch.fetch import FetchContext
from specloom_registry.model import edit, index, manifest
from specloom_registry.model.metadata import version_from_tag
from specloom_registry.model.source import Source, check_url
from specloom_registry.model.versions import parse_version
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom_registry.model.entry import Entry
    from specloom_registry.project.project import Project

KEY_ORDER = ("git", "tag", "subdir", "tag-pattern")


def complete_source(project: Project, name: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return the manifest's line for a new plugin, completed from the index and from its tags.

    Raises:
        ConfigError: The manifest names it already, or the index does not have it.
    """
    found = manifest.parse(project.text(), project.file)
    if name in [entry.name for entry in found.entries]:
        fix = f"change it: specloom plugins update {name}"
        raise ConfigError(f"E-NAME {project.file} names {name!r} already", fix=fix)
    line = dict(options)
    if "path" in line:
        return line
    if "git" not in line:
        line = {**index.find_source(name), **line}
    check_url(line["git"], f"plugin {name!r}", "--git", allow_file=project.allow_file)
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


def update_tags(
    project: Project, names: Collection[str], to: str | None, *, moved: bool, downgrade: bool
) -> tuple[str, list[str]]:
    """Return the manifest's text with newer tags, and the plugins from Git among ``names``.

    Raises:
        ConfigError: A plugin is not from Git, or its version would go down.
    """
    found = manifest.read(project.file)
    for name in names:
        if "git" not in project.find_line(name):
            what = f"E-SOURCE plugin {name!r} is a folder"
            raise ConfigError(what, fix="edit its files: it has no tag")
    entries = [e for e in found.entries if e.source.git and (not names or e.name in names)]
    if to and len(entries) != 1:
        raise ConfigError("--to is for one plugin", fix="name the plugin")
    text = project.text()
    context = project.fetch_context(found)
    for entry in entries:
        if to:
            tag = to
        elif moved:
            tag = entry.source.tag
        else:
            tag = _newest(project, context, entry.name, entry.source)
        if tag and tag != entry.source.tag:
            text = _change_tag(text, entry, tag, downgrade=downgrade, named=bool(to))
    return text, [entry.name for entry in entries]


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
