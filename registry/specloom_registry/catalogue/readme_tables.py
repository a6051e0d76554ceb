"""The port tables in a plugin's README, between ``<!-- ports -->`` and ``<!-- /ports -->``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specloom_registry.catalogue.descriptors import port_table

BETWEEN = re.compile(r"(<!-- ports -->\n).*?(<!-- /ports -->)", re.DOTALL)


def readme_of(descriptor: Path) -> Path:
    """The README of the plugin whose package holds ``descriptor``."""
    return descriptor.parent.parent / "README.md"


def with_ports(text: str, plugin: str, described: Mapping[str, Mapping[str, Any]]) -> str:
    """``text`` with the tables of everything that has ports; unchanged where it has no markers."""
    tables = "".join(
        f"\n`{plugin}.{name}`\n\n{port_table(one)}\n"
        for name, one in described.items()
        if one.get("inputs") or one.get("outputs")
    )
    return BETWEEN.sub(lambda found: f"{found[1]}{tables}\n{found[2]}", text)
