"""Arrays that metric nodes collect over a stage."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Collected:
    """Rows of several arrays, in the order in which they came.

    Args:
        columns: The element type of each array, and its columns; 0 where a row is a number.
    """

    def __init__(self, columns: Mapping[str, tuple[DTypeLike, int]]) -> None:
        self._parts: dict[str, list[NDArray[Any]]] = {}
        for name, (dtype, width) in columns.items():
            shape = (0, width) if width else (0,)
            self._parts[name] = [np.zeros(shape, dtype)]

    def add(self, rows: Mapping[str, Any]) -> None:
        """Append copies of rows of each array."""
        for name, parts in self._parts.items():
            parts.append(np.array(rows[name], parts[0].dtype).reshape(-1, *parts[0].shape[1:]))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All rows of each array."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}


def counted_pixels(like: Any, valid: Any, scores: Any) -> Any:
    """The pixels that are valid and have a score, bool in the shape of ``like``.

    Args:
        like: Decisions or targets.
        valid: Pixels that count, or None.
        scores: Scores, of which NaN does not count, or None.
    """
    counts = np.ones(like.shape, bool)
    if valid is not None:
        counts &= valid
    if scores is not None:
        counts &= ~np.isnan(scores)
    return counts
