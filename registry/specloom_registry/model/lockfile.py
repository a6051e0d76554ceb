"""The lock ``plugins.lock``: what each plugin of a manifest is, to the byte.

It holds no dates and no folders of a machine, and is written again byte for byte the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import specloom
from specloom.contract.errors import ConfigError, raise_all, shown
from specloom_registry.base.faults import (
    PluginIntegrityError,
    PluginUnavailableError,
    parse_json,
    type_problems,
)
from specloom_registry.base.ownership import check_owner
from specloom_registry.base.paths import read_regular
from specloom_registry.model.metadata import digest
from specloom_registry.store import store

if TYPE_CHECKING:
    from specloom_registry.model.entry import Entry
    from specloom_registry.model.manifest import Manifest

SCHEMA = 1
RELOCK = "run: specloom plugins lock"
MAX_REPORTED = 10  # problems of one lock
COMMIT = re.compile(r"[0-9a-f]{40}")
#: How a text of a lock looks, by the end of its path there: where one is used as a path, a name
#: for git or a line for pip, it must not be something else.
TEXT_FORMS = {
    "tree": (re.compile(r"h1-[0-9a-f]{64}"), "the hash of a tree"),
    "source.commit": (COMMIT, "a commit"),
    "source.tag_object": (COMMIT, "a Git object"),
    "package.root": (
        re.compile(r"\.|(?:(?!\.{1,2}(?:/|$))[^/\\\0-\x1f:]+(?:/(?!$)|$))+"),
        "a folder of the plugin",
    ),
    "package.module": (re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"), "the name of a module"),
}
PIN_FORMS = {
    "name": (re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*"), "the name of a package"),
    "version": (re.compile(r"[A-Za-z0-9.!+_-]+"), "a version"),
    "file": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]*\.whl"), "the name of a wheel"),
    "sha256": (re.compile(r"[0-9a-f]{64}"), "a SHA-256"),
}
TEXTS = {"*": str}
PACKAGE = {"name": str, "version": str}
LOCAL_FORM = {"source": {"path": str}, "package": PACKAGE, "tree?": str}
REMOTE_FORM = {
    "source": {"git": str, "tag": str, "commit": str, "tag_object": str},
    "tree": str,
    "package": {**PACKAGE, "requires_python": str, "root": str, "module": str},
    "api": str,
    "requires_plugins": TEXTS,
    "dependencies": [str],
    "nodes": TEXTS,
}
PIN_FORM = {
    "name": str,
    "version": str,
    "file": str,
    "sha256": str,
    "bytes?": int,
    "why": [str],
}
LOCK_FORM = {
    "manifest": {"*": {"*": object}},
    "plugins": {"*": {"source": {"*": object}}},
    "packages?": {"*": {"host?": TEXTS, "pins": [PIN_FORM]}},
    "installed?": TEXTS,
}


@dataclass(frozen=True)
class Lock:
    """A lock's contents.

    Args:
        manifest: The manifest's lines as they were locked.
        plugins: What each plugin is, by name.
        packages: The packages that plugins need and the environment lacks, by platform.
        installed: The versions of the installed plugins that count too, if the manifest says so.
    """

    manifest: Mapping[str, Any] = field(default_factory=dict)
    plugins: Mapping[str, Any] = field(default_factory=dict)
    packages: Mapping[str, Any] = field(default_factory=dict)
    installed: Mapping[str, str] | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The lock as a value, without its digest."""
        body: dict[str, Any] = {
            "schema": SCHEMA,
            "generator": f"specloom {specloom.__version__}",
            "manifest": self.manifest,
            "plugins": self.plugins,
        }
        if self.packages:
            body["packages"] = self.packages
        if self.installed is not None:
            body["installed"] = self.installed
        return body

    @property
    def trees(self) -> dict[str, str]:
        """The tree of each plugin that lies in the store, by the plugin's name."""
        return {
            name: record["tree"]
            for name, record in self.plugins.items()
            if "git" in record["source"]
        }

    def text(self) -> str:
        """Return the lock as its file holds it."""
        body = self.body
        value = {**body, "digest": digest(body)}
        return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read(file: Path) -> Lock:
    """Read a lock.

    Raises:
        ConfigError: It is absent, of another form, or holds conflict markers.
        PluginIntegrityError: It was changed by hand, or belongs to another user.
    """
    check_owner(file, "the lock")
    try:
        text = read_regular(file).decode("utf-8")
    except FileNotFoundError as e:
        raise ConfigError(f"E-LOCK {file} is missing", where=str(file), fix=RELOCK) from e
    except (OSError, UnicodeDecodeError) as e:
        what = f"E-LOCK {file} cannot be read: {getattr(e, 'strerror', None) or e}"
        raise ConfigError(what, where=str(file), fix=RELOCK) from e
    try:
        value = parse_json(text)
    except ValueError as e:
        raise _syntax_error(file, text, e) from e
    if not isinstance(value, dict) or not isinstance(value.get("schema"), int):
        raise ConfigError("E-LOCK is not a lock file", where=str(file), fix=RELOCK)
    if value["schema"] > SCHEMA:
        what = (
            f"E-LOCK was written by a newer specloom (schema {value['schema']}, "
            f"this one reads {SCHEMA})"
        )
        raise ConfigError(what, where=str(file), fix="upgrade specloom")
    stated = value.pop("digest", None)
    if stated != digest(value):
        what = "E-LOCK was changed by hand: its digest is not that of its contents"
        raise PluginIntegrityError(what, where=str(file), fix=f"restore it, or {RELOCK}")
    return from_value(value, str(file), RELOCK)


