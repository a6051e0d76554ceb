"""The JSON Schema of run files, for editors that complete and check them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specloom_registry.catalogue.docstrings import arguments

NAME: Mapping[str, Any] = {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}
"""A name of a node or of an output, as the kernel's reader of run files takes it."""


IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
STAGES = ["train", "val", "test", "predict"]


def schema(descriptors: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the JSON Schema of run files that use the described nodes."""
    text = {"type": "string"}
    tags = {"type": "array", "items": text}
    metadata = {"name": text, "description": text, "tags": tags, "author": text}
    end = {"type": "string", "pattern": rf"^{IDENTIFIER}\.{IDENTIFIER}$"}
    connection = {"type": "array", "items": end, "minItems": 2, "maxItems": 2}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "specloom run file",
        "type": "object",
        "required": ["specloom", "data", "nodes"],
        "additionalProperties": False,
        "patternProperties": {"^x-": {}},
        "properties": {
            "specloom": {"const": 1},
            "metadata": {"type": "object", "properties": metadata, "additionalProperties": False},
            "seed": {"type": "integer", "minimum": 0},
            "companions": {"enum": ["on", "off", True, False]},
            "data": _any_of(descriptors, "sources"),
            "nodes": {
                "type": "object",
                "propertyNames": {**NAME, "not": {"const": "batch"}},
                "additionalProperties": _any_of(descriptors, "nodes", "losses"),
            },
            "connections": {"type": "array", "items": connection},
            "phases": {"type": "array", "items": _any_of(descriptors, "trainers")},
            "outputs": {"type": "object", "propertyNames": NAME, "additionalProperties": end},
        },
    }


def _any_of(descriptors: Mapping[str, Mapping[str, Any]], *kinds: str) -> dict[str, Any]:
    """Return the schema of one use of what is of these kinds."""
    uses = [
        _use(reference, descriptor)
        for reference, descriptor in descriptors.items()
        if descriptor["kind"] in kinds
    ]
    if not uses:
        return {"not": {}}  # an empty list is not a schema
    return {"oneOf": uses}


def _use(reference: str, descriptor: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of one use of a class: type, config and stages."""
    required = ["type"]
    if descriptor["required"]:
        required.append("config")
    return {
        "type": "object",
        "description": descriptor["doc"].partition("\n")[0],
        "properties": {
            "type": _type(reference, descriptor),
            "config": _config(descriptor),
            "stages": {"type": "array", "items": {"enum": STAGES}},
        },
        "required": required,
        "additionalProperties": False,
    }


def _type(reference: str, descriptor: Mapping[str, Any]) -> dict[str, Any]:
    plugin = reference.partition(".")[0]
    former = [f"{plugin}.{name}" for name in descriptor.get("formerly", ())]
    if former:
        return {"enum": [reference, *former]}
    return {"const": reference}


def _config(descriptor: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of the parameters; former names are deprecated and replace new ones."""
    texts = arguments(descriptor["doc"])
    properties = {}
    for name, parameter in descriptor["params"].items():
        properties[name] = dict(parameter)
        if name in texts:
            properties[name]["description"] = texts[name]
    renamed = set()
    for old, new in descriptor.get("renamed", {}).items():
        if new in descriptor["params"]:
            parameter = descriptor["params"][new]
            description = f"now called {new}"
            properties[old] = {**parameter, "deprecated": True, "description": description}
            renamed.add(new)
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in descriptor["required"] if name not in renamed],
        "additionalProperties": False,
    }
