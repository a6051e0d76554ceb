"""One plugin of a manifest: its name, where it comes from, and what is wrong with either."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, SpecloomError, did_you_mean
from specloom_registry.base.faults import PluginIntegrityError
from specloom_registry.base.ownership import check_owner
from specloom_registry.model.package import KERNEL, Package, read
from specloom_registry.model.source import COMMIT, Source, check_subdir, check_tag, check_url
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom.runfile.yaml import Document

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_NAME = 64
RESERVED_NAMES = (*KERNEL, "registry")
PATH_KEYS = ("path", "extras")
SOURCE_KEYS = ("git", "tag", "commit", "subdir", "tag-pattern")
GIT_KEYS = (*SOURCE_KEYS, "extras")
RESERVED_KEYS = ("signed-by", "build", "index", "version")


class MissingFolderError(ConfigError):
    """The folder of a local plugin is not there.

    Args:
        name: The plugin.
        path: The folder as the manifest has it.
        details: What is wrong with it, and where it was looked for.
        where: Its line in the manifest.
    """

    def __init__(self, name: str, path: str, details: str, where: str) -> None:
        self.name = name
        self.path = path
        super().__init__(
            f"E-PATH-MISSING plugin {name!r}: {path!r} {details}",
            where=where,
            fix="correct the path; it is relative to the manifest's folder",
        )


@dataclass(frozen=True)
class Entry:
    """A line of the manifest: the plugin, or what is wrong with it.

    Args:
        name: The plugin's name.
        where: Its line in the manifest.
        source: Where it comes from.
        package: A folder's plugin; None for one from Git, whose files the lock names.
        extras: The optional dependencies to install.
        errors: What is wrong.
    """

    name: str
    where: str
    source: Source = field(default_factory=Source)
    package: Package | None = None
    extras: tuple[str, ...] = ()
    errors: tuple[SpecloomError, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the line as the lock repeats it, to find out later what has changed."""
        line: dict[str, Any] = dict(self.source.to_dict())
        if self.extras:
            line["extras"] = list(self.extras)
        return line


def parse_entry(document: Document, base: Path, name: str) -> Entry:
    """Parse the plugin of that name in a manifest whose folder is ``base``."""
    where = document.where("plugins", name)
    value = document.value["plugins"][name]
    errors = list(name_problems(name, where))
    if not isinstance(value, dict):
        errors.append(
            ConfigError(
                f"E-SOURCE plugin {name!r} is {value!r}, which is not a mapping",
                where=where,
                fix=f"write '{name}: {{path: <its folder>}}', "
                f"or '{name}: {{git: <its URL>, tag: <its tag>}}'",
            )
        )
        return Entry(name, where, errors=tuple(errors))
    owner = f"plugin {name!r}"
    from_git = "git" in value or ("tag" in value and "path" not in value)
    keys = GIT_KEYS if from_git else PATH_KEYS
    unknown = unknown_keys(document, ("plugins", name), value, keys, RESERVED_KEYS, owner)
    errors += unknown
    source = Source()
    try:
        extras = _extras(value.get("extras", []), owner, document.where("plugins", name, "extras"))
        if from_git:
            source = _git_source(document, value, name)
            return Entry(name, where, source, None, extras, tuple(errors))
        if "path" not in value and errors:  # what is wrong may be its name
            return Entry(name, where, source, None, extras, tuple(errors))
        folder = _folder(value.get("path"), name, base, document)
        source = Source(path=value["path"])
        package = None
        check_owner(folder, f"the folder of {owner}", document.where("plugins", name, "path"))
        if not errors:
            package = read(name, folder, where)
        return Entry(name, where, source, package, extras, tuple(errors))
    except (ConfigError, PluginIntegrityError) as e:
        return Entry(name, where, source, errors=(*errors, e))


def unknown_keys(
    document: Document,
    above: tuple[str, ...],
    value: dict[str, Any],
    known: Iterable[str],
    reserved: Iterable[str],
    owner: str,
) -> list[SpecloomError]:
    """Return an error for each key that cannot be used; ``x-`` begins the user's own keys."""
    errors: list[SpecloomError] = []
    for key in value:
        where = document.where(*above, key)
        if key in reserved:
            what = f"E-LATER {owner} has {key!r}, which this version cannot use yet"
            errors.append(ConfigError(what, where=where, fix=f"remove {key!r}"))
        elif key not in known and not key.startswith("x-"):
            what = f"E-KEY unknown key {key!r} in {owner}"
            errors.append(ConfigError(what, where=where, fix=did_you_mean(key, known)))
    return errors


