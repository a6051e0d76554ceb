"""The states of several accumulators in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def join_states(states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The states of several accumulators in one, each with its name in front of its keys."""
    joined = {}
    for name, state in states.items():
        for key, tensor in state.items():
            joined[f"{name}.{key}"] = tensor
    return joined


def part_of_state(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The state of one of the accumulators that ``join_states`` was given."""
    prefix = f"{name}."
    found = {}
    for key, tensor in state.items():
        if key.startswith(prefix):
            found[key.removeprefix(prefix)] = tensor
    return found
