"""What nodes have collected, as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from specloom import Array, Runtime

#: What each node has collected, by its name.
States: TypeAlias = Mapping[str, Mapping[str, Array]]


def dump_states(runtime: Runtime, states: States) -> bytes:
    """The states as safetensors."""
    arrays = {}
    for name, state in states.items():
        for key, value in state.items():
            arrays[f"{name}/{key}"] = value
    return runtime.dump(arrays, {})


def load_states(
    runtime: Runtime, data: bytes, nodes: Mapping[str, Any]
) -> dict[str, dict[str, Array]]:
    """The states of these nodes, as arrays of each node's library.

    Args:
        runtime: The array library.
        data: What ``dump_states`` gave.
        nodes: The nodes by name; one that collected nothing has an empty state.
    """
    arrays, _ = runtime.load(data)
    found: dict[str, dict[str, Array]] = {name: {} for name in nodes}
    for label, value in arrays.items():
        name, _, key = label.partition("/")
        if name in found:
            found[name][key] = value
    for name, node in nodes.items():
        if getattr(node, "array_library", "") == "numpy":
            found[name] = {key: value.numpy() for key, value in found[name].items()}
    return found
