"""The lock ``plugins.lock``: what each plugin of a manifest is, to the byte.

It holds no dates and no folders of a machine, and is made anew byte for byte the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import specloom
from specloom.contract.errors import ConfigError, raise_all
from specloom_registry.base.faults import (
    PluginIntegrityError,
    PluginUnavailableError,
    parse_json,
    type_problems,
)
from specloom_registry.model.metadata import digest
from specloom_registry.store import store

if TYPE_CHECKING:
    from specloom_registry.model.entry import Entry

SCHEMA = 1
AGAIN = "run: specloom plugins lock"
MOST_REPORTED = 10  # problems of one lock
TREE = re.compile(r"h1-[0-9a-f]{64}")
TEXTS = {"*": str}
PACKAGE = {"name": str, "version": str}
LOCAL = {"source": {"path": str}, "package": PACKAGE, "tree?": str}
REMOTE = {
    "source": {"git": str, "tag": str, "commit": str, "tag_object": str},
    "tree": str,
    "package": {**PACKAGE, "requires_python": str, "root": str, "module": str},
    "api": str,
    "requires_plugins": TEXTS,
    "dependencies": [str],
    "nodes": TEXTS,
}
PIN = {"name": str, "version": str, "file": str, "sha256": str, "why": [str]}
WHOLE = {
    "manifest": {"*": {"*": object}},
    "plugins": {"*": {"source": {"*": object}}},
    "packages?": {"*": {"host?": TEXTS, "pins": [PIN]}},
}


@dataclass(frozen=True)
class Lock:
    """A lock's contents.

    Args:
        manifest: The manifest's lines as they were locked.
        plugins: What was found, by plugin.
        packages: The packages that plugins need and the environment lacks, by platform.
    """

    manifest: Mapping[str, Any] = field(default_factory=dict)
    plugins: Mapping[str, Any] = field(default_factory=dict)
    packages: Mapping[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """The lock as a value, without its digest."""
        body = {
            "schema": SCHEMA,
            "generator": f"specloom {specloom.__version__}",
            "manifest": self.manifest,
            "plugins": self.plugins,
        }
        return {**body, **({"packages": self.packages} if self.packages else {})}

    @property
    def trees(self) -> dict[str, str]:
        """The tree of each plugin that lies in the store."""
        found = self.plugins.items()
        return {name: one["tree"] for name, one in found if "git" in one["source"]}

    def text(self) -> str:
        """The lock as its file holds it."""
        body = self.body
        value = {**body, "digest": digest(body)}
        return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read(file: Path) -> Lock:
    """Read a lock.

    Raises:
        ConfigError: It is absent, of another form, or holds conflict markers.
        PluginIntegrityError: It was changed by hand.
    """
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError as e:
        raise ConfigError(f"E-LOCK {file} is missing", where=str(file), fix=AGAIN) from e
    except (OSError, UnicodeDecodeError) as e:
        what = f"E-LOCK {file} cannot be read: {getattr(e, 'strerror', None) or e}"
        raise ConfigError(what, where=str(file), fix=AGAIN) from e
    try:
        value = parse_json(text)
    except ValueError as e:
        raise _unreadable(file, text, e) from e
    if not isinstance(value, dict) or not isinstance(value.get("schema"), int):
        raise ConfigError("E-LOCK is no lock", where=str(file), fix=AGAIN)
    if value["schema"] > SCHEMA:
        what = f"E-LOCK was made by a newer specloom (schema {value['schema']}, known {SCHEMA})"
        raise ConfigError(what, where=str(file), fix="upgrade specloom")
    said = value.pop("digest", None)
    if said != digest(value):
        what = "E-LOCK was changed by hand: its digest is not that of its contents"
        raise PluginIntegrityError(what, where=str(file), fix=f"restore it, or {AGAIN}")
    return of_value(value, str(file), AGAIN)


def of_value(value: Mapping[str, Any], where: str, fix: str) -> Lock:
    """The lock that a file or a run's record holds.

    Raises:
        ConfigError: A key is missing, or a value is of another type; ``Problems`` if several are.
    """
    problems = list(_problems(value))
    raise_all(
        [ConfigError(f"E-LOCK {one}", where=where, fix=fix) for one in problems[:MOST_REPORTED]]
    )
    return Lock(value["manifest"], value["plugins"], value.get("packages", {}))


def is_there(file: Path) -> bool:
    """Whether there is a lock; where nobody can say, there is one, and reading it tells why."""
    try:
        return file.exists()
    except OSError:
        return True


def lock_digest(file: Path) -> str:
    """The digest that a lock states; empty where there is no lock."""
    try:
        return str(parse_json(file.read_bytes())["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def holds(file: Path, lock: Lock) -> bool:
    """Whether a file holds a lock, to the byte; one that cannot be read holds none."""
    try:
        return file.read_bytes() == lock.text().encode()
    except OSError:
        return False


def write(file: Path, lock: Lock) -> bool:
    """Write a lock in one step; whether it changed anything.

    Raises:
        PluginUnavailableError: It cannot be written.
    """
    data = lock.text().encode()
    try:
        if file.is_file() and file.read_bytes() == data:
            return False
        store.replace(file, data)
    except OSError as e:
        what = f"E-DISK {file} cannot be written: {e.strerror}; nothing was changed"
        raise PluginUnavailableError(what, fix="make room, or make the folder writable") from e
    return True


def stale(
    lock: Lock, entries: Iterable[Entry], file: Path, *, whole: bool = True
) -> list[ConfigError]:
    """An error for each plugin whose line in the manifest is not the one that was locked."""
    found, now = [], {entry.name: entry for entry in entries}
    for name, entry in now.items():
        was = lock.manifest.get(name)
        if was is None:
            found.append(_stale(f"plugin {name!r} is not in {file.name}", entry.where))
            continue
        for key in sorted(was.keys() | entry.written.keys()):
            before, after = was.get(key), entry.written.get(key)
            if before != after:
                what = f"plugin {name!r}: its {key} is {after!r}, but {before!r} in {file.name}"
                found.append(_stale(what, entry.where))
        version = lock.plugins[name]["package"]["version"]
        if entry.package and not found and entry.package.version != version:
            what = (
                f"plugin {name!r}: its version is {entry.package.version!r}, but {version!r} "
                f"in {file.name}"
            )
            found.append(_stale(what, entry.where))
    gone = [name for name in lock.manifest if whole and name not in now]
    return found + [_stale(f"plugin {n!r} is in {file.name} alone", str(file)) for n in gone]


def _problems(value: Mapping[str, Any]) -> Iterator[str]:
    """What is not as a lock has it; the parts of it are looked at once the whole is good."""
    whole = list(type_problems(value, WHOLE))
    yield from whole
    if whole:
        return
    for name in sorted(value["manifest"].keys() ^ value["plugins"].keys()):
        yield f"{name!r} is not both in 'manifest' and in 'plugins'"
    for name, record in value["plugins"].items():
        form = LOCAL if "path" in record["source"] else REMOTE
        wrong = list(type_problems(record, form, f"plugins.{name}"))
        yield from wrong
        if not wrong and not TREE.fullmatch(record.get("tree", f"h1-{'0' * 64}")):
            yield f"'plugins.{name}.tree' is {record['tree']!r}, which is no hash of a tree"


def _stale(what: str, where: str) -> ConfigError:
    return ConfigError(f"E-LOCK-STALE {what}", where=where, fix=AGAIN)


def _unreadable(file: Path, text: str, error: ValueError) -> ConfigError:
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"(<{7}|={7}|>{7}|\|{7})( |$)", line):
            what, where = "E-LOCK conflict markers", f"{file}:{number}"
            return ConfigError(what, where=where, fix="take either side, then " + AGAIN)
    line_number = getattr(error, "lineno", 1)
    what = f"E-LOCK is no JSON: {getattr(error, 'msg', error)}"
    return ConfigError(what, where=f"{file}:{line_number}", fix=f"restore it, or {AGAIN}")
