"""What a GPU asks of a node: that it never waits for a result, and that it gives the same there."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from specloom.testing.comparing import agree, hold
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
    """Notes the operators that would make the host wait for a device; here all is on the CPU."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types here
        self.seen: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator, and note it if it waits."""
        name = func.overloadpacket.__name__
        if name in WAITS:
            self.seen.add(name)
        if name in ("index", "index_put", "index_put_"):
            masks = any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])
            if masks and (name == "index" or args[2].numel() != 1):
                self.seen.add("indexing by a mask")
        return func(*args, **(kwargs or {}))


def may_not_wait(node: Any) -> bool:
    """Whether all that the node takes and gives for a batch lies on the device."""
    outputs = [port for port in node.outputs.values() if not port.per_stage]
    on_host = any(port.host or port.axes is None for port in (*node.inputs.values(), *outputs))
    return hasattr(node, "named_parameters") and not on_host


def never_waits_for_the_device(cls: Any) -> None:
    """``forward`` asks for no value of a tensor, which would stop the host until the GPU is done.

    Such are ``item()``, ``if tensor:``, ``numpy()``, ``cpu()``, indexing by a mask and ``unique``.
    """
    node = fitted(cls)
    batch = batch_for(node)
    with ExitStack() as stack:
        watch = stack.enter_context(Watch())
        for name in WAYS_OUT:
            plain = getattr(torch.Tensor, name)
            stack.enter_context(mock.patch.object(torch.Tensor, name, _noted(plain, name, watch)))
        run(node, batch)
    hold(not watch.seen, node, f"forward waits for the device: {', '.join(sorted(watch.seen))}")


def same_on_the_gpu(cls: Any, gpu: str = "cuda") -> None:
    """A fit and a run on the GPU give what they give on the CPU, up to rounding."""
    node, twin = fitted(cls), built(cls).to(gpu)
    if hasattr(twin, "seed"):
        twin.seed(0)
    if hasattr(twin, "prepare"):
        twin.prepare(gpu)
    if needs_fit(twin):
        fit(twin, [_moved(twin, batch, gpu) for batch in fit_batches(twin)])
    batch = batch_for(node)
    agree(run(twin, _moved(twin, batch, gpu)), run(node, batch), node, "on the GPU", 1e-4)


def _noted(plain: Any, name: str, watch: Watch) -> Any:
    def noted(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        watch.seen.add(f"{name}()")
        return plain(self, *args, **kwargs)

    return noted


def _moved(node: Any, batch: Batch, gpu: str) -> dict[str, Any]:
    """The batch on the GPU, but for what stays in the host's memory."""
    return {
        name: value.to(gpu) if torch.is_tensor(value) and not node.inputs[name].host else value
        for name, value in batch.items()
    }
