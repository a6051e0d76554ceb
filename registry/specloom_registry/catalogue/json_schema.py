"""The JSON Schema of run files, for editors that complete and check them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAME: Mapping[str, Any] = {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}
"""A name of a node or of an output, as the kernel's reader of run files takes it."""


def schema(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON Schema of run files that use the described nodes."""
    uses = {
        kinds: [_use(label, one) for label, one in found.items() if one["kind"] in kinds]
        for kinds in (("nodes", "losses"), ("sources",), ("trainers",))
    }
    nodes, sources, trainers = uses.values()
    end = {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*$"}
    text = {"type": "string"}
    tags = {"type": "array", "items": text}
    about = {"name": text, "description": text, "tags": tags, "author": text}
    pair = {"type": "array", "items": end, "minItems": 2, "maxItems": 2}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "specloom run file",
        "type": "object",
        "required": ["specloom", "data", "nodes"],
        "additionalProperties": False,
        "properties": {
            "specloom": {"const": 1},
            "metadata": {"type": "object", "properties": about, "additionalProperties": False},
            "seed": {"type": "integer", "minimum": 0},
            "data": _any_of(sources),
            "nodes": {
                "type": "object",
                "propertyNames": {**NAME, "not": {"const": "batch"}},
                "additionalProperties": _any_of(nodes),
            },
            "connections": {"type": "array", "items": pair},
            "phases": {"type": "array", "items": _any_of(trainers)},
            "outputs": {"type": "object", "propertyNames": NAME, "additionalProperties": end},
        },
    }


def _any_of(uses: list[dict[str, Any]]) -> dict[str, Any]:
    return {"oneOf": uses} if uses else {"not": {}}  # an empty list is no schema


def _use(label: str, one: Mapping[str, Any]) -> dict[str, Any]:
    old = {name: now for name, now in one.get("renamed", {}).items() if now in one["params"]}
    aged = {
        name: {**one["params"][now], "deprecated": True, "description": f"now called {now}"}
        for name, now in old.items()
    }
    config = {
        "type": "object",
        "properties": {**one["params"], **aged},
        "required": [name for name in one["required"] if name not in old.values()],
        "additionalProperties": False,
    }
    names = [f"{label.partition('.')[0]}.{name}" for name in one.get("formerly", ())]
    type_ = {"enum": [label, *names]} if names else {"const": label}
    stages = {"type": "array", "items": {"enum": ["train", "val", "test", "predict"]}}
    return {
        "type": "object",
        "description": one["doc"].partition("\n")[0],
        "properties": {"type": type_, "config": config, "stages": stages},
        "required": ["type", *(["config"] if one["required"] else [])],
        "additionalProperties": False,
    }
