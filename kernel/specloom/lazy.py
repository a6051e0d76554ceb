"""Public names of a plugin's package that are imported when they are first used."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from specloom.contract.errors import did_you_mean, warn

__all__ = ["lazy"]

#: The hooks that offer classes; commands and observers are not for Python.
OFFERS = ("register_nodes", "register_losses", "register_trainers", "register_sources")


def lazy(package: str, **also: str) -> Callable[[str], Any]:
    """``__getattr__`` of a plugin's package: imports what its hooks offer, on first use.

    ``__getattr__ = lazy(__name__)`` stands in the ``else`` of ``if TYPE_CHECKING:``.

    Args:
        package: ``__name__``.
        also: Public names that no hook offers, each with its module.
    """
    module = sys.modules[package]

    def attribute(name: str) -> Any:
        missing = f"module {package!r} has no attribute {name!r}"
        if name.startswith(("__", "register_")):  # a hook that a plugin lacks is no mistake
            raise AttributeError(missing, name=name, obj=module)
        targets = {public: f"{where}:{public}" for public, where in also.items()}
        for hook in OFFERS:
            # getattr would call this function again for a hook that is not there.
            targets |= vars(module).get(hook, dict)()
        if name not in targets:
            hint = did_you_mean(name, vars(module).get("__all__", targets))
            raise AttributeError(f"{missing}: {hint}", name=name, obj=module)
        target = targets[name]
        if ":" not in target:  # an old name, with the present one behind it
            warn(f"{package}.{name} is now called {target}: change it", "")
            return getattr(module, target)
        where, _, of_module = target.partition(":")
        found = getattr(import_module(where), of_module)
        setattr(module, name, found)
        return found

    return attribute
