"""The settings of a manifest: the index, mirrors, the installer, limits, the kernel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import specloom
from specloom.contract.errors import ConfigError, raise_all
from specloom_registry.model.entry import unknown_keys
from specloom_registry.model.source import check_url
from specloom_registry.model.versions import allows
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom.runfile.yaml import Document

MAX_BYTES = 200_000_000
MAX_FILES = 20_000
INSTALLER_KEYS = {"name": str, "find-links": list, "index-url": str, "no-index": bool}
LIMIT_KEYS = {"bytes": int, "files": int}


@dataclass(frozen=True)
class Limits:
    """How large a plugin may be."""

    bytes: int = MAX_BYTES
    files: int = MAX_FILES


@dataclass(frozen=True)
class Options:
    """The settings of a manifest.

    Args:
        mirrors: Pairs of a URL's beginning and its replacement, in the order of trial.
        pip: Arguments for pip that say where packages come from.
        limits: How large a plugin may be.
        index: The URL of the repository whose plugins are known by name; empty for none.
    """

    mirrors: tuple[tuple[str, str], ...] = ()
    pip: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    index: str = ""

    def urls(self, url: str) -> list[str]:
        """Return where a repository may be fetched from: its mirrors in order, then itself."""
        mirrors = [
            replacement + url.removeprefix(beginning)
            for beginning, replacement in self.mirrors
            if url.startswith(beginning)
        ]
        return [*mirrors, url]


def read_options(document: Document) -> Options:
    """Read the options of a manifest.

    Raises:
        ConfigError: One is wrong, or the project needs another kernel.
    """
    _check_kernel(document)
    return Options(
        mirrors=tuple(_mirrors(document)),
        pip=tuple(_pip_arguments(document)),
        limits=Limits(**_mapping(document, "limits", LIMIT_KEYS)),
        index=_index(document),
    )


def _check_kernel(document: Document) -> None:
    wanted = document.value.get("specloom", "")
    where = document.where("specloom")
    written = document.written("specloom", otherwise=repr(wanted))
    malformed = ConfigError(
        f"E-KERNEL {written} is not a version range",
        where=where,
        fix="write, for example, '>=0.1,<0.2'",
    )
    if not isinstance(wanted, str):
        raise malformed
    try:
        good = allows(wanted, specloom.__version__)
    except ValueError as e:
        raise malformed from e
    if not good:
        what = f"E-KERNEL the project needs specloom {wanted}; this is {specloom.__version__}"
        raise ConfigError(what, where=where, fix=f"pip install 'specloom{wanted}'")


def _index(document: Document) -> str:
    url = document.value.get("index", "")
    if not isinstance(url, str):
        fix = "write the URL of a repository"
        written = document.written("index", otherwise=repr(url))
        raise _option_error(document, ("index",), f"is {written}, which is not a string", fix)
    if url:
        check_url(url, "the index", document.where("index"), allow_file=True)
    return url


def _mirrors(document: Document) -> Iterator[tuple[str, str]]:
    mirrors = document.value.get("mirrors", [])
    if not isinstance(mirrors, list):
        raise _option_error(document, ("mirrors",), "is not a list", "write 'mirrors: []'")
    for i, mirror in enumerate(mirrors):
        where = document.where("mirrors", i)
        if not isinstance(mirror, dict) or set(mirror) != {"match", "use"}:
            what = "E-MIRROR a mirror is {match: <URL>, use: <URL>}"
            raise ConfigError(what, where=where, fix="write both, and only these")
        beginning = str(mirror["match"])
        replacement = str(mirror["use"])
        for url in (beginning, replacement):
            check_url(f"{url}x", f"mirror {i}", where, allow_file=True)
        yield beginning, replacement


def _pip_arguments(document: Document) -> Iterator[str]:
    """Yield the arguments for pip that ``installer`` stands for."""
    installer = _mapping(document, "installer", INSTALLER_KEYS)
    if installer.get("name", "pip") != "pip":
        keys = ("installer", "name")
        raise _option_error(document, keys, "is not 'pip', the only one so far", "write pip")
    base = tree.resolved(Path(document.name)).parent
    for folder in map(str, installer.get("find-links", [])):
        yield "--find-links"
        yield folder if "://" in folder else str(base / folder)
    index_url = installer.get("index-url")
    if index_url:
        check_url(index_url, "installer", document.where("installer", "index-url"))
        yield "--index-url"
        yield index_url
    if installer.get("no-index"):
        yield "--no-index"


def _mapping(document: Document, key: str, types: Mapping[str, type]) -> dict[str, Any]:
    """Return the mapping under a key, with values of these types and without the user's own keys.

    Raises:
        ConfigError: It is something else.
    """
    value = document.value.get(key, {})
    if not isinstance(value, dict):
        raise _option_error(document, (key,), "is not a mapping", f"write '{key}: {{}}'")
    raise_all(unknown_keys(document, (key,), value, types, (), f"'{key}'"))
    found = {}
    for name, item in value.items():
        if name not in types:  # x-…
            continue
        kind = types[name]
        if not isinstance(item, kind) or (kind is int and not _is_limit(item)):
            fix = f"write it as {kind.__name__}"
            raise _option_error(document, (key, name), f"is {item!r}", fix)
        found[name] = item
    return found


def _is_limit(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _option_error(document: Document, keys: tuple[str, ...], what: str, fix: str) -> ConfigError:
    where = document.where(*keys)
    return ConfigError(f"E-OPTION {'.'.join(keys)!r} {what}", where=where, fix=fix)
