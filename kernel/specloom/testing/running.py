"""What a node does with a batch, in evaluation mode and without gradients."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from specloom.contract.abilities import (
    Annealed,
    LazyAffine,
    LazyLinear,
    LazyMonotone,
    LinearNode,
    MonotoneNode,
    Stateful,
)
from specloom.contract.errors import PortError
from specloom.testing.comparing import CLOSE, Values, agree, hold
from specloom.testing.driving import (
    fit,
    fit_shares,
    needs_fit,
    run,
    run_forward,
    run_in_place,
    saved,
)
from specloom.testing.making import batch_for, built, fit_batches, fitted, sizes_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from specloom.contract.nodes import Batch


def outputs_are_honest(cls: Any) -> None:
    """The outputs have the names, axes, element types and array library that the node promises.

    All sizes are distinct here, so that swapped axes show.
    """
    node = fitted(cls)
    batch = batch_for(node)
    _check_outputs(node, batch, run(node, batch))


def optional_inputs_work(cls: Any) -> None:
    """With every optional input connected, the node fits, runs and keeps its promises.

    A batch may lack what is connected: the input is then None, as if it were not.
    """
    node = built(cls)
    if needs_fit(node):
        fit(node, fit_batches(node, optional=True))
    batch = batch_for(node, for_fit=True, optional=True)
    _check_outputs(node, batch, run(node, batch))
    batch = batch_for(node)
    with_absent = dict(batch)
    for name, port in node.inputs.items():
        if port.optional or port.for_fit:
            with_absent[name] = None
    got = run(node, with_absent)
    agree(got, run(node, batch), node, "when optional inputs are None")


def inputs_are_left_alone(cls: Any) -> None:
    """Neither a run nor a fit writes into the arrays that it is given: others read them too."""
    node = built(cls)
    batches = fit_batches(node)
    before = copy.deepcopy(batches)
    if needs_fit(node):
        fit_shares([node], [batches])
        agree(batches, before, node, "in its input after a fit")
    batch = batch_for(node)
    before_run = copy.deepcopy(batch)
    run_in_place(node, batch)
    agree(batch, before_run, node, "in its input after a run")


def same_twice(cls: Any) -> None:
    """Two runs on one batch give the same outputs bit for bit, so that results can be repeated."""
    node = fitted(cls)
    batch = batch_for(node)
    first = copy.deepcopy(run(node, batch))
    agree(run(node, batch), first, node, "in a second run on the same batch")


def state_round_trips(cls: Any) -> None:
    """A fresh node given the saved state makes the same outputs, bit for bit.

    The twin is built with another seed, so that random values that are not saved show.
    """
    node = fitted(cls)
    twin = built(cls, seed=1)
    if not isinstance(node, Stateful):
        hold(not needs_fit(node), node, "it fits but has no state to save")
        return
    batch = batch_for(node)
    if isinstance(node, Annealed):
        node.on_epoch(5, 10)
    want = copy.deepcopy(run(node, batch))
    state = node.state()
    twin.restore(saved(node, state))
    agree(twin.state(), state, node, "in the state of a node that was restored")
    agree(run(twin, batch), want, node, "in the outputs of a node that was restored")


def foreign_state_is_refused(cls: Any) -> None:
    """A state that lacks a name, or has one too many, is refused: it is another node's."""
    node = built(cls)
    state = dict(node.state())
    if state:
        value = next(iter(state.values()))
        _check_refused(cls, {**state, "no_such_name": value}, "no_such_name")
    for name in state:
        others = dict(state)
        del others[name]
        _check_refused(cls, others, name)


def forward_lazy_equals_forward(cls: Any) -> None:
    """``forward_lazy`` gives what ``forward`` gives, as a map or as the values."""
    node = fitted(cls)
    kind = "affine_output"
    if isinstance(node, LinearNode):
        kind = "linear_output"
    elif isinstance(node, MonotoneNode):
        kind = "monotone_output"
    name = getattr(node, kind)
    exists = name in node.outputs
    hold(exists, node, f"{kind} is {name!r}, which is not one of its outputs")
    batch = batch_for(node)
    with torch.no_grad():
        made = dict(node.forward_lazy(**batch))
    made[name] = _computed(made[name])
    agree(made, run(node, batch), node, "from forward_lazy", CLOSE)


def lazy_input_equals_values(cls: Any) -> None:
    """A fit on a ``LazyAffine``, and ``forward`` of one, equal those of its values."""
    node = fitted(cls)
    exists = node.affine_input in node.inputs
    hold(exists, node, f"affine_input is {node.affine_input!r}, which is not one of its inputs")
    _check_lazy_input(cls, node, _with_affine)


def linear_input_equals_values(cls: Any) -> None:
    """A fit on a ``LazyLinear``, and ``forward`` of one, equal those of its values."""
    node = fitted(cls)
    is_same = node.linear_input == node.affine_input
    what = f"linear_input is {node.linear_input!r}, affine_input is {node.affine_input!r}"
    hold(is_same, node, what)
    exists = node.linear_input in node.inputs
    hold(exists, node, f"linear_input is {node.linear_input!r}, which is not one of its inputs")
    _check_lazy_input(cls, node, _with_linear)


