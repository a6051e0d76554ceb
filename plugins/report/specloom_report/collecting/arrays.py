"""Values of any array library as NumPy arrays, without importing that library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def detach(value: Any) -> Any:
    """Return ``value`` without its gradient graph, which would keep a training step in memory."""
    if hasattr(value, "detach"):
        return value.detach()
    return value


def to_numpy(value: Any) -> NDArray[Any]:
    """Return a NumPy array of booleans, or of float32."""
    value = detach(value)
    if hasattr(value, "cpu"):
        if str(value.dtype) != "torch.bool":
            value = value.float()
        value = value.cpu().numpy()
    array = np.asarray(value)
    if array.dtype == bool:
        return array
    return array.astype(np.float32, copy=False)


def count_bytes(outputs: Mapping[str, Any]) -> int:
    """Return the bytes of all arrays among a node's outputs."""
    total = 0
    for value in outputs.values():
        total += int(getattr(value, "nbytes", 0))
    return total
