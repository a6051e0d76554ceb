"""The packages that this environment has."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from functools import lru_cache
from importlib import metadata
from typing import NamedTuple

from specloom.contract.hooks import GROUP
from specloom.plugins import RESOLVER
from specloom_registry.model.requirements import normalize_name

HOW_INSTALLED = re.compile(r"dist-info/(?:INSTALLER|REQUESTED|RECORD|direct_url\.json),")
HEADER = r"^{}:[ \t]*(.*)$"
NAME = re.compile(HEADER.format("Name"), re.MULTILINE)
VERSION = re.compile(HEADER.format("Version"), re.MULTILINE)


class Installed(NamedTuple):
    """An installed distribution, whose metadata was read once."""

    version: str
    distribution: metadata.Distribution


@lru_cache
def _distributions() -> dict[str, Installed]:
    """Return the installed distributions by their normalised names; the first of a name counts."""
    found: dict[str, Installed] = {}
    for one in metadata.distributions():
        text = one.read_text("METADATA") or one.read_text("PKG-INFO") or ""
        headers, _, _description = text.partition("\n\n")
        name = _header(NAME, headers)
        if name:
            version = _header(VERSION, headers)
            found.setdefault(normalize_name(name), Installed(version, one))
    return found


def _header(pattern: re.Pattern[str], headers: str) -> str:
    """Return the value of a header: parsing all of them takes ten times as long."""
    found = pattern.search(headers)
    if found is None:
        return ""
    return found[1].strip()


def installed() -> dict[str, str]:
    """Return the version of every installed distribution, by its normalised name."""
    return {name: one.version for name, one in _distributions().items()}


def installed_plugins() -> dict[str, str]:
    """Return the version of every installed plugin but the registry, by the plugin's name."""
    return {
        entry.name: entry.dist.version
        for entry in metadata.entry_points(group=GROUP)
        if entry.dist is not None and entry.name != RESOLVER
    }


def hashes() -> dict[str, str]:
    """Return the SHA-256 of the list of files (``RECORD``) of every installed distribution.

    The list holds the hash of each file, so that two environments with the same values have the
    same packages to the byte. One without a list is absent.
    """
    found: dict[str, str] = {}
    for name, one in _distributions().items():
        record = one.distribution.read_text("RECORD")
        if record:
            text = "\n".join(sorted(_hashed_lines(record)))
            found[name] = hashlib.sha256(text.encode()).hexdigest()
    return found


def _hashed_lines(record: str) -> list[str]:
    """Return the lines of files that have a hash, but for those that say how it was installed."""
    lines = [line for line in record.splitlines() if ",sha256=" in line and "/bin/" not in line]
    return [line for line in lines if not _says_how_installed(line)]


def _says_how_installed(line: str) -> bool:
    return "dist-info/" in line and HOW_INSTALLED.search(line) is not None


def from_folders() -> list[str]:
    """Return the distributions that were installed from a folder, which no index has."""
    found = []
    for name, one in _distributions().items():
        source = one.distribution.read_text("direct_url.json") or ""
        if '"dir_info"' in source:
            found.append(name)
    return sorted(found)


def platform_tag() -> str:
    """Return the platform of the packages in a lock, such as ``linux_x86_64-cp311``."""
    version = sys.version_info
    implementations = {"cpython": "cp"}
    kind = implementations.get(sys.implementation.name, sys.implementation.name)
    system = f"{sys.platform}_{platform.machine().lower()}"
    return f"{system}-{kind}{version.major}{version.minor}"
