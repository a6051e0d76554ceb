"""Colours as a style sheet writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Colour: TypeAlias = "tuple[int, int, int]"
"""Red, green and blue, 0 to 255."""


def as_hex(colour: Sequence[int]) -> str:
    """Return a colour as a style sheet writes it.

    >>> as_hex((213, 94, 0))
    '#d55e00'
    """
    return f"#{bytes(colour).hex()}"
