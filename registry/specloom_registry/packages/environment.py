"""The packages that this environment has."""

from __future__ import annotations

import platform
import sys
from functools import lru_cache
from importlib import metadata

from specloom_registry.model.requirements import normal


@lru_cache
def installed() -> dict[str, str]:
    """The version of every installed distribution, by its normalised name."""
    found: dict[str, str] = {}
    for one in metadata.distributions():
        name = one.metadata["Name"]
        if name:
            found.setdefault(normal(name), one.version)
    return found


def platform_tag() -> str:
    """What the packages in a lock are for, such as ``linux_x86_64-cp311``."""
    version = sys.version_info
    kind = {"cpython": "cp"}.get(sys.implementation.name, sys.implementation.name)
    system = f"{sys.platform}_{platform.machine().lower()}"
    return f"{system}-{kind}{version.major}{version.minor}"
