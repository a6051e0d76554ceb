"""What a user asks for, as lines of the manifest: a plugin's source, and newer tags."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from specloom.contract.errors import ConfigError
from specloom_registry.base.faults import PluginUnavailableError
from specloom_registry.fetch import candidates
from specloom_registry.fetch.fetch import Fetching
from specloom_registry.model import edit, index, manifest
from specloom_registry.model.metadata import version_of
from specloom_registry.model.source import Source, check_url
from specloom_registry.model.versions import Version
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom_registry.project.project import Project


def source(project: Project, name: str, given: Mapping[str, str]) -> dict[str, str]:
    """The manifest's line for a plugin, completed from the index and from its tags.

    Raises:
        ConfigError: It is there already, or nobody knows where it is.
    """
    found = manifest.of_text(project.text(), project.file)
    if name in (entry.name for entry in found.entries):
        fix = f"change it: specloom plugins update {name}"
        raise ConfigError(f"E-NAME {project.file} names {name!r} already", fix=fix)
    line = dict(given)
    if "path" in line:
        return line
    if "git" not in line:
        line = index.known(name) | line
    check_url(line["git"], f"plugin {name!r}", "--git", allow_file=project.allow_file)
    if "tag" not in line:
        one = _as_source(line)
        tag = _newest(project, Fetching(project.store, found.options), name, one)
        if not tag:
            raise ConfigError(
                f"E-TAG plugin {name!r}: no tag of {line['git']} spells a version that fits",
                fix="name one with --tag",
            )
        line["tag"] = tag
    order = ("git", "tag", "subdir", "tag-pattern")
    return {key: line[key] for key in order if key in line}


def updated(
    project: Project, names: Collection[str], to: str | None, *, moved: bool, downgrade: bool
) -> tuple[str, list[str]]:
    """The manifest's text with newer tags, and the plugins that it is about.

    Raises:
        ConfigError: A plugin is not from Git, or its version would go down.
    """
    found = manifest.manifest(project.file)
    for name in names:
        if "git" not in project.need(name):
            what, fix = f"E-SOURCE plugin {name!r} is a folder", "edit its files: it has no tag"
            raise ConfigError(what, fix=fix)
    about = [e for e in found.entries if e.source.git and (not names or e.name in names)]
    if to and len(about) != 1:
        raise ConfigError("--to is for one plugin", fix="name the plugin")
    text, how = project.text(), project.how(found)
    for one in about:
        tag = to or (one.source.tag if moved else _newest(project, how, one.name, one.source))
        if not tag or tag == one.source.tag:
            continue
        if _lower(one.name, tag, one.source) and not downgrade:
            if to is None:
                continue
            raise ConfigError(
                f"E-DOWNGRADE plugin {one.name!r}: {tag} is older than {one.source.tag}",
                where=one.where,
                fix="say so with --downgrade, if you mean it",
            )
        text = edit.change(text, one.name, "tag", tag)
        if one.source.commit:
            fix = "remove 'commit' from the manifest, then update"
            what = f"E-COMMIT plugin {one.name!r} is pinned to a commit"
            raise ConfigError(what, where=one.where, fix=fix)
    return text, [one.name for one in about]


def check_unused(file: Path, name: str) -> None:
    """Refuse to lose a plugin that run files beside the manifest use.

    Raises:
        ConfigError: Some do; the message names them.
    """
    pattern = re.compile(rf"\btype['\"]?\s*:\s*['\"]?{re.escape(name)}\.\w+")
    users = []
    for one in sorted(tree.resolved(file).parent.rglob("*.yaml")):
        try:
            text = one.read_text("utf-8", errors="replace")
        except OSError:  # a folder of such a name, or a file that no run could read either
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if pattern.search(line.partition("#")[0]):
                users.append(f"{one}:{number}")
                break
    if users:
        raise ConfigError(
            f"E-USED plugin {name!r} is used at {', '.join(users)}",
            fix="change these files first, or say --force",
        )


def _newest(project: Project, how: Fetching, name: str, one: Source) -> str:
    if project.offline:
        what = f"E-OFFLINE the tags of {one.git} cannot be asked for"
        raise PluginUnavailableError(what, fix="name the tag, or leave --offline out")
    return candidates.newest_that_fits(how, name, one) or candidates.newest_tag(how, name, one)


def _lower(name: str, tag: str, one: Source) -> bool:
    new, old = (version_of(text, name, one.tag_pattern) for text in (tag, one.tag))
    return bool(new and old and Version(new).key < Version(old).key)


def _as_source(line: Mapping[str, str]) -> Source:
    subdir, pattern = line.get("subdir", ""), line.get("tag-pattern", "")
    return Source(line["git"], subdir=subdir, tag_pattern=pattern)