def from_value(value: Mapping[str, Any], where: str, fix: str) -> Lock:
    """Return the lock that a file or a run's record holds.

    Raises:
        ConfigError: A key is missing, or a value is of another type; ``Problems`` if several are.
    """
    problems = list(_problems(value))[:MAX_REPORTED]
    raise_all([ConfigError(f"E-LOCK {problem}", where=where, fix=fix) for problem in problems])
    packages = value.get("packages", {})
    return Lock(value["manifest"], value["plugins"], packages, value.get("installed"))


def lock_digest(file: Path) -> str:
    """Return the digest that a lock states; empty if there is no lock."""
    try:
        return str(parse_json(read_regular(file))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def is_current(file: Path, lock: Lock) -> bool:
    """Check whether a file holds a lock, to the byte; one that cannot be read holds none."""
    try:
        return read_regular(file) == lock.text().encode()
    except OSError:
        return False


def write(file: Path, lock: Lock) -> bool:
    """Write a lock in one step; return whether this changed the file.

    Raises:
        PluginUnavailableError: It cannot be written.
    """
    data = lock.text().encode()
    try:
        if file.is_file() and file.read_bytes() == data:
            return False
        store.replace_file(file, data)
    except OSError as e:
        what = f"E-DISK {file} cannot be written: {e.strerror}; nothing was changed"
        raise PluginUnavailableError(what, fix="make room, or make the folder writable") from e
    return True


def stale_errors(
    lock: Lock, entries: Iterable[Entry], file: Path, *, complete: bool = True
) -> list[ConfigError]:
    """Return an error for each plugin whose line in the manifest is not the one that was locked.

    Args:
        lock: The lock.
        entries: The lines of the manifest.
        file: The lock's file.
        complete: Whether ``entries`` are all lines, so that others in the lock are errors, too.
    """
    errors: list[ConfigError] = []
    absent: list[Entry] = []
    names = set()
    for entry in entries:
        names.add(entry.name)
        locked = lock.manifest.get(entry.name)
        if locked is None:
            absent.append(entry)
            continue
        changes = list(_line_changes(entry, locked, file))
        if entry.package and not errors and not changes:
            version = lock.plugins[entry.name]["package"]["version"]
            changes += _value_changes(entry, "version", version, entry.package.version, file)
        errors += changes
    if absent:
        found = _listed([entry.name for entry in absent])
        errors.append(_stale_error(f"{found} not in {file.name}", absent[0].where))
    alone = [name for name in lock.manifest if name not in names]
    if complete and alone:
        errors.append(_stale_error(f"{_listed(alone)} in {file.name} alone", str(file)))
    return errors


def _listed(names: Sequence[str]) -> str:
    """Return the first plugin, and how many more there are, with a verb."""
    if len(names) == 1:
        return f"plugin {names[0]!r} is"
    return f"plugin {names[0]!r} and {len(names) - 1} more are"


def stale_installed(lock: Lock, manifest: Manifest, file: Path) -> list[ConfigError]:
    """Return an error if the lock was made before ``installed`` was changed in the manifest."""
    was = lock.installed is not None
    if was == manifest.installed:
        return []
    what = f"'installed' is {manifest.installed}, but {was} in {file.name}"
    return [_stale_error(what, str(manifest.file))]


def _line_changes(entry: Entry, locked: Mapping[str, Any], file: Path) -> Iterator[ConfigError]:
    now = entry.to_dict()
    for key in sorted(locked.keys() | now.keys()):
        yield from _value_changes(entry, key, locked.get(key), now.get(key), file)


def _value_changes(
    entry: Entry, key: str, locked: Any, now: Any, file: Path
) -> Iterator[ConfigError]:
    if locked != now:
        what = f"plugin {entry.name!r}: its {key} is {now!r}, but {locked!r} in {file.name}"
        yield _stale_error(what, entry.where)


def _problems(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not as a lock has it; the records are checked if the whole has no problem."""
    problems = list(type_problems(value, LOCK_FORM))
    yield from problems
    if problems:
        return
    for name in sorted(value["manifest"].keys() ^ value["plugins"].keys()):
        yield f"{name!r} is not both in 'manifest' and in 'plugins'"
    for name, record in value["plugins"].items():
        yield from _record_problems(f"plugins.{name}", record)
    for platform, packages in value.get("packages", {}).items():
        for i, pin in enumerate(packages["pins"]):
            yield from _text_problems(f"packages.{platform}.pins[{i}]", pin, PIN_FORMS)


def _record_problems(path: str, record: Mapping[str, Any]) -> Iterator[str]:
    form: dict[str, Any] = REMOTE_FORM
    if "path" in record["source"]:
        form = LOCAL_FORM
    problems = list(type_problems(record, form, path))
    yield from problems
    if not problems:
        yield from _text_problems(path, record, TEXT_FORMS)


def _text_problems(
    path: str, record: Mapping[str, Any], forms: Mapping[str, tuple[re.Pattern[str], str]]
) -> Iterator[str]:
    """Yield the texts of a record that are of another form; an absent one has no problem."""
    for keys, (pattern, kind) in forms.items():
        value: Any = record
        for key in keys.split("."):
            value = value.get(key, {})
        if isinstance(value, str) and not pattern.fullmatch(value):
            yield f"'{path}.{keys}' is {shown(value)}, which is not {kind}"


def _stale_error(what: str, where: str) -> ConfigError:
    return ConfigError(f"E-LOCK-STALE {what}", where=where, fix=RELOCK)


def _syntax_error(file: Path, text: str, error: ValueError) -> ConfigError:
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"(<{7}|={7}|>{7}|\|{7})( |$)", line):
            what = "E-LOCK has conflict markers"
            fix = f"resolve the conflict with either side, then {RELOCK}"
            return ConfigError(what, where=f"{file}:{number}", fix=fix)
    number = getattr(error, "lineno", 1)
    what = f"E-LOCK is not JSON: {getattr(error, 'msg', error)}"
    return ConfigError(what, where=f"{file}:{number}", fix=f"restore it, or {RELOCK}")
