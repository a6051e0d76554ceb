"""Construct what a run file names: find the class, check its parameters, make an instance."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from specloom.contract.errors import PluginError, SpecloomError, as_specloom_error, shown, warn
from specloom.contract.ports import Port
from specloom.plugins import KINDS, Plugins
from specloom.runfile import parameters
from specloom.runfile.form import Component
from specloom.runfile.yaml import Document

#: What an instance of each kind must have.
REQUIRED_MEMBERS = {
    "nodes": ("inputs", "outputs", "forward"),
    "sources": ("outputs", "sizes", "splits", "count", "batches"),
    "trainers": ("check", "train"),
}


class Constructed(NamedTuple):
    """A component with its full name; the instance is None where it could not be made."""

    label: str
    instance: Any


class Constructor:
    """Constructs the components of one run file, and collects what is wrong with them.

    Args:
        document: The run file, for the places in messages.
        plugins: Where names are looked up.
        problems: The list to add problems to.
        saved: Whether it is a saved pipeline, in which nodes have the defaults of the versions that
            saved them.
    """

    def __init__(
        self,
        document: Document,
        plugins: Plugins,
        problems: list[SpecloomError],
        *,
        saved: bool = False,
    ) -> None:
        self.document = document
        self.plugins = plugins
        self.problems = problems
        self.saved = saved

    def construct(self, component: Component, *kinds: str) -> Constructed:
        """The component, which must be one of the kinds."""
        if not component.type:
            return Constructed("", None)
        try:
            return self._construct(component, kinds)
        except Exception as e:
            where = self.document.where(*component.keys)
            error = as_specloom_error(e, component.type, where)
            self.problems.append(error)
            return Constructed(component.type, None)

    def _construct(self, component: Component, kinds: tuple[str, ...]) -> Constructed:
        where = self.document.where(*component.keys, "type")
        label, cls = self.plugins.find(component.type, kinds, where)
        if not isinstance(cls, type):
            what = f"{label} is no class, but {shown(cls)}"
            fix = f"repair the plugin {_plugin(label)!r}: offer a class"
            raise PluginError(what, where=where, fix=fix)
        at = partial(self.document.where, *component.keys, "config")
        written = partial(self.document.written, *component.keys, "config")
        config = component.config
        if self.saved:
            config = _with_earlier_defaults(cls, label, config, where)
        arguments, wrong = parameters.checked(cls, label, config, at, written)
        self.problems += wrong
        missing = parameters.required(cls) - arguments.keys()
        if missing:
            return Constructed(label, None)
        instance = cls(**arguments)
        _check_members(instance, label, kinds[0], where)
        return Constructed(label, instance)


def _with_earlier_defaults(
    cls: type,
    label: str,
    config: Mapping[str, Any],
    where: str,
) -> Mapping[str, Any]:
    """The parameters of a saved node, with defaults of when it was saved, each with a warning."""
    found = dict(config)
    for name, value in parameters.earlier_defaults(cls).items():
        if name in found:
            continue
        found[name] = value
        what = f"{label} was saved without {name}: it is {shown(value)}, as in that version"
        fix = "run the run file again for the present default"
        warn(f"{what}; {fix}", where)
    return found


def _check_members(instance: Any, label: str, kind: str, where: str) -> None:
    """Accept an instance that has what its kind needs.

    Raises:
        PluginError: Something is missing, or is something else.
    """
    noun = KINDS[kind]
    fix = f"repair the plugin {_plugin(label)!r}: offer a class that is a {noun}"
    for name in REQUIRED_MEMBERS[kind]:
        problem = _member_problem(instance, name)
        if problem:
            what = f"{label} is no {noun}: {problem}"
            raise PluginError(what, where=where, fix=fix)


def _member_problem(instance: Any, name: str) -> str:
    """What is wrong with a member that an instance must have, or ``""``."""
    if not hasattr(instance, name):
        return f"it has no {name!r}"
    member = getattr(instance, name)
    if name in ("inputs", "outputs"):
        if not _are_ports(member):
            return f"its {name} are no mapping of names to ports"
    elif not callable(member):
        return f"its {name!r} cannot be called"
    return ""


def _are_ports(ports: Any) -> bool:
    """Whether it is a mapping of names to ports."""
    if not isinstance(ports, Mapping):
        return False
    for name, port in ports.items():
        if not isinstance(name, str) or not isinstance(port, Port):
            return False
    return True


def _plugin(label: str) -> str:
    """The plugin that a full name begins with."""
    plugin, _, _name = label.partition(".")
    return plugin
