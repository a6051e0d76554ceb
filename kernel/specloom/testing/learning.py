"""What gradient training needs of a node: parameters on request, gradients, seeded randomness."""

from __future__ import annotations

import copy
from typing import Any

import torch

from specloom.contract.abilities import Stateful
from specloom.testing.comparing import CLOSE, Values, agree, hold
from specloom.testing.driving import call, quiet, run
from specloom.testing.making import batch_for, fitted


def frozen_at_first(cls: Any) -> None:
    """A node has no parameters to train until it is unfrozen."""
    hold(not list(fitted(cls).parameters()), cls, "it has parameters before it is unfrozen")


def freeze_round_trips(cls: Any) -> None:
    """Unfreezing and freezing changes neither outputs nor the names of the state."""
    node = fitted(cls)
    batch = batch_for(node)
    before = copy.deepcopy(run(node, batch))
    names = _names(node)
    node.unfreeze()
    parameters = list(node.parameters())
    hold(parameters or not node.trainable, node, "it has no parameters when it is unfrozen")
    for parameter in parameters:
        hold(parameter.requires_grad, node, "an unfrozen parameter has no gradient")
    agree(run(node, batch), before, node, "when it is unfrozen", CLOSE)
    hold(_names(node) == names, node, "its state has other names when it is unfrozen")
    node.freeze()
    hold(not list(node.parameters()), node, "it has parameters although it was frozen again")
    agree(run(node, batch), before, node, "when it was unfrozen and frozen again")
    hold(_names(node) == names, node, "its state has other names when it was frozen again")


def gradient_arrives(cls: Any) -> None:
    """A finite gradient of the outputs reaches each unfrozen parameter, in training mode."""
    node = fitted(cls)
    node.unfreeze()
    _backward(node, batch_for(node))
    for name, parameter in node.named_parameters():
        hold(parameter.grad is not None, node, f"no gradient reaches the parameter {name!r}")
        is_finite = torch.isfinite(parameter.grad).all()
        hold(is_finite, node, f"the gradient of the parameter {name!r} is not finite")


def gradient_is_finite(cls: Any) -> None:
    """Where a gradient flows back to an input, it is finite."""
    node = fitted(cls)
    batch = batch_for(node)
    leaves = {name: value for name, value in batch.items() if _is_real(value)}
    for tensor in leaves.values():
        tensor.requires_grad_()
    _backward(node, batch)
    for name, tensor in leaves.items():
        if tensor.grad is not None:
            is_finite = torch.isfinite(tensor.grad).all()
            hold(is_finite, node, f"the gradient of the input {name!r} is not finite")


def generator_seeded(cls: Any) -> None:
    """The node's seed alone decides what it does in training mode, and torch's own is not used."""
    batch = batch_for(fitted(cls))
    made = []
    for foreign_seed in (1, 2):
        node = fitted(cls)
        node.train()
        node.seed(3)
        with quiet(foreign_seed), torch.no_grad():
            before = torch.get_rng_state()
            outputs = call(node, copy.deepcopy(batch))
            made.append(copy.deepcopy(outputs))
            is_unused = torch.equal(torch.get_rng_state(), before)
            hold(is_unused, node, "it draws from torch's own generator, not from self.generator")
    agree(made[1], made[0], node, "when it starts from the same seed")


def _backward(node: Any, batch: Values) -> None:
    node.train()
    if hasattr(node, "seed"):
        node.seed(0)
    with quiet():
        made = call(node, batch)
        total = torch.zeros((), dtype=torch.float64)
        for value in made.values():
            if _is_real(value) and value.requires_grad:
                # Random weights, so that outputs with a fixed sum have a gradient as well.
                weights = torch.randn(value.shape).double()
                total = total + (value.double() * weights).sum()
        if total.requires_grad:
            torch.autograd.backward(total)


def _is_real(value: Any) -> bool:
    return torch.is_tensor(value) and value.is_floating_point()


def _names(node: Any) -> set[str]:
    if isinstance(node, Stateful):
        return set(node.state())
    return set()
