"""Descriptors: the ports, parameters and documentation of what plugins offer, as plain data.

Each plugin ships its own as ``nodes.json``, so that listing nodes imports none of them.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import params
from specloom.errors import PluginError, SpecloomError

if TYPE_CHECKING:
    from specloom.plugins import Plugins
    from specloom.ports import Port

KINDS = ("nodes", "losses", "trainers", "sources")


def describe_class(cls: type, kind: str) -> dict[str, Any]:
    """One class: what it is, its documentation, ports and parameters (as JSON Schema)."""
    found: dict[str, Any] = {"kind": kind, "doc": inspect.getdoc(cls) or ""}
    for side in ("inputs", "outputs"):
        if side == "inputs" and kind == "sources":
            continue
        if ports := getattr(cls, side, None):
            found[side] = {name: describe_port(port) for name, port in ports.items()}
    found["params"] = {}
    for name, parameter in params.parameters(cls).items():
        schema = dict(params.adapter(cls, name).json_schema())
        if parameter.default is not params.EMPTY:
            schema["default"] = json.loads(json.dumps(parameter.default))
        found["params"][name] = schema
    found["required"] = sorted(params.required(cls))
    return found


def describe_port(port: Port) -> dict[str, Any]:
    """A port's fields, less those that are as by default."""
    found = {}
    for field in fields(port):
        value = getattr(port, field.name)
        if value != field.default:
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return found


def describe_plugin(plugins: Plugins, name: str) -> dict[str, Any]:
    """Everything that a plugin offers, by name, from its classes (which are imported)."""
    found = {}
    for kind in KINDS:
        for label, target in plugins.offers((kind,), name).items():
            found[label.partition(".")[2]] = describe_class(plugins.load(target, label, ""), kind)
    return dict(sorted(found.items()))


def shipped(plugins: Plugins, name: str) -> Path | None:
    """The plugin's ``nodes.json``, or None where it ships none."""
    module = plugins.modules[name]
    top = (module if isinstance(module, str) else module.__name__).partition(".")[0]
    spec = find_spec(top)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (file := Path(folder) / "nodes.json").is_file():
            return file
    return None


def descriptors(plugins: Plugins, names: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """Descriptors by full name, of all plugins or of some; broken plugins are passed over."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(plugins.modules if names is None else names):
        try:
            file = shipped(plugins, name)
            one = json.loads(file.read_text("utf-8")) if file else describe_plugin(plugins, name)
        except (SpecloomError, ValueError, OSError):
            if names is not None:
                raise
            continue
        found |= {f"{name}.{key}": value for key, value in one.items()}
    return found


def schema(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON Schema of run files that use the described nodes."""
    uses = {
        kinds: [_use(label, one) for label, one in found.items() if one["kind"] in kinds]
        for kinds in (("nodes", "losses"), ("sources",), ("trainers",))
    }
    nodes, sources, trainers = uses.values()
    end = {"type": "string", "pattern": r"^[A-Za-z_]\w*\.[A-Za-z_]\w*$"}
    text = {"type": "string"}
    tags = {"type": "array", "items": text}
    about = {"name": text, "description": text, "tags": tags, "author": text}
    pair = {"type": "array", "items": end, "minItems": 2, "maxItems": 2}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "specloom run file",
        "type": "object",
        "required": ["specloom", "nodes"],
        "additionalProperties": False,
        "properties": {
            "specloom": {"const": 1},
            "metadata": {"type": "object", "properties": about, "additionalProperties": False},
            "seed": {"type": "integer", "minimum": 0},
            "data": {"oneOf": sources},
            "nodes": {"type": "object", "additionalProperties": {"oneOf": nodes}},
            "connections": {"type": "array", "items": pair},
            "phases": {"type": "array", "items": {"oneOf": trainers}},
            "outputs": {"type": "object", "additionalProperties": end},
        },
    }


def _use(label: str, one: Mapping[str, Any]) -> dict[str, Any]:
    config = {
        "type": "object",
        "properties": dict(one["params"]),
        "required": one["required"],
        "additionalProperties": False,
    }
    stages = {"type": "array", "items": {"enum": ["train", "val", "test", "predict"]}}
    return {
        "type": "object",
        "description": one["doc"].partition("\n")[0],
        "properties": {"type": {"const": label}, "config": config, "stages": stages},
        "required": ["type", *(["config"] if one["required"] else [])],
        "additionalProperties": False,
    }


def port_table(one: Mapping[str, Any]) -> str:
    """The ports of one descriptor as a Markdown table."""
    rows = ["| port | side | axes | type | what |", "|---|---|---|---|---|"]
    for side in ("inputs", "outputs"):
        for name, port in one.get(side, {}).items():
            axes = port.get("axes")
            shape = "-" if axes is None else f"`{axes}`" if axes else "scalar"
            extra = [
                word for word in ("optional", "for_fit", "many", "per_stage") if port.get(word)
            ]
            unit = f" [{port['unit']}]" if port.get("unit") else ""
            what = port.get("doc", "") + unit + (f" ({', '.join(extra)})" if extra else "")
            kind = port.get("dtype", "float32")
            rows.append(f"| `{name}` | {side[:-1]} | {shape} | {kind} | {what} |")
    return "\n".join(rows)


def find_one(plugins: Plugins, name: str) -> tuple[str, dict[str, Any]]:
    """The descriptor behind ``plugin.Name`` or a bare ``Name``.

    Raises:
        PluginError: Nobody offers it, or several do.
    """
    found = descriptors(plugins)
    full = [label for label in found if name in (label, label.partition(".")[2])]
    if len(full) == 1:
        return full[0], found[full[0]]
    if full:
        raise PluginError(f"{name!r} is offered by several plugins", fix=f"use {' or '.join(full)}")
    from specloom.errors import did_you_mean

    short = {label.partition(".")[2]: label for label in found}
    fix = did_you_mean(name.rpartition(".")[2], short, otherwise="install a plugin")
    raise PluginError(f"no plugin offers {name!r}", fix=fix)
