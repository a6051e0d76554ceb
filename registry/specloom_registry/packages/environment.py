"""The packages that this environment has."""

from __future__ import annotations

import platform
import sys
from functools import lru_cache
from importlib import metadata

from specloom.contract.hooks import GROUP
from specloom.plugins import RESOLVER
from specloom_registry.model.requirements import normalize_name


@lru_cache
def installed() -> dict[str, str]:
    """Return the version of every installed distribution, by its normalised name."""
    found: dict[str, str] = {}
    for one in metadata.distributions():
        name = one.metadata["Name"]
        if name:
            found.setdefault(normalize_name(name), one.version)
    return found


def installed_plugins() -> dict[str, str]:
    """Return the version of every installed plugin but the registry, by the plugin's name."""
    return {
        entry.name: entry.dist.version
        for entry in metadata.entry_points(group=GROUP)
        if entry.dist is not None and entry.name != RESOLVER
    }


def platform_tag() -> str:
    """Return the platform of the packages in a lock, such as ``linux_x86_64-cp311``."""
    version = sys.version_info
    implementations = {"cpython": "cp"}
    kind = implementations.get(sys.implementation.name, sys.implementation.name)
    system = f"{sys.platform}_{platform.machine().lower()}"
    return f"{system}-{kind}{version.major}{version.minor}"
