"""Everything that a plugin offers, and pytest's parameters for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import PluginError, UnavailableError, did_you_mean
from specloom.graph.ported import NodeType
from specloom.plugins import Plugins
from specloom.testing import construction, offering, renaming
from specloom.testing.applying import OTHERS, Checks, checks_of

if TYPE_CHECKING:
    import pytest


def checks_of_plugin(prefix: str, examples: Mapping[str, Any] | None = None) -> Checks:
    """Yield ``("Name-check", check)`` for everything that a plugin offers.

    Args:
        prefix: The name of its entry point.
        examples: Parameters by the name of what is offered, or functions that give them; they
            take the place of the class's own ``example``.
    """
    found = [entry for entry in entry_points(group="specloom") if entry.name == prefix]
    if len(found) != 1:
        raise PluginError(
            f"{len(found)} installed plugins are named {prefix!r}",
            fix=f"pip install -e plugins/{prefix}",
        )
    plugin, unused = found[0].load(), dict(examples or {})
    for check in (offering.import_is_light, offering.hooks_are_known):
        yield f"plugin-{check.__name__}", partial(check, plugin)
    registered = partial(offering.kinds_are_registered, prefix, plugin)
    yield f"plugin-{offering.kinds_are_registered.__name__}", registered
    if Plugins({prefix: plugin}).descriptor(prefix):
        yield (
            "plugin-descriptor_is_current",
            partial(offering.descriptor_is_current, prefix, plugin),
        )
    if isinstance(plugin, ModuleType):
        yield "plugin-exports_are_current", partial(offering.exports_are_current, prefix, plugin)
    kinds = ("nodes", "losses", *OTHERS)
    offers: dict[str, dict[str, str]] = {
        kind: getattr(plugin, f"register_{kind}", dict)() for kind in kinds
    }
    for kind in kinds:
        for name, target in offers[kind].items():
            if ":" in str(target):
                yield from _checks_of_class(name, target, kind, unused.pop(name, None))
            else:
                check = partial(renaming.old_name_is_sound, plugin, offers, name)
                yield f"{name}-{renaming.old_name_is_sound.__name__}", check
    if unused:
        raise PluginError(f"examples for what {prefix} does not offer: {sorted(unused)}")


def _checks_of_class(name: str, target: str, kind: str, given: Any) -> Checks:
    try:
        module, _, attribute = target.partition(":")
        offered = getattr(import_module(module), attribute)
    except Exception:
        yield f"{name}-imports", partial(_import, target)
        return
    if given is not None:
        make = staticmethod(given if callable(given) else partial(dict, given))
        offered = type(offered.__name__, (offered,), {"example": make})
    if kind in ("nodes", "losses") and isinstance(offered, NodeType):
        check = construction.ports_are_descriptors
        yield f"{name}-{check.__name__}", partial(check, offered)
    for check_name, call in checks_of(offered, kind):
        yield f"{name}-{check_name}", call


def parametrize_with_checks(
    prefix: str,
    expected_failures: Mapping[str, str] | None = None,
    examples: Mapping[str, Any] | None = None,
) -> pytest.MarkDecorator:
    """One test for each check of everything that a plugin offers.

    Args:
        prefix: The name of the plugin's entry point.
        expected_failures: ``{"RXGlobal-same_twice": "why"}``. Strict: what was mended must be
            taken off the list.
        examples: Parameters by the name of what is offered, or functions that give them, for
            classes that need files.

    Raises:
        PluginError: The plugin is not installed, or a name of an expected failure is unknown.
    """
    import pytest

    reasons, rows = dict(expected_failures or {}), []
    known = []
    for name, check in checks_of_plugin(prefix, examples):
        known.append(name)
        why = reasons.pop(name, None)
        marks = [] if why is None else [pytest.mark.xfail(reason=why, strict=True)]
        rows.append(pytest.param(partial(skipping, check), id=name, marks=marks))
    for name in reasons:
        raise PluginError(f"no check is named {name!r}", fix=did_you_mean(name, known))
    if empty := [name for name, why in (expected_failures or {}).items() if not why.strip()]:
        raise PluginError(f"expected failures without a reason: {empty}", fix="say why")
    if all(name.startswith("plugin-") for name in known):
        raise PluginError(f"plugin {prefix!r} offers nothing to check")
    return pytest.mark.parametrize("check", rows)


def skipping(check: Callable[[], None]) -> None:
    """Run a check; what this machine does not have is reported as skipped, with the reason."""
    import pytest

    try:
        check()
    except UnavailableError as error:
        pytest.skip(str(error))


def _import(target: str) -> None:
    """Import what a plugin offers."""
    module, _, attribute = target.partition(":")
    getattr(import_module(module), attribute)
