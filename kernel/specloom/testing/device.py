"""What a node needs for a GPU: that it never waits for a result, and gives the same there."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from specloom.testing.comparing import Values, agree, hold
from specloom.testing.driving import fit, needs_fit, run
from specloom.testing.making import batch_for, built, fit_batches, fitted

if TYPE_CHECKING:
    from specloom.contract.nodes import Batch

WAITS = frozenset(
    {
        "_linalg_check_errors",
        "_local_scalar_dense",
        "_unique2",
        "equal",
        "masked_select",
        "nonzero",
        "unique_consecutive",
        "unique_dim",
    }
)
"""Operators whose result the host must see before it can go on."""

WAYS_OUT = ("__array__", "cpu", "numpy", "tolist")


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types here
    """Records the operators that would make the host wait for a device; here all is on the CPU."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types here
        self.seen: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator, and record it if it waits."""
        name = func.overloadpacket.__name__
        if name in WAITS:
            self.seen.add(name)
        if name in ("index", "index_put", "index_put_") and any(map(_is_mask, args[1])):
            # To set every pixel of a mask to one value is an operation of the device alone.
            sets_one_value = name != "index" and args[2].numel() == 1
            if not sets_one_value:
                self.seen.add("indexing by a mask")
        return func(*args, **(kwargs or {}))


def may_not_wait(node: Any) -> bool:
    """Whether all that the node takes and gives for a batch lies on the device."""
    if not hasattr(node, "named_parameters"):
        return False
    ports = list(node.inputs.values())
    ports += [port for port in node.outputs.values() if not port.per_stage]
    return not any(port.host or port.axes is None for port in ports)


def never_waits_for_the_device(cls: Any) -> None:
    """``forward`` reads no value of a tensor, which would stop the host until the GPU is done.

    Such are ``item()``, ``if tensor:``, ``numpy()``, ``cpu()``, indexing by a mask and ``unique``.
    """
    node = fitted(cls)
    batch = batch_for(node)
    with ExitStack() as stack:
        watch = stack.enter_context(Watch())
        for name in WAYS_OUT:
            recorded = _recorded(getattr(torch.Tensor, name), name, watch)
            stack.enter_context(mock.patch.object(torch.Tensor, name, recorded))
        run(node, batch)
    hold(not watch.seen, node, f"forward waits for the device: {', '.join(sorted(watch.seen))}")


def same_on_the_gpu(cls: Any, gpu: str = "cuda") -> None:
    """A fit and a run on the GPU give what they give on the CPU, up to rounding."""
    node = fitted(cls)
    twin = built(cls).to(gpu)
    if hasattr(twin, "seed"):
        twin.seed(0)
    if hasattr(twin, "prepare"):
        twin.prepare(gpu)
    if needs_fit(twin):
        batches = [_moved(twin, batch, gpu) for batch in fit_batches(twin)]
        fit(twin, batches)
    batch = batch_for(node)
    want = run(node, batch)
    got = run(twin, _moved(twin, batch, gpu))
    agree(got, want, node, "on the GPU", 1e-4)


def _is_mask(index: torch.Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


def _recorded(method: Any, name: str, watch: Watch) -> Any:
    """A method of a tensor that records that it was called."""

    def recorded(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        watch.seen.add(f"{name}()")
        return method(self, *args, **kwargs)

    return recorded


def _moved(node: Any, batch: Batch, gpu: str) -> Values:
    """The batch on the GPU, but for what stays in the host's memory."""
    moved = dict(batch)
    for name, value in batch.items():
        if torch.is_tensor(value) and not node.inputs[name].host:
            moved[name] = value.to(gpu)
    return moved
