"""A long vector that grows piece by piece."""

from typing import Any

import numpy as np
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
        values = values.detach().reshape(-1)
        while len(values):
            if not self._free:
                self._free = BLOCK_BYTES // values.element_size()
                self._blocks.append(values.new_empty(self._free))
            part, values = values[: self._free], values[self._free :]
            room = self._blocks[-1][-self._free :]
            room[: len(part)].copy_(part)
            self._free -= len(part)

    def array(self) -> NDArray[Any]:
        """All values, (N,); with N = 0 in float64."""
        whole = [block.cpu().numpy() for block in self._blocks]
        if whole:
            whole[-1] = whole[-1][: len(whole[-1]) - self._free]
        return np.concatenate(whole) if whole else np.empty(0)
