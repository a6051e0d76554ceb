"""A long vector that grows piece by piece."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK_BYTES = 1 << 22


class Rows:
    """Values of one dtype, in the order in which they came, on the device they came from.

    They are copied into large blocks: many small tensors, between others that come and go,
    scatter over the heap and hold up to four times the memory of their values.
    """

    def __init__(self) -> None:
        self._blocks: list[Tensor] = []
        self._free = 0

    def add(self, values: Tensor) -> None:
        """Append ``values`` of any shape."""
        rest = values.detach().reshape(-1)
        while len(rest) > 0:
            if self._free == 0:
                self._free = BLOCK_BYTES // rest.element_size()
                self._blocks.append(rest.new_empty(self._free))
            room = self._blocks[-1][-self._free :]
            part = rest[: self._free]
            room[: len(part)].copy_(part)
            self._free -= len(part)
            rest = rest[len(part) :]

    def tensor(self) -> Tensor:
        """A copy of all values, (N,); with N = 0 in float32."""
        if not self._blocks:
            return torch.empty(0)
        return torch.cat(self._used())

    def array(self) -> NDArray[Any]:
        """All values on the CPU, (N,); with N = 0 in float64."""
        if not self._blocks:
            return np.empty(0)
        return np.concatenate([block.cpu().numpy() for block in self._used()])

    def _used(self) -> list[Tensor]:
        """The blocks, the last of them without its free part."""
        *full, last = self._blocks
        return [*full, last[: len(last) - self._free]]
