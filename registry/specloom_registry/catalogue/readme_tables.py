"""The port tables in a plugin's README, between ``<!-- ports -->`` and ``<!-- /ports -->``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specloom_registry.catalogue.descriptors import port_table

BETWEEN = re.compile(r"(<!-- ports -->\n).*?(<!-- /ports -->)", re.DOTALL)


def readme_of(descriptor: Path) -> Path:
    """Return the README of the plugin whose package holds ``descriptor``."""
    return descriptor.parent.parent / "README.md"


def with_ports(text: str, plugin: str, descriptors: Mapping[str, Mapping[str, Any]]) -> str:
    """Return ``text`` with the tables of everything that has ports; it stays without markers."""
    tables = ""
    for name, descriptor in descriptors.items():
        if descriptor.get("inputs") or descriptor.get("outputs"):
            tables += f"\n`{plugin}.{name}`\n\n{port_table(descriptor)}\n"
    return BETWEEN.sub(lambda match: f"{match[1]}{tables}\n{match[2]}", text)
