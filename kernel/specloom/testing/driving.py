"""Drive a node as an executor and a trainer would: fit it, run it, save it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from specloom.contract.abilities import Fittable
from specloom.testing.comparing import Values, as_numpy, hold
from specloom.torch import TorchRuntime

if TYPE_CHECKING:
    from specloom.contract.nodes import Batch


def needs_fit(node: Any) -> bool:
    """Whether the node learns from a stream of batches before it runs."""
    return isinstance(node, Fittable) and node.fit_passes > 0


def fit(node: Any, batches: Sequence[Batch]) -> Any:
    """Fit the node in all its passes over copies of the batches; give it back."""
    fit_shares([node], [copy.deepcopy(list(batches))])
    return node


def fit_shares(nodes: Sequence[Any], shares: Sequence[Sequence[Batch]]) -> None:
    """Fit each node on its share of the data, in place, and merge them all after every pass."""
    with quiet(), TorchRuntime("cpu").evaluation(nodes):
        for node in nodes:
            if hasattr(node, "seed"):
                node.seed(0)
        for pass_ in range(nodes[0].fit_passes):
            for node, batches in zip(nodes, shares, strict=True):
                node.fit_start(pass_)
                for batch in batches:
                    node.fit_update(**batch)
            if len(nodes) > 1:
                _merge(nodes)
            for node in nodes:
                node.fit_end()


def _merge(nodes: Sequence[Any]) -> None:
    """Merge the states of all other nodes into each node."""
    states = [saved(node, node.fit_state()) for node in nodes]
    for i, node in enumerate(nodes):
        others = states[:i] + states[i + 1 :]
        for state in others:
            node.fit_merge(copy.deepcopy(state))


def run(node: Any, batch: Batch) -> Values:
    """The node's outputs for a copy of the batch, in evaluation mode and without gradients."""
    return run_in_place(node, copy.deepcopy(dict(batch)))


def run_in_place(node: Any, batch: Batch) -> Values:
    """The node's outputs for these very arrays, to see whether it leaves them alone."""
    with quiet(), TorchRuntime("cpu").evaluation([node]):
        return call(node, batch)


def run_forward(node: Any, forward: Callable[..., Batch], batch: Batch) -> Values:
    """As ``run``, by another function of the node than ``forward``."""
    with quiet(), TorchRuntime("cpu").evaluation([node]):
        return dict(forward(**copy.deepcopy(dict(batch))))


def call(node: Any, batch: Batch) -> Values:
    """The node's outputs for one batch, in the mode that the node is in."""
    made = node(**batch) if callable(node) else node.forward(**batch)
    is_mapping = isinstance(made, Mapping)
    hold(is_mapping, node, f"forward gives {type(made).__name__}, not a mapping")
    return dict(made)


def saved(node: Any, state: Mapping[str, Any]) -> Values:
    """The state after a way through safetensors, as arrays of the node's library."""
    for name, value in state.items():
        is_array = isinstance(value, np.ndarray | np.generic | torch.Tensor)
        hold(is_array, node, f"its state {name!r} is {type(value).__name__}, not an array")
    runtime = TorchRuntime("cpu")
    data = runtime.dump(state, {"node": type(node).__name__})
    arrays, _metadata = runtime.load(data)
    if getattr(node, "array_library", "torch") == "numpy":
        return {name: as_numpy(value) for name, value in arrays.items()}
    return dict(arrays)


@contextmanager
def quiet(seed: int = 0) -> Iterator[None]:
    """Seed torch's and NumPy's own generators, and put both back afterwards."""
    before = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed)
        yield
    np.random.set_state(before)
