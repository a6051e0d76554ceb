"""Descriptors: the ports, parameters and documentation of what plugins offer, as plain data.

Each plugin ships its own as ``nodes.json``, so that listing nodes imports none of them.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from specloom.runfile import parameters

if TYPE_CHECKING:
    from specloom.contract.ports import Port
    from specloom.plugins import Plugins

KINDS = ("nodes", "losses", "trainers", "sources")


def describe_class(cls: type, kind: str) -> dict[str, Any]:
    """One class: what it is, its documentation, ports and parameters (as JSON Schema)."""
    found: dict[str, Any] = {"kind": kind, "doc": inspect.getdoc(cls) or ""}
    for side in ("inputs", "outputs"):
        if side == "inputs" and kind == "sources":
            continue
        ports = getattr(cls, side, None)
        if ports:
            found[side] = {name: describe_port(port) for name, port in ports.items()}
    found["params"] = describe_parameters(cls)
    found["required"] = sorted(parameters.required(cls))
    renamed = getattr(cls, "renamed", {})
    if renamed:
        found["renamed"] = dict(renamed)
    return found


def describe_parameters(cls: type) -> dict[str, Any]:
    """The parameters by name, as JSON Schema with the defaults."""
    found = {}
    for name, parameter in parameters.parameters(cls).items():
        schema = dict(parameters.adapter(cls, name).json_schema())
        if parameter.default is not parameters.EMPTY:
            schema["default"] = json.loads(json.dumps(parameter.default))
        found[name] = schema
    return found


def describe_port(port: Port) -> dict[str, Any]:
    """A port's fields, less those that are as by default."""
    found = {}
    for field in fields(port):
        value = getattr(port, field.name)
        if value == field.default:
            continue
        if isinstance(value, tuple):
            value = list(value)
        found[field.name] = value
    return found


def describe_plugin(plugins: Plugins, name: str) -> dict[str, Any]:
    """Everything that a plugin offers, by name, from its classes (which are imported)."""
    found: dict[str, dict[str, Any]] = {}
    old_names: dict[str, list[str]] = {}
    for kind in (*KINDS, "commands"):
        for label, target in plugins.offers((kind,), name).items():
            key = label.partition(".")[2]
            if ":" not in target:
                old_names.setdefault(target, []).append(key)
                continue
            offered = plugins.load(target, label)
            if kind == "commands":
                found[key] = {"kind": kind, "doc": offered.get_short_help_str(80)}
            else:
                found[key] = describe_class(offered, kind)
    for key in old_names.keys() & found.keys():
        found[key]["formerly"] = sorted(old_names[key])
    return dict(sorted(found.items()))
