"""The manifest ``plugins.yaml``, read strictly.

```yaml
schema: 1
plugins:
  rx: {git: https://example.org/acme/rx.git, tag: v1.2.0}
  lab: {path: ../lab}                     # relative to this file
installed: true                           # the installed plugins count, too
specloom: ">=0.1,<0.2"                    # the kernel that the project wants
index: https://example.org/specloom.git   # the repository of plugins that are added by name
mirrors: [{match: "https://example.org/", use: "file:///mnt/mirror/"}]
installer: {find-links: [wheels], no-index: true}
limits: {bytes: 400000000, files: 50000}
```
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, SpecloomError, in_file_order, raise_all
from specloom_registry.base.ownership import check_owner
from specloom_registry.model.entry import Entry, MissingFolderError, parse_entry, unknown_keys
from specloom_registry.model.options import Options, read_options
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom.runfile.yaml import Document

SCHEMA = 1
KEYS = ("schema", "installed", "plugins", "specloom", "index", "mirrors", "installer", "limits")
MANY_MISSING = 2  # folders that are not there are then one error
RESERVED_KEYS = ("nodes", "trust", "indexes")


@dataclass(frozen=True)
class Manifest:
    """A manifest without a problem.

    Args:
        file: Its place.
        entries: Its plugins, in its order.
        options: The index, mirrors, the installer's settings, limits, and the kernel.
        installed: Whether the installed plugins that it does not name count, too.
    """

    file: Path
    entries: tuple[Entry, ...]
    options: Options
    installed: bool = False

    @property
    def lock(self) -> Path:
        """The place of the lock that belongs to it."""
        return self.file.with_suffix(".lock")


def read(file: Path) -> Manifest:
    """Read a manifest.

    Raises:
        ConfigError: The manifest or a plugin's folder is wrong; ``Problems`` if in several ways.
        PluginIntegrityError: It belongs to another user.
    """
    from specloom.runfile import yaml

    check_owner(file, "the manifest")
    return _from_document(yaml.read(file), file)


def parse(text: str, file: Path) -> Manifest:
    """Parse the text of a manifest that is, or is to be, in ``file``.

    Raises:
        ConfigError: The text or a plugin's folder is wrong; ``Problems`` if in several ways.
    """
    from specloom.runfile import yaml

    return _from_document(yaml.parse(text, str(file)), file)


def read_entries(file: Path) -> list[Entry]:
    """Read the lines of a manifest, each with the plugin's own errors.

    Raises:
        ConfigError: The file as a whole cannot be used; ``Problems`` if in several ways.
    """
    from specloom.runfile import yaml

    check_owner(file, "the manifest")
    document = yaml.read(file)
    raise_all(list(_problems(document)))
    return _entries(document, file)


def module_clash(module: str, first: str, second: str, where: str) -> ConfigError:
    """Return the error for two plugins with one top-level module."""
    return ConfigError(
        f"E-CLASH plugins {first!r} and {second!r} both bring the module {module!r}",
        where=where,
        fix="rename the module in one of them, or remove one",
    )


def _from_document(document: Document, file: Path) -> Manifest:
    raise_all(list(_problems(document)))
    entries = _entries(document, file)
    errors = [error for entry in entries for error in entry.errors]
    raise_all(in_file_order(_missing_folders_as_one(errors, file)))
    options = read_options(document)
    return Manifest(file, tuple(entries), options, document.value.get("installed", False))


def _missing_folders_as_one(errors: list[SpecloomError], file: Path) -> list[SpecloomError]:
    """Return the errors, one instead of those for folders that are not there.

    A manifest that was copied to another place has one for each of its plugins.
    """
    missing = [error for error in errors if isinstance(error, MissingFolderError)]
    if len(missing) < MANY_MISSING:
        return errors
    first = missing[0]
    paths = ", ".join(f"{error.name} ({error.path})" for error in missing[1:])
    one = ConfigError(
        f"{first.what}; nor are the folders of {len(missing) - 1} more plugins there: {paths}",
        where=first.where,
        fix=f"copy the folders along, or correct the paths: they are relative to {file.parent}",
    )
    return [one, *(error for error in errors if error not in missing)]


def _entries(document: Document, file: Path) -> list[Entry]:
    base = tree.resolved(file).parent
    entries = [parse_entry(document, base, name) for name in document.value["plugins"]]
    return list(_with_module_clashes(entries))


def _problems(document: Document) -> Iterator[SpecloomError]:
    """Yield what is wrong with the file as a whole."""
    value: Any = document.value
    if not isinstance(value, dict):
        yield ConfigError(
            "E-SCHEMA a manifest is a mapping",
            where=document.where(),
            fix="begin it with 'schema: 1' and 'plugins:'",
        )
        return
    yield from unknown_keys(document, (), value, KEYS, RESERVED_KEYS, "the manifest")
    schema = value.get("schema")
    if schema != SCHEMA or isinstance(schema, bool):
        what = "no schema is named"
        if "schema" in value:
            what = f"schema {schema!r} is not known"
        fix = f"write 'schema: {SCHEMA}'"
        yield ConfigError(f"E-SCHEMA {what}", where=document.where("schema"), fix=fix)
    if not isinstance(value.get("installed", False), bool):
        what = f"E-SCHEMA 'installed' is {value['installed']!r}, which is not true or false"
        fix = "write 'installed: true', or remove it"
        yield ConfigError(what, where=document.where("installed"), fix=fix)
    if not isinstance(value.get("plugins"), dict):
        yield ConfigError(
            "E-SCHEMA 'plugins' must map names to plugins",
            where=document.where("plugins"),
            fix="write 'plugins: {rx: {path: ../plugins/rx}}', or 'plugins: {}' for none",
        )


def _with_module_clashes(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries; one whose top-level module is an earlier one's has only that error."""
    owners: dict[str, str] = {}
    for entry in entries:
        if entry.package is None:
            yield entry
            continue
        module = entry.package.top
        owner = owners.setdefault(module, entry.name)
        if owner == entry.name:
            yield entry
        else:
            clash = module_clash(module, owner, entry.name, entry.where)
            yield Entry(entry.name, entry.where, errors=(clash,))
