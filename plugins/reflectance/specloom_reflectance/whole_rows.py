"""Nodes that need whole rows of an image, as its columns are those of the sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from specloom import Batch


class WholeRows:
    """The work of such a node on one image, in strips of whole rows.

    Args:
        forward: The node's own, which makes the outputs of a strip.
    """

    def __init__(self, forward: Callable[..., Batch]) -> None:
        self._forward = forward

    def scan(self, **arrays: Any) -> None:
        """Take in nothing: a row needs no other one."""

    def join(self) -> None:
        """Nothing was collected."""

    def apply(self, **arrays: Any) -> Batch:
        """The outputs for a strip."""
        return self._forward(**arrays)
