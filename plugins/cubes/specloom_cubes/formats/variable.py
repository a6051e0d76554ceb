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

    @property
    def is_cube(self) -> bool:
        """Whether it is a real numeric array with three axes."""
        numeric = self.dtype is not None and self.dtype.kind in "iuf"
        return numeric and len(self.shape) == 3 and 0 not in self.shape

    @property
    def is_plane(self) -> bool:
        """Whether it has two axes and is no vector."""
        return self.dtype is not None and len(self.shape) == 2 and 1 not in self.shape


def choose_cube(path: Path, arrays: Iterable[Variable], name: str | None) -> Variable:
    """The named array, or the only one with three axes.

    Raises:
        DataError: There is none, or several and no name.
    """
    arrays = list(arrays)
    if name is not None:
        chosen = named(path, arrays, name, "cube_variable")
        if not chosen.is_cube:
            raise DataError(
                f"{path}: {chosen} is not a cube", fix="name a real array with three axes"
            )
        return chosen
    only_one = only(path, arrays, lambda one: one.is_cube, "cube", "name one with cube_variable")
    if only_one is None:
        raise DataError(
            f"{path} holds no numeric array with three axes, only {listing(arrays)}",
            fix="save the cube as rows x columns x bands",
        )
    return only_one


def choose_mask(
    path: Path,
    arrays: Iterable[Variable],
    size: tuple[int, int],
    name: str | None = None,
    parameter: str = "mask_variable",
) -> str | None:
    """The name of the only 2-D array of that size, or of the named one; None where there is none.

    Raises:
        DataError: There are several and no name, or none of the name.
    """
    arrays = list(arrays)
    if name is not None:
        chosen = named(path, arrays, name, parameter)
        if chosen.dtype is None:
            raise DataError(f"{path}: {chosen} is not a mask", fix="name an array of class numbers")
        return chosen.name
    fitting = only(
        path,
        arrays,
        lambda one: one.is_plane and one.shape == size,
        "mask",
        f"name one with {parameter}, or write find_mask: false if none is",
    )
    return fitting.name if fitting else None


def only_plane(path: Path, arrays: Iterable[Variable]) -> str:
    """The name of the only 2-D array that is no vector, whatever its size.

    Raises:
        DataError: There is none, or there are several.
    """
    arrays = list(arrays)
    chosen = only(path, arrays, lambda one: one.is_plane, "mask", "name one with mask_variable")
    if chosen is None:
        raise DataError(
            f"{path} holds no numeric array with two axes, only {listing(arrays)}",
            fix="give a file that holds the mask",
        )
    return chosen.name


def named(path: Path, arrays: Iterable[Variable], name: str, parameter: str) -> Variable:
    """The variable of that name.

    Raises:
        DataError: There is none.
    """
    by_name = {one.name: one for one in arrays}
    name = name if name in by_name else name.strip("/")  # as HDF5 writes paths
    if name not in by_name:
        raise DataError(
            f"{path} has no variable {name!r}; it holds {listing(by_name.values())}",
            fix=f"{parameter}: {did_you_mean(name, by_name)}",
        )
    return by_name[name]


def only(
    path: Path, arrays: Iterable[Variable], fits: Callable[[Variable], bool], what: str, fix: str
) -> Variable | None:
    """The one variable that fits, or None where none does.

    Raises:
        DataError: Several do.
    """
    fitting = [one for one in arrays if fits(one)]
    if len(fitting) > 1:
        raise DataError(
            f"{path} holds several arrays that may be the {what}: {listing(fitting)}", fix=fix
        )
    return fitting[0] if fitting else None


def listing(variables: Iterable[Variable]) -> str:
    """The variables with their shapes, in one line."""
    return ", ".join(map(str, variables)) or "nothing"
