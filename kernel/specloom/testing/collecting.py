"""Everything that a plugin offers, and pytest's parameters for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    plugin = found[0].load()
    yield from _checks_of_module(prefix, plugin)
    offers = _offers(plugin)
    unused = dict(examples or {})
    for kind, targets in offers.items():
        for name, target in targets.items():
            if ":" in str(target):
                yield from _checks_of_class(name, target, kind, unused.pop(name, None))
            else:
                check = partial(renaming.old_name_is_sound, plugin, offers, name)
                yield f"{name}-{renaming.old_name_is_sound.__name__}", check
    if unused:
        raise PluginError(f"examples for what {prefix} does not offer: {sorted(unused)}")


def _checks_of_module(prefix: str, plugin: Any) -> Checks:
    """The checks of what a plugin is made of, apart from its classes."""
    for check in (offering.import_is_light, offering.hooks_are_known):
        yield f"plugin-{check.__name__}", partial(check, plugin)
    named_checks = [offering.kinds_are_registered]
    if Plugins({prefix: plugin}).descriptor(prefix):
        named_checks.append(offering.descriptor_is_current)
    if isinstance(plugin, ModuleType):
        named_checks.append(offering.exports_are_current)
    for named_check in named_checks:
        yield f"plugin-{named_check.__name__}", partial(named_check, prefix, plugin)


def _offers(plugin: Any) -> dict[str, dict[str, str]]:
    """What each hook ``register_...`` offers, by kind."""
    offers: dict[str, dict[str, str]] = {}
    for kind in ("nodes", "losses", *OTHERS):
        register = getattr(plugin, f"register_{kind}", dict)
        offers[kind] = register()
    return offers


def _checks_of_class(name: str, target: str, kind: str, parameters: Any) -> Checks:
    """The checks of one class, made with the parameters where there are some."""
    try:
        offered = _import(target)
    except Exception:
        yield f"{name}-imports", partial(_import, target)
        return
    if parameters is not None:
        offered = _with_example(offered, parameters)
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
        expected_failures: ``{"RXGlobal-same_twice": "why"}``. Strict: remove a check from the
            list when it passes.
        examples: Parameters by the name of what is offered, or functions that give them, for
            classes that need files.

    Raises:
        PluginError: The plugin is not installed, or a name of an expected failure is unknown.
    """
    import pytest

    reasons = dict(expected_failures or {})
    rows = []
    names = []
    for name, check in checks_of_plugin(prefix, examples):
        marks = []
        if name in reasons:
            marks.append(pytest.mark.xfail(reason=reasons[name], strict=True))
        names.append(name)
        rows.append(pytest.param(partial(skipping, check), id=name, marks=marks))
    _check_reasons(reasons, names)
    if all(name.startswith("plugin-") for name in names):
        raise PluginError(f"plugin {prefix!r} offers nothing to check")
    return pytest.mark.parametrize("check", rows)


def skipping(check: Callable[[], None]) -> None:
    """Run a check; what this machine does not have is reported as skipped, with the reason."""
    import pytest

    try:
        check()
    except UnavailableError as error:
        pytest.skip(str(error))


def _check_reasons(reasons: Mapping[str, str], names: Sequence[str]) -> None:
    """Raise PluginError for an expected failure of no check, or without a reason."""
    for name in reasons:
        if name not in names:
            raise PluginError(f"no check is named {name!r}", fix=did_you_mean(name, names))
    without_reason = [name for name, why in reasons.items() if not why.strip()]
    if without_reason:
        what = f"expected failures without a reason: {without_reason}"
        raise PluginError(what, fix="say why")


def _import(target: str) -> Any:
    """Import what a plugin offers."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def _with_example(offered: Any, parameters: Any) -> Any:
    """A subclass of the same name that is made with other parameters."""
    if not callable(parameters):
        parameters = partial(dict, parameters)
    return type(offered.__name__, (offered,), {"example": staticmethod(parameters)})
