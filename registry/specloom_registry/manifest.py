"""The manifest ``plugins.yaml``, read strictly.

```yaml
schema: 1
plugins:
  rx: {path: ../plugins/rx}     # relative to this file
```
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.errors import ConfigError, SpecloomError, did_you_mean, in_file_order, raise_all
from specloom_registry.package import KERNEL, Package, read

if TYPE_CHECKING:
    from specloom.yamlfile import Document

SCHEMA = 1
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_NAME = 64
RESERVED = (*KERNEL, "registry")
KEYS = ("schema", "plugins")
KEYS_TO_COME = ("specloom", "nodes", "mirrors", "installer", "limits", "trust")
SOURCES_TO_COME = (
    *("git", "tag", "commit", "subdir", "tag-pattern", "signed-by"),
    *("extras", "build", "index", "version"),
)


@dataclass(frozen=True)
class Entry:
    """A line of the manifest: the plugin, or what is wrong with it."""

    name: str
    where: str
    package: Package | None = None
    errors: tuple[SpecloomError, ...] = ()


def plugins(file: Path) -> list[Package]:
    """The plugins of a manifest, in its order.

    Raises:
        ConfigError: The manifest or a plugin's folder is wrong; ``Problems`` if in several ways.
    """
    found = entries(file)
    raise_all(in_file_order(error for entry in found for error in entry.errors))
    return [entry.package for entry in found if entry.package is not None]


def entries(file: Path) -> list[Entry]:
    """The lines of a manifest, with each plugin's own problems.

    Raises:
        ConfigError: The file as a whole cannot be used; ``Problems`` if in several ways.
    """
    from specloom import yamlfile

    document = yamlfile.read(file)
    raise_all(list(_problems(document)))
    found = [_entry(document, file.resolve().parent, name) for name in document.value["plugins"]]
    return list(_apart(found))


def _problems(document: Document) -> Iterator[SpecloomError]:
    """What is wrong with the file as a whole."""
    value = document.value
    if not isinstance(value, dict):
        yield ConfigError(
            "E-SCHEMA a manifest is a mapping",
            where=document.where(),
            fix="begin it with 'schema: 1' and 'plugins:'",
        )
        return
    yield from _unknown(document, (), value, KEYS, KEYS_TO_COME, "the manifest")
    schema = value.get("schema")
    if schema != SCHEMA or isinstance(schema, bool):
        what = f"schema {schema!r} is not known" if "schema" in value else "no schema is named"
        fix = f"write 'schema: {SCHEMA}'"
        yield ConfigError(f"E-SCHEMA {what}", where=document.where("schema"), fix=fix)
    if not isinstance(value.get("plugins"), dict):
        yield ConfigError(
            "E-SCHEMA 'plugins' must map names to plugins",
            where=document.where("plugins"),
            fix="write 'plugins: {rx: {path: ../plugins/rx}}', or 'plugins: {}' for none",
        )


def _entry(document: Document, base: Path, name: str) -> Entry:
    where = document.where("plugins", name)
    value = document.value["plugins"][name]
    errors = list(_name_problems(name, where))
    package = None
    if not isinstance(value, dict):
        errors.append(
            ConfigError(
                f"E-SOURCE plugin {name!r} is {value!r}, which is no mapping",
                where=where,
                fix=f"write '{name}: {{path: <its folder>}}'",
            )
        )
        return Entry(name, where, None, tuple(errors))
    owner = f"plugin {name!r}"
    unknown = _unknown(document, ("plugins", name), value, ("path",), SOURCES_TO_COME, owner)
    errors += unknown
    if "path" in value or not unknown:
        try:
            folder = _folder(value.get("path"), name, base, document)
            package = read(name, folder, where) if not errors else None
        except ConfigError as e:
            errors.append(e)
    return Entry(name, where, package, tuple(errors))


def _name_problems(name: str, where: str) -> Iterator[SpecloomError]:
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


def _unknown(
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
            what = f"E-SOURCE {owner} has {key!r}, but only local paths can be used yet"
            fix = "name the plugin's folder with 'path:'" if above else f"remove {key!r}"
            errors.append(ConfigError(what, where=where, fix=fix))
        elif key not in known and not key.startswith("x-"):
            what, fix = f"E-KEY unknown key {key!r} in {owner}", did_you_mean(key, known)
            errors.append(ConfigError(what, where=where, fix=fix))
    return errors


def _folder(path: Any, name: str, base: Path, document: Document) -> Path:
    where = document.where("plugins", name, "path")
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        what = f"path {path!r} is no path" if path is not None else "no path is named"
        fix = f"write '{name}: {{path: <its folder>}}', relative to this file"
        raise ConfigError(f"E-PATH plugin {name!r}: {what}", where=where, fix=fix)
    folder = (base / path).resolve()
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise ConfigError(
            f"E-PATH-MISSING plugin {name!r}: {path!r} {what} "
            f"(resolved from {document.name}'s folder to {folder})",
            where=where,
            fix="correct the path; it is relative to the manifest's folder",
        )
    return folder


def _apart(found: Iterable[Entry]) -> Iterator[Entry]:
    """Entries as they are, but for those whose top-level module is an earlier one's."""
    first: dict[str, str] = {}
    for entry in found:
        top = entry.package.top if entry.package else ""
        if entry.package and first.setdefault(top, entry.name) != entry.name:
            error = ConfigError(
                f"E-CLASH plugins {first[top]!r} and {entry.name!r} both bring the module {top!r}",
                where=entry.where,
                fix="rename the module in one of them, or remove one",
            )
            yield Entry(entry.name, entry.where, None, (error,))
        else:
            yield entry
