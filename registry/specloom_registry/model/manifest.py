"""The manifest ``plugins.yaml``, read strictly.

```yaml
schema: 1
plugins:
  rx: {git: https://example.org/acme/rx.git, tag: v1.2.0}
  lab: {path: ../lab}                     # relative to this file
specloom: ">=0.1,<0.2"                    # the kernel that the project wants
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
from specloom_registry.model.entry import Entry, entry, unknown
from specloom_registry.model.options import Options, read_options
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom.runfile.yaml import Document
    from specloom_registry.model.package import Package

SCHEMA = 1
KEYS = ("schema", "plugins", "specloom", "mirrors", "installer", "limits")
KEYS_TO_COME = ("nodes", "trust", "indexes")


@dataclass(frozen=True)
class Manifest:
    """A manifest without a problem.

    Args:
        file: Its place.
        entries: Its plugins, in its order.
        options: Mirrors, the installer's settings, limits, and the kernel that is wanted.
    """

    file: Path
    entries: tuple[Entry, ...]
    options: Options

    @property
    def lock(self) -> Path:
        """The place of the lock that belongs to it."""
        return self.file.with_suffix(".lock")


def manifest(file: Path) -> Manifest:
    """Read a manifest.

    Raises:
        ConfigError: The manifest or a plugin's folder is wrong; ``Problems`` if in several ways.
    """
    from specloom.runfile import yaml

    return _manifest(yaml.read(file), file)


def of_text(text: str, file: Path) -> Manifest:
    """What ``file`` would be as a manifest with another text.

    Raises:
        ConfigError: The text or a plugin's folder is wrong; ``Problems`` if in several ways.
    """
    from specloom.runfile import yaml

    return _manifest(yaml.parse(text, str(file)), file)


def _manifest(document: Document, file: Path) -> Manifest:
    raise_all(list(_problems(document)))
    found = _entries(document, file)
    raise_all(in_file_order(error for one in found for error in one.errors))
    return Manifest(file, tuple(found), read_options(document))


def plugins(file: Path) -> list[Package]:
    """The plugins of a manifest that lie in folders, in its order.

    Raises:
        ConfigError: The manifest or a plugin's folder is wrong; ``Problems`` if in several ways.
    """
    return [one.package for one in manifest(file).entries if one.package is not None]


def entries(file: Path) -> list[Entry]:
    """The lines of a manifest, with each plugin's own problems.

    Raises:
        ConfigError: The file as a whole cannot be used; ``Problems`` if in several ways.
    """
    from specloom.runfile import yaml

    document = yaml.read(file)
    raise_all(list(_problems(document)))
    return _entries(document, file)


def _entries(document: Document, file: Path) -> list[Entry]:
    base = tree.resolved(file).parent
    return list(_apart(entry(document, base, name) for name in document.value["plugins"]))


def _problems(document: Document) -> Iterator[SpecloomError]:
    """What is wrong with the file as a whole."""
    value: Any = document.value
    if not isinstance(value, dict):
        yield ConfigError(
            "E-SCHEMA a manifest is a mapping",
            where=document.where(),
            fix="begin it with 'schema: 1' and 'plugins:'",
        )
        return
    yield from unknown(document, (), value, KEYS, KEYS_TO_COME, "the manifest")
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


def _apart(found: Iterable[Entry]) -> Iterator[Entry]:
    """Entries as they are, but for those whose top-level module is an earlier one's."""
    first: dict[str, str] = {}
    for one in found:
        top = one.package.top if one.package else ""
        if one.package and first.setdefault(top, one.name) != one.name:
            yield Entry(one.name, one.where, errors=(clash(top, first[top], one.name, one.where),))
        else:
            yield one


def clash(top: str, first: str, second: str, where: str) -> ConfigError:
    """The error for two plugins with one top-level module."""
    return ConfigError(
        f"E-CLASH plugins {first!r} and {second!r} both bring the module {top!r}",
        where=where,
        fix="rename the module in one of them, or remove one",
    )