def monotone_input_equals_values(cls: Any) -> None:
    """``forward`` of a ``LazyMonotone`` gives the bits of ``forward`` of its values."""
    node = fitted(cls)
    name = node.monotone_input
    exists = name in node.inputs
    hold(exists, node, f"monotone_input is {name!r}, which is not one of its inputs")
    batch = batch_for(node)
    lazy = LazyMonotone(batch[name], _increase, batch[name].dtype)
    want = run(node, {**batch, name: _increase(batch[name])})
    got = run(node, {**batch, name: lazy})
    agree(got, want, node, "when it takes a LazyMonotone", 0)


def selected_outputs_equal_all(cls: Any) -> None:
    """``forward_for`` gives each output alone as ``forward`` does."""
    node = fitted(cls)
    batch = batch_for(node, optional=True)
    everything = run(node, batch)
    for name, want in everything.items():
        made = run_forward(node, node.forward_for([name]), batch)
        hold(name in made, node, f"forward_for([{name!r}]) does not make it")
        agree({name: made[name]}, {name: want}, node, "from forward_for", 0)


def _increase(values: Any) -> Any:
    """A function that never decreases, and has plateaus in floating point."""
    return (0.001 * values + 1) - 1


def _check_lazy_input(cls: Any, node: Any, with_lazy: Callable[[Any, Batch], Batch]) -> None:
    """What ``with_lazy`` puts into a batch is fitted and run as its values are."""
    batch = batch_for(node)
    lazy_batch = with_lazy(node, batch)
    lazy_name = type(lazy_batch[node.affine_input]).__name__
    computed = _with_values(node, lazy_batch)
    want = run(node, computed)
    got = run(node, lazy_batch)
    agree(got, want, node, f"when it takes a {lazy_name}", 1e-4)
    if not needs_fit(node):
        return
    lazy_batches = [with_lazy(node, one) for one in fit_batches(node)]
    plain = built(cls)
    fit(plain, [_with_values(node, one) for one in lazy_batches])
    lazy = built(cls)
    fit(lazy, lazy_batches)
    want = run(plain, computed)
    got = run(lazy, computed)
    agree(got, want, node, f"when it is fitted on a {lazy_name}", 1e-4)


def _check_refused(cls: Any, state: Values, wrong: str) -> None:
    """``restore`` raises an error for the state."""
    node = built(cls)
    try:
        node.restore(state)
    except Exception:
        return
    hold(False, node, f"restore takes a state that is wrong in {wrong}")


def _with_affine(node: Any, batch: Batch) -> Batch:
    """The batch with a ``LazyAffine`` of the affine input."""
    raw = batch[node.affine_input]
    count = raw.shape[-1]
    scale = torch.linspace(0.5, 2.0, count, dtype=torch.float64)
    offset = torch.linspace(-1.0, 1.0, count, dtype=torch.float64)
    lazy = LazyAffine(raw, scale, offset, raw.dtype)
    return {**batch, node.affine_input: lazy}


def _with_linear(node: Any, batch: Batch) -> Batch:
    """The batch with a ``LazyLinear`` of the linear input, made from two bands more."""
    values = batch[node.linear_input]
    count = values.shape[-1]
    raw = torch.cat([values, values[..., :1] ** 2, values[..., -1:] ** 3], dim=-1)
    matrix = torch.eye(count, count + 2, dtype=torch.float64)
    matrix += 0.5 * torch.eye(count, count + 2, dtype=torch.float64).roll(1, dims=1)
    matrix[:, -1] = torch.linspace(-1.0, 1.0, count, dtype=torch.float64)
    offset = torch.linspace(-1.0, 1.0, count, dtype=torch.float64)
    lazy = LazyLinear(raw, matrix, offset, raw.dtype)
    return {**batch, node.linear_input: lazy}


def _with_values(node: Any, batch: Batch) -> Batch:
    """The batch with the values of the map at the affine input."""
    return {**batch, node.affine_input: _computed(batch[node.affine_input])}


def _computed(value: Any) -> Any:
    """The values of a map that was left to the readers; others as they are."""
    if isinstance(value, LazyAffine):
        values = value.data.double() * value.scale + value.offset
        return values.to(value.dtype)
    if isinstance(value, LazyLinear):
        values = value.data.double() @ value.matrix.double().T + value.offset
        return values.to(value.dtype)
    if isinstance(value, LazyMonotone):
        return value.function(value.data)
    return value


def _check_outputs(node: Any, batch: Batch, made: Batch) -> None:
    """The outputs have the names, arrays and sizes that the ports promise."""
    sizes = sizes_for(node)
    promised = {name for name, port in node.outputs.items() if not port.per_stage}
    required = {name for name in promised if not node.outputs[name].optional}
    are_promised = required <= set(made) <= promised
    hold(are_promised, node, f"forward gives {sorted(made)}, its outputs are {sorted(promised)}")
    library: type = torch.Tensor
    if getattr(node, "array_library", "") == "numpy":
        library = np.ndarray
    for name, value in made.items():
        port = node.outputs[name]
        if port.axes is not None and not port.many:
            is_array = isinstance(value, library)
            hold(is_array, node, f"{name!r} is {type(value).__name__}, not {library.__name__}")
        try:
            port.check(value, node, sizes, f"{type(node).__name__}.{name}")
        except PortError as error:
            raise AssertionError(str(error)) from error
