"""What plugins offer, from the ``nodes.json`` that each ships, so that none need be imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from specloom import PluginError, Plugins, SpecloomError
from specloom.contract.errors import warn
from specloom_registry.base.faults import parse_json, type_problems

PORT = {"axes?": (str, type(None)), "dtype?": str, "doc?": str, "unit?": str}
OPTION: dict[str, Any] = {"enum?": [object], "items?": {}}
PARAMETER: dict[str, Any] = {**OPTION, "anyOf?": [OPTION]}
PARAMETERS = {"params": {"*": PARAMETER}, "required": [str]}
DESCRIPTOR = {
    "kind": str,
    "doc": str,
    "inputs?": {"*": PORT},
    "outputs?": {"*": PORT},
    "params?": {"*": PARAMETER},
    "renamed?": {"*": str},
    "formerly?": [str],
}
"""The forms of descriptors: those of commands have no parameters, all others have."""


class DescriptorError(PluginError):
    """A plugin's ``nodes.json`` does not have the form of descriptors."""


def read_descriptors(
    plugins: Plugins, names: Iterable[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Return descriptors by reference: of ``names``, else of all plugins that are not broken.

    A plugin whose ``nodes.json`` has another form is ignored, with a warning.

    Raises:
        PluginError: One of ``names`` is broken.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(plugins.modules if names is None else names):
        try:
            of_plugin = _plugin_descriptors(plugins, name)
        except DescriptorError as e:
            if names is not None:
                raise
            problem = e.what.removeprefix("E-DESCRIPTOR ")
            warn(f"W-DESCRIPTOR {problem}; it is ignored", e.where)
            continue
        except (SpecloomError, ValueError, OSError):
            if names is not None:
                raise
            continue
        for key, descriptor in of_plugin.items():
            found[f"{name}.{key}"] = dict(descriptor)
    return found


def _plugin_descriptors(plugins: Plugins, name: str) -> Mapping[str, Mapping[str, Any]]:
    """Return what the plugin ships or, if it ships nothing, what its classes are.

    Raises:
        DescriptorError: What it ships does not have the form of descriptors.
    """
    file = plugins.descriptor(name)
    if file is None:
        from specloom.testing.describing import describe_plugin

        return describe_plugin(plugins, name)
    shipped: Mapping[str, Mapping[str, Any]] = parse_json(file.read_text("utf-8"))
    problem = next(_form_problems(shipped), None)
    if problem is not None:
        fix = f"report it to its author, who runs: specloom plugins describe {name} --write"
        what = f"E-DESCRIPTOR plugin {name!r}: {problem}"
        raise DescriptorError(what, where=str(file), fix=fix)
    return shipped


def _form_problems(shipped: Any) -> Iterator[str]:
    """Describe where a plugin's ``nodes.json`` does not have the form of descriptors."""
    problems = list(type_problems(shipped, {"*": DESCRIPTOR}))
    yield from problems
    if problems:
        return
    for name, descriptor in shipped.items():
        if descriptor["kind"] != "commands":
            yield from type_problems(descriptor, PARAMETERS, name)


def find_descriptor(plugins: Plugins, name: str) -> tuple[str, dict[str, Any]]:
    """Return reference and descriptor of ``plugin.Name`` or of a bare ``Name``.

    Raises:
        PluginError: No plugin offers it, or several do.
    """
    found = read_descriptors(plugins)
    references = [
        reference
        for reference, descriptor in found.items()
        if name in _names(reference, descriptor)
    ]
    if len(references) == 1:
        return references[0], found[references[0]]
    if references:
        fix = f"use {' or '.join(references)}"
        raise PluginError(f"{name!r} is offered by several plugins", fix=fix)
    raise PluginError(f"no plugin offers {name!r}", fix=_nearest(name, found, plugins.modules))


def _nearest(name: str, references: Iterable[str], plugins: Iterable[str]) -> str:
    """Return the fix for a name that no plugin offers: a name like it, else the plugins."""
    bare_name = name.rpartition(".")[2].lower()
    by_lower_name = {
        reference.rpartition(".")[2].lower(): reference for reference in sorted(references)
    }
    near = get_close_matches(bare_name, by_lower_name, n=1)
    if near:
        return f"did you mean {by_lower_name[near[0]]!r}?"
    installed = ", ".join(sorted(plugins))
    if not installed:
        return "install a plugin"
    return f"install the plugin that offers it; installed are {installed}"


def _names(reference: str, descriptor: Mapping[str, Any]) -> set[str]:
    """Return the names of what is described, bare and with the plugin, also the former ones."""
    plugin, _, current = reference.partition(".")
    bare = [current, *descriptor.get("formerly", ())]
    return {*bare, *(f"{plugin}.{name}" for name in bare)}


def port_table(descriptor: Mapping[str, Any]) -> str:
    """Format the ports of one descriptor as a Markdown table."""
    rows = ["| port | side | axes | type | what |", "|---|---|---|---|---|"]
    for side, mapping in (("input", "inputs"), ("output", "outputs")):
        for name, port in descriptor.get(mapping, {}).items():
            kind = port.get("dtype", "float32")
            text = _describe_port(port).replace("|", r"\|")
            rows.append(f"| `{name}` | {side} | {_format_axes(port)} | {kind} | {text} |")
    return "\n".join(rows)


def _format_axes(port: Mapping[str, Any]) -> str:
    axes = port.get("axes")
    if axes is None:
        return "-"
    if axes == "":
        return "scalar"
    return f"`{axes}`"


def _describe_port(port: Mapping[str, Any]) -> str:
    """Return a port's text with its unit and its flags."""
    text: str = port.get("doc", "")
    if port.get("unit"):
        text += f" [{port['unit']}]"
    flags = [flag for flag in ("optional", "for_fit", "many", "per_stage") if port.get(flag)]
    if flags:
        text += f" ({', '.join(flags)})"
    return text