def name_problems(name: str, where: str) -> Iterator[SpecloomError]:
    """Yield what is wrong with the name of a plugin."""
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        better = "-".join(re.findall("[a-z0-9]+", name.lower()))[:LONGEST_NAME].strip("-")
        yield ConfigError(
            f"E-NAME {name!r} is not a plugin name",
            where=where,
            fix=f"use lower-case letters, digits and single hyphens: {better or 'rx'!r}",
        )
    elif name in RESERVED_NAMES:
        fix = "leave it out: it comes with specloom"
        yield ConfigError(f"E-NAME the name {name!r} is reserved", where=where, fix=fix)


def _git_source(document: Document, value: dict[str, Any], name: str) -> Source:
    owner = f"plugin {name!r}"
    if "git" not in value:
        raise ConfigError(
            f"E-SOURCE {owner} has a tag but no 'git'",
            where=document.where("plugins", name),
            fix="name the URL",
        )
    if "tag" not in value:
        raise ConfigError(
            f"E-SOURCE {owner} has a Git URL but no 'tag'",
            where=document.where("plugins", name),
            fix="name the tag: branches are not accepted",
        )
    texts = dict[str, str]()
    where = dict[str, str]()
    for key in SOURCE_KEYS:
        where[key] = document.where("plugins", name, key)
        text = value.get(key, "")
        if not isinstance(text, str):
            raise _not_text(document, name, key)
        texts[key.replace("-", "_")] = text
    source = Source(**texts)
    check_url(source.git, owner, where["git"], allow_file=True)  # and again before it is fetched
    check_tag(source.tag, owner, where["tag"])
    if "commit" in value and not COMMIT.fullmatch(source.commit):
        what = f"E-COMMIT {owner}: {source.commit!r} is not a commit"
        raise ConfigError(what, where=where["commit"], fix="write its 40 hexadecimal digits")
    if "subdir" in value:
        check_subdir(source.subdir, owner, where["subdir"])
    if "tag-pattern" in value and source.tag_pattern.count("{version}") != 1:
        what = f"E-TAG {owner}: the pattern {source.tag_pattern!r} has no {{version}}"
        fix = f"write, for example, '{name}-v{{version}}'"
        raise ConfigError(what, where=where["tag-pattern"], fix=fix)
    return source


def _not_text(document: Document, name: str, key: str) -> ConfigError:
    """The error for a value that YAML reads as something else than text, such as ``tag: 1.10``."""
    keys = ("plugins", name, key)
    written = document.written(*keys)
    fix = f"write {key} as text"
    if written:
        fix = f"put it in quotes: '{written}'"
    shown = written or repr(document.value["plugins"][name][key])
    what = f"E-SOURCE plugin {name!r}: {key!r} is {shown}, which is not a string"
    return ConfigError(what, where=document.where(*keys), fix=fix)


def _extras(value: Any, owner: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(extra, str) for extra in value):
        what = f"E-SOURCE {owner}: 'extras' is {value!r}, which is not a list of names"
        raise ConfigError(what, where=where, fix="write, for example, [gpu]")
    return tuple(value)


def _folder(path: Any, name: str, base: Path, document: Document) -> Path:
    where = document.where("plugins", name, "path")
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        what = "no path is named"
        if path is not None:
            what = f"{path!r} is not a path"
        fix = f"write '{name}: {{path: <its folder>}}', relative to this file"
        raise ConfigError(f"E-PATH plugin {name!r}: {what}", where=where, fix=fix)
    folder = tree.resolved(base / path)
    problem = _folder_problem(folder)
    if problem:
        details = f"{problem} (resolved from {document.name}'s folder to {folder})"
        raise MissingFolderError(name, path, details, where)
    return folder


def _folder_problem(path: Path) -> str:
    """Describe why a path is not a folder that can be used; empty for one that is."""
    try:
        if path.is_dir():
            return ""
        if path.exists():
            return "is not a folder"
    except OSError as e:
        return f"cannot be used: {e.strerror}"
    return "does not exist"
