"""What can be said of old names: they lead to present ones, and hide nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specloom.graph.port_attributes import PortAttribute, PortDeclaration
from specloom.testing.comparing import hold
from specloom.testing.making import parameters


def renames_are_sound(cls: Any) -> None:
    """Each old name in ``renamed`` leads to a present port or parameter, and is none itself."""
    present = {*parameters(cls), *getattr(cls, "inputs", ()), *getattr(cls, "outputs", ())}
    for old, now in cls.renamed.items():
        hold(now in present, cls, f"renamed leads from {old!r} to {now!r}, which it does not have")
        ported = PortAttribute | PortDeclaration | None
        living = old in present or not isinstance(getattr(cls, old, None), ported)
        hold(not living, cls, f"renamed has {old!r} as an old name, which it still has")


def old_name_is_sound(plugin: Any, kinds: Mapping[str, Mapping[str, str]], name: str) -> None:
    """What stands behind an old name in a ``register_`` hook is offered by the same hook."""
    for kind, offered in kinds.items():
        if ":" in offered.get(name, ":"):
            continue
        good = ":" in offered.get(offered[name], "")
        what = f"leads from {name!r} to {offered[name]!r}, which it does not offer"
        hold(good, plugin, f"register_{kind} {what} as 'module:Class'")
        others = [one for one in kinds if one != kind and name in kinds[one]]
        hold(not others, plugin, f"{name!r} is an old name, but also among the {' '.join(others)}")
