"""What a manifest says beside its plugins: mirrors, the installer, limits, the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import specloom
from specloom.contract.errors import ConfigError, raise_all
from specloom_registry.model.entry import unknown
from specloom_registry.model.source import check_url
from specloom_registry.model.versions import allows
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom.runfile.yaml import Document

MOST_BYTES, MOST_FILES = 200_000_000, 20_000


@dataclass(frozen=True)
class Limits:
    """How large a plugin may be."""

    bytes: int = MOST_BYTES
    files: int = MOST_FILES


@dataclass(frozen=True)
class Options:
    """The settings of a manifest.

    Args:
        mirrors: Pairs of a URL's beginning and what stands for it, in the order of trial.
        pip: Arguments for pip that say where packages come from.
        limits: How large a plugin may be.
    """

    mirrors: tuple[tuple[str, str], ...] = ()
    pip: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def places(self, url: str) -> list[str]:
        """Where a repository can be had: its mirrors in order, then itself."""
        found = [
            use + url.removeprefix(match) for match, use in self.mirrors if url.startswith(match)
        ]
        return [*found, url]


def read_options(document: Document) -> Options:
    """The options of a manifest.

    Raises:
        ConfigError: One is wrong, or this kernel is not the one that the project wants.
    """
    _kernel(document)
    mirrors = tuple(_mirror(document, i, m) for i, m in enumerate(_list(document, "mirrors")))
    installer = _mapping(
        document, "installer", {"name": str, "find-links": list, "index-url": str, "no-index": bool}
    )
    base, pip = tree.resolved(Path(document.name)).parent, list[str]()
    if installer.get("name", "pip") != "pip":
        _wrong(document, ("installer", "name"), "is not 'pip', the only one so far", "write pip")
    for folder in installer.get("find-links", []):
        pip += ["--find-links", str(folder) if "://" in str(folder) else str(base / str(folder))]
    if installer.get("index-url"):
        check_url(installer["index-url"], "installer", document.where("installer", "index-url"))
        pip += ["--index-url", installer["index-url"]]
    if installer.get("no-index"):
        pip.append("--no-index")
    limits = Limits(**_mapping(document, "limits", {"bytes": int, "files": int}))
    return Options(mirrors, tuple(pip), limits)


def _kernel(document: Document) -> None:
    wanted = document.value.get("specloom", "")
    where = document.where("specloom")
    try:
        good = allows(wanted, specloom.__version__)
    except (ValueError, AttributeError, TypeError) as e:
        what, fix = f"E-KERNEL {wanted!r} is no version range", "write it such as '>=0.1,<0.2'"
        raise ConfigError(what, where=where, fix=fix) from e
    if not good:
        what = f"E-KERNEL the project wants specloom {wanted}; this is {specloom.__version__}"
        raise ConfigError(what, where=where, fix=f"pip install 'specloom{wanted}'")


def _mirror(document: Document, i: int, one: Any) -> tuple[str, str]:
    where = document.where("mirrors", i)
    if not isinstance(one, dict) or set(one) != {"match", "use"}:
        what, fix = "E-MIRROR a mirror is {match: <URL>, use: <URL>}", "write both, and only these"
        raise ConfigError(what, where=where, fix=fix)
    match, use = str(one["match"]), str(one["use"])
    for url in (match, use):
        check_url(f"{url}x", f"mirror {i}", where, allow_file=True)
    return match, use


def _list(document: Document, key: str) -> list[Any]:
    value = document.value.get(key, [])
    if not isinstance(value, list):
        _wrong(document, (key,), "is no list", f"write '{key}: []'")
    return list(value)


def _mapping(document: Document, key: str, known: Mapping[str, type]) -> dict[str, Any]:
    value = document.value.get(key, {})
    if not isinstance(value, dict):
        _wrong(document, (key,), "is no mapping", f"write '{key}: {{}}'")
    raise_all(unknown(document, (key,), value, known, (), f"'{key}'"))
    for name, one in value.items():
        kind = known.get(name, object)
        small = kind is int and (isinstance(one, bool) or not isinstance(one, int) or one < 1)
        if not isinstance(one, kind) or small:
            _wrong(document, (key, name), f"is {one!r}", f"write it as {kind.__name__}")
    return {name: one for name, one in value.items() if name in known}


def _wrong(document: Document, keys: tuple[str, ...], what: str, fix: str) -> None:
    where = document.where(*keys)
    raise ConfigError(f"E-OPTION {'.'.join(keys)!r} {what}", where=where, fix=fix)
