"""One array among several in a file, and how a mask is chosen among them."""

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
        kind: What it is where it is no real numeric array, such as ``complex128`` or ``struct``.
        labels: The names that the file gives its axes; empty where it gives none.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    kind: str = "not numeric"
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        kind = self.kind if self.dtype is None else self.dtype.name
        return f"{self.name} {size_text(self.shape) or 'scalar'} {kind}"

    @property
    def leaf(self) -> str:
        """The last part of its name, without the groups that it is in."""
        return self.name.rpartition("/")[2]

    @property
    def is_real(self) -> bool:
        """Whether it holds real numbers, and at least one."""
        return self.dtype is not None and self.dtype.kind in "iuf" and 0 not in self.shape

    @property
    def is_plane(self) -> bool:
        """Whether it has two axes and is no vector."""
        return self.dtype is not None and len(self.shape) == 2 and 1 not in self.shape

    @property
    def is_vector(self) -> bool:
        """Whether all of its numbers lie along one axis."""
        return self.dtype is not None and sum(size != 1 for size in self.shape) == 1

    @property
    def length(self) -> int:
        """The length of its longest axis."""
        return max(self.shape, default=0)


def size_text(shape: Iterable[int]) -> str:
    """A shape as ``4 x 6 x 3``."""
    return " x ".join(map(str, shape))


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

    A field of a MATLAB struct may be written as ``hcube/DataCube`` or ``hcube.DataCube``.

    Raises:
        DataError: There is none.
    """
    by_name = {one.name: one for one in arrays}
    for spelling in (name, name.strip("/"), name.replace(".", "/")):
        if spelling in by_name:
            return by_name[spelling]
    raise DataError(
        f"{path} has no variable {name!r}; it holds {listing(by_name.values())}",
        fix=f"{parameter}: {did_you_mean(name, by_name)}",
    )


def only(
    path: Path, arrays: Iterable[Variable], fits: Callable[[Variable], bool], what: str, fix: str
) -> Variable | None:
    """The one variable that fits, or None where none does.

    Raises:
        DataError: Several do.
    """
    fitting = [one for one in arrays if fits(one)]
    if len(fitting) > 1:
        raise several(path, fitting, what, fix)
    return fitting[0] if fitting else None


def several(path: Path, fitting: Iterable[Variable], what: str, fix: str) -> DataError:
    """The error of a file that holds several arrays that may be what is looked for."""
    return DataError(
        f"{path} holds several arrays that may be the {what}: {listing(fitting)}", fix=fix
    )


def listing(variables: Iterable[Variable]) -> str:
    """The variables with their shapes, in one line."""
    return ", ".join(map(str, variables)) or "nothing"
