"""A count of the pixels that have no result."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class CountsUndefined:
    """A node that counts the finite pixels whose result is not defined, and is NaN."""

    _undefined: Tensor | None = None

    def count_undefined(self, number: Tensor) -> None:
        """Add the ``number`` of pixels of a batch, (), which stays on its device."""
        if self._undefined is None:
            self._undefined = number.detach()
        else:
            self._undefined = self._undefined + number.detach()

    @property
    def undefined_pixels(self) -> int:
        """How many finite pixels had no result in all batches since the node was made."""
        return 0 if self._undefined is None else int(self._undefined)
