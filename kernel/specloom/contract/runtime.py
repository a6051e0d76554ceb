"""What the executor needs of an array library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from specloom.contract.nodes import Array, Batch
    from specloom.contract.ports import Port


class TakenArray(Protocol):
    """An array of a user, as a port takes it."""

    @property
    def batched(self) -> bool:
        """Whether it came with its batch axis."""

    def give(self, made: Any, port: Port) -> Any:
        """A value, with all axes of its port, in the kind of the array."""


class TakenArrays(Protocol):
    """The arrays of one call."""

    @property
    def values(self) -> Batch:
        """The arrays of the library by port, each with all axes."""

    @property
    def first(self) -> TakenArray:
        """The first array, in whose kind results are given."""

    def sizes(self) -> Mapping[str, int]:
        """The sizes of their axes."""


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

    def take_batch(
        self, ports: Mapping[str, Port], cube: Any, others: Mapping[str, Any], owner: str
    ) -> TakenArrays:
        """Arrays of a user as ports take them: a cube for the first, others by name.

        ``owner`` is what messages call the owner of the ports.
        """

    def to_numpy(self, value: Any) -> Any:
        """An array of the library as a NumPy array."""

    def dump(self, arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
        """Arrays as safetensors."""

    def load(self, data: bytes) -> tuple[Mapping[str, Array], Mapping[str, str]]:
        """Arrays and metadata from safetensors."""
