"""What a node does with a batch, in evaluation mode and without gradients."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from specloom.contract.abilities import Annealed, LazyAffine, Stateful
from specloom.contract.errors import PortError
from specloom.testing.comparing import CLOSE, agree, hold
from specloom.testing.driving import fit, fit_shares, needs_fit, run, run_in_place, saved
from specloom.testing.making import batch_for, built, fit_batches, fitted, sizes_for

if TYPE_CHECKING:
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
    absent = {name: None for name, port in node.inputs.items() if port.optional or port.for_fit}
    agree(run(node, {**batch, **absent}), run(node, batch), node, "when optional inputs are None")


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
    node, twin = fitted(cls), built(cls, seed=1)
    hold(
        not needs_fit(node) or isinstance(node, Stateful), node, "it fits but has no state to save"
    )
    if not isinstance(node, Stateful):
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
    wrong = [{**state, "no_such_name": next(iter(state.values()))}] if state else []
    wrong += [{k: v for k, v in state.items() if k != name} for name in state]
    for one in wrong:
        try:
            built(cls).restore(one)
        except Exception:
            continue
        odd = ", ".join(sorted(one.keys() ^ state.keys()))
        hold(False, node, f"restore takes a state that is wrong in {odd}")


def mapped_equals_forward(cls: Any) -> None:
    """``forward_lazy`` gives what ``forward`` gives, as a ``LazyAffine`` or as the values."""
    node = fitted(cls)
    hold(
        node.affine_output in node.outputs,
        node,
        f"affine_output is {node.affine_output!r}, which is not one of its outputs",
    )
    batch = batch_for(node)
    with torch.no_grad():
        made = dict(node.forward_lazy(**batch))
    if isinstance(one := made[node.affine_output], LazyAffine):
        made[node.affine_output] = (one.data.double() * one.scale + one.offset).to(one.dtype)
    agree(made, run(node, batch), node, "from mapped", CLOSE)


def absorbs_truly(cls: Any) -> None:
    """A fit on a ``LazyAffine``, and ``forward`` of one, equal those of its values."""
    node = fitted(cls)
    hold(
        node.affine_input in node.inputs,
        node,
        f"absorbs {node.affine_input!r}, which is no input of it",
    )
    batch = batch_for(node)
    values, given = _mapped(node, batch)
    agree(run(node, given), run(node, values), node, "when it takes a Mapped", 1e-4)
    if needs_fit(node):
        plain, folded = built(cls), built(cls)
        parts = [_mapped(node, batch) for batch in fit_batches(node)]
        for one, several in zip((plain, folded), zip(*parts, strict=True), strict=True):
            fit(one, several)
        agree(run(folded, values), run(plain, values), node, "when it is fitted on a Mapped", 1e-4)


def _mapped(node: Any, batch: Batch) -> tuple[Batch, Batch]:
    """The batch with what the node absorbs mapped, and the same with a ``LazyAffine``."""
    raw = batch[node.affine_input]
    scale = torch.linspace(0.5, 2.0, raw.shape[-1], dtype=torch.float64)
    offset = torch.linspace(-1.0, 1.0, raw.shape[-1], dtype=torch.float64)
    values = (raw.double() * scale + offset).to(raw.dtype)
    given = LazyAffine(raw, scale, offset, raw.dtype)
    return {**batch, node.affine_input: values}, {**batch, node.affine_input: given}


def _check_outputs(node: Any, batch: Batch, made: Batch) -> None:
    sizes = dict(sizes_for(node).items())
    promised = {name for name, port in node.outputs.items() if not port.per_stage}
    needed = {name for name in promised if not node.outputs[name].optional}
    good = needed <= set(made) <= promised
    hold(good, node, f"forward gives {sorted(made)}, its outputs are {sorted(promised)}")
    library = np.ndarray if getattr(node, "array_library", "") == "numpy" else torch.Tensor
    for name, value in made.items():
        port = node.outputs[name]
        if port.axes is not None and not port.many:
            arrays = isinstance(value, library)
            hold(arrays, node, f"{name!r} is {type(value).__name__}, not {library.__name__}")
        try:
            port.check(value, node, sizes, f"{type(node).__name__}.{name}")
        except PortError as error:
            raise AssertionError(str(error)) from error
