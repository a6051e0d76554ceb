"""What can be said of old names and defaults: they lead to present ones, and hide nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specloom.graph.port_attributes import PortAttribute, PortDeclaration
from specloom.runfile.parameters import checked
from specloom.testing.comparing import hold
from specloom.testing.making import parameters


def renames_are_sound(cls: Any) -> None:
    """Each old name in ``renamed`` leads to a present port or parameter, and is none itself."""
    present = set(parameters(cls))
    for side in ("inputs", "outputs"):
        present.update(getattr(cls, side, ()))
    for old, now in cls.renamed.items():
        hold(now in present, cls, f"renamed leads from {old!r} to {now!r}, which it does not have")
        attribute = getattr(cls, old, None)
        is_port = isinstance(attribute, PortAttribute | PortDeclaration)
        is_member = attribute is not None and not is_port
        is_present = old in present or is_member
        hold(not is_present, cls, f"renamed has {old!r} as an old name, which it still has")


def earlier_defaults_are_sound(cls: Any) -> None:
    """Each name in ``earlier_defaults`` is a parameter, and its value is accepted."""
    known = parameters(cls)
    for name, value in cls.earlier_defaults.items():
        hold(name in known, cls, f"earlier_defaults has {name!r}, which is no parameter")
        _arguments, problems = checked(cls, cls.__name__, {name: value}, str)
        wrong = [problem for problem in problems if name in problem.what]
        hold(not wrong, cls, f"earlier_defaults has {name}={value!r}, which is not accepted")


def old_name_is_sound(plugin: Any, kinds: Mapping[str, Mapping[str, str]], name: str) -> None:
    """What stands behind an old name in a ``register_`` hook is offered by the same hook."""
    for kind, offered in kinds.items():
        now = offered.get(name, ":")
        if ":" in now:
            continue
        what = f"register_{kind} leads from {name!r} to {now!r}"
        fault = "which it does not offer as 'module:Class'"
        hold(":" in offered.get(now, ""), plugin, f"{what}, {fault}")
        others = [one for one in kinds if one != kind and name in kinds[one]]
        hold(not others, plugin, f"{name!r} is an old name, but also among the {' '.join(others)}")
