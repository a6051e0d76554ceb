"""One array among several in a file, and how to choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import DataError, did_you_mean

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Variable:
    """A named array of a file.

    Args:
        name: Its name.
        shape: Its shape.
        dtype: Its element type as stored, or None where it is no real numeric array.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None

    def __str__(self) -> str:
        kind = "not numeric" if self.dtype is None else self.dtype.name
        return f"{self.name} {' x '.join(map(str, self.shape)) or 'scalar'} {kind}"


def named(path: Path, found: Iterable[Variable], name: str, parameter: str) -> Variable:
    """The variable of that name.

    Raises:
        DataError: There is none.
    """
    by_name = {one.name: one for one in found}
    if name not in by_name:
        raise DataError(
            f"{path} has no variable {name!r}; it holds {listing(by_name.values())}",
            fix=f"{parameter}: {did_you_mean(name, by_name)}",
        )
    return by_name[name]


def only(
    path: Path,
    found: Iterable[Variable],
    fits: Callable[[Variable], bool],
    what: str,
    parameter: str,
) -> Variable | None:
    """The one variable that fits, or None where none does.

    Raises:
        DataError: Several do.
    """
    fitting = [one for one in found if fits(one)]
    if len(fitting) > 1:
        raise DataError(
            f"{path} holds several arrays that may be the {what}: {listing(fitting)}",
            fix=f"name one with {parameter}",
        )
    return fitting[0] if fitting else None


def listing(variables: Iterable[Variable]) -> str:
    """The variables with their shapes, in one line."""
    return ", ".join(map(str, variables)) or "nothing"
