"""Values of any array library as NumPy arrays, without importing that library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def detached(value: Any) -> Any:
    """``value`` without what gradients need, which would keep a whole training step in memory."""
    return value.detach() if hasattr(value, "detach") else value


def on_host(value: Any) -> NDArray[Any]:
    """A NumPy array of booleans, or of float32."""
    value = detached(value)
    if hasattr(value, "cpu"):
        boolean = str(value.dtype) == "torch.bool"
        value = (value if boolean else value.float()).cpu().numpy()
    found = np.asarray(value)
    return found if found.dtype == bool else found.astype(np.float32, copy=False)


def nbytes(outputs: Any) -> int:
    """The bytes of all arrays among a node's outputs."""
    return sum(int(getattr(value, "nbytes", 0)) for value in outputs.values())
