"""What the executor needs of an array library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from specloom.contract.nodes import Array, Batch
    from specloom.contract.ports import Port


class Runtime(Protocol):
    """An array library on a device; ``specloom.torch.TorchRuntime`` is the one of torch."""

    device: str
    """Where its arrays are: ``cpu`` or ``cuda:0``."""

    def adopt(self, batch: Batch, ports: Mapping[str, Port]) -> Batch:
        """A source's batch as the library's arrays on the device (``host`` ports stay)."""

    def evaluation(self, nodes: Iterable[Any]) -> AbstractContextManager[None]:
        """A context without gradients, with all nodes in evaluation mode."""

    def place(self, nodes: Mapping[str, Any], seed: int) -> None:
        """Move the nodes to the device and seed each one's generator by its name."""

    def forward(self, node: Any) -> Callable[..., Batch]:
        """The node's ``forward``, converted at its border if it works on NumPy arrays."""

    def dump(self, arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
        """Arrays as safetensors."""

    def load(self, data: bytes) -> tuple[Mapping[str, Array], Mapping[str, str]]:
        """Arrays and metadata from safetensors."""
