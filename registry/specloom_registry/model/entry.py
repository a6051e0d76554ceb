"""One plugin of a manifest: its name, where it comes from, and what is wrong with either."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, SpecloomError, did_you_mean
from specloom_registry.model.package import KERNEL, Package, read
from specloom_registry.model.source import COMMIT, Source, check_subdir, check_tag, check_url
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom.runfile.yaml import Document

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_NAME = 64
RESERVED = (*KERNEL, "registry")
WITH_PATH = ("path", "extras")
WITH_GIT = ("git", "tag", "commit", "subdir", "tag-pattern", "extras")
TO_COME = ("signed-by", "build", "index", "version")


@dataclass(frozen=True)
class Entry:
    """A line of the manifest: the plugin, or what is wrong with it.

    Args:
        name: The plugin's name.
        where: Its line in the manifest.
        source: Where it comes from.
        package: A folder's plugin; None for one from Git, whose files the lock names.
        extras: The optional dependencies that are asked for.
        errors: What is wrong.
    """

    name: str
    where: str
    source: Source = field(default_factory=Source)
    package: Package | None = None
    extras: tuple[str, ...] = ()
    errors: tuple[SpecloomError, ...] = ()

    @property
    def written(self) -> dict[str, Any]:
        """The line as the lock repeats it, to tell later what has changed."""
        return {**self.source.written, **({"extras": list(self.extras)} if self.extras else {})}


def entry(document: Document, base: Path, name: str) -> Entry:
    """The plugin of that name in a manifest whose folder is ``base``."""
    where = document.where("plugins", name)
    value = document.value["plugins"][name]
    errors = list(name_problems(name, where))
    if not isinstance(value, dict):
        errors.append(
            ConfigError(
                f"E-SOURCE plugin {name!r} is {value!r}, which is no mapping",
                where=where,
                fix=f"write '{name}: {{path: <its folder>}}', "
                f"or '{name}: {{git: <its URL>, tag: <its tag>}}'",
            )
        )
        return Entry(name, where, errors=tuple(errors))
    owner, git = f"plugin {name!r}", "git" in value or ("tag" in value and "path" not in value)
    known = WITH_GIT if git else WITH_PATH
    errors += unknown(document, ("plugins", name), value, known, TO_COME, owner)
    wrong = len(errors)
    package, source = None, Source()
    try:
        extras = _extras(value.get("extras", []), owner, document.where("plugins", name, "extras"))
        if git:
            source = _git(document, value, name)
        elif "path" in value or not wrong:
            folder = _folder(value.get("path"), name, base, document)
            source = Source(path=value["path"])
            package = read(name, folder, where) if not errors else None
        return Entry(name, where, source, package, extras, tuple(errors))
    except ConfigError as e:
        return Entry(name, where, source, errors=(*errors, e))


def unknown(
    document: Document,
    above: tuple[str, ...],
    value: dict[str, Any],
    known: Iterable[str],
    to_come: Iterable[str],
    owner: str,
) -> list[SpecloomError]:
    """Keys that cannot be used; those that begin with ``x-`` are the user's own."""
    errors: list[SpecloomError] = []
    for key in value:
        where = document.where(*above, key)
        if key in to_come:
            what = f"E-LATER {owner} has {key!r}, which this version cannot use yet"
            errors.append(ConfigError(what, where=where, fix=f"remove {key!r}"))
        elif key not in known and not key.startswith("x-"):
            what, fix = f"E-KEY unknown key {key!r} in {owner}", did_you_mean(key, known)
            errors.append(ConfigError(what, where=where, fix=fix))
    return errors


def name_problems(name: str, where: str) -> Iterator[SpecloomError]:
    """What is wrong with the name of a plugin."""
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        better = "-".join(re.findall("[a-z0-9]+", name.lower()))[:LONGEST_NAME].strip("-")
        yield ConfigError(
            f"E-NAME {name!r} is no plugin name",
            where=where,
            fix=f"use lower-case letters, digits and single hyphens: {better or 'rx'!r}",
        )
    elif name in RESERVED:
        fix = "leave it out: it comes with specloom"
        yield ConfigError(f"E-NAME the name {name!r} is reserved", where=where, fix=fix)


def _git(document: Document, value: dict[str, Any], name: str) -> Source:
    owner = f"plugin {name!r}"
    for key in ("git", "tag"):
        if key not in value:
            what = f"E-SOURCE {owner} has a {'tag' if key == 'git' else 'Git URL'} but no {key!r}"
            fix = "name the tag: branches are not accepted" if key == "tag" else "name the URL"
            raise ConfigError(what, where=document.where("plugins", name), fix=fix)
    found = dict[str, str]()
    for key in ("git", "tag", "commit", "subdir", "tag-pattern"):
        where, one = document.where("plugins", name, key), value.get(key, "")
        if not isinstance(one, str):
            what = f"E-SOURCE {owner}: {key!r} is {one!r}, which is no text"
            raise ConfigError(what, where=where, fix="put it in quotes")
        found[key.replace("-", "_")] = one
    place = [document.where("plugins", name, key) for key in ("git", "tag", "commit", "subdir")]
    check_url(found["git"], owner, place[0], allow_file=True)  # asked again before it is fetched
    check_tag(found["tag"], owner, place[1])
    if "commit" in value and not COMMIT.fullmatch(found["commit"]):
        what = f"E-COMMIT {owner}: {found['commit']!r} is no commit"
        raise ConfigError(what, where=place[2], fix="write its 40 hexadecimal digits")
    if "subdir" in value:
        check_subdir(found["subdir"], owner, place[3])
    if "tag-pattern" in value and found["tag_pattern"].count("{version}") != 1:
        what = f"E-TAG {owner}: the pattern {found['tag_pattern']!r} has no {{version}}"
        where = document.where("plugins", name, "tag-pattern")
        raise ConfigError(what, where=where, fix=f"write it such as '{name}-v{{version}}'")
    return Source(**found)


def _extras(value: Any, owner: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        what = f"E-SOURCE {owner}: 'extras' is {value!r}, which is no list of names"
        raise ConfigError(what, where=where, fix="write it such as [gpu]")
    return tuple(value)


def _folder(path: Any, name: str, base: Path, document: Document) -> Path:
    where = document.where("plugins", name, "path")
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        what = f"path {path!r} is no path" if path is not None else "no path is named"
        fix = f"write '{name}: {{path: <its folder>}}', relative to this file"
        raise ConfigError(f"E-PATH plugin {name!r}: {what}", where=where, fix=fix)
    folder = tree.resolved(base / path)
    problem = _no_folder(folder)
    if problem:
        raise ConfigError(
            f"E-PATH-MISSING plugin {name!r}: {path!r} {problem} "
            f"(resolved from {document.name}'s folder to {folder})",
            where=where,
            fix="correct the path; it is relative to the manifest's folder",
        )
    return folder


def _no_folder(place: Path) -> str:
    """Why a place is no folder that can be used; empty for one that can."""
    try:
        if place.is_dir():
            return ""
        return "is not a folder" if place.exists() else "does not exist"
    except OSError as e:
        return f"cannot be used: {e.strerror}"
