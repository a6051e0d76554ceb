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
        if ports := getattr(cls, side, None):
            found[side] = {name: describe_port(port) for name, port in ports.items()}
    found["params"] = {}
    for name, parameter in parameters.parameters(cls).items():
        schema = dict(parameters.adapter(cls, name).json_schema())
        if parameter.default is not parameters.EMPTY:
            schema["default"] = json.loads(json.dumps(parameter.default))
        found["params"][name] = schema
    found["required"] = sorted(parameters.required(cls))
    if renamed := getattr(cls, "renamed", {}):
        found["renamed"] = dict(renamed)
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
    found, formerly = dict[str, dict[str, Any]](), dict[str, list[str]]()
    for kind in (*KINDS, "commands"):
        for label, target in plugins.offers((kind,), name).items():
            key = label.partition(".")[2]
            if ":" not in target:
                formerly.setdefault(target, []).append(key)
            elif kind == "commands":
                help_ = plugins.load(target, label).get_short_help_str(80)
                found[key] = {"kind": kind, "doc": help_}
            else:
                found[key] = describe_class(plugins.load(target, label, ""), kind)
    for key in formerly.keys() & found.keys():
        found[key]["formerly"] = sorted(formerly[key])
    return dict(sorted(found.items()))
