"""The kinds of arrays that nodes and pipelines take, and what is used of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from torch import Tensor

from specloom.contract.errors import DataError, PortError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

SPECTRAL = ("band", "bands", "wavelength", "wavelengths", "channel", "channels", "c", "lambda")
"""The names of dimensions that are the bands, in lower case."""

NANOMETRES = {
    "nm": 1.0,
    "nanometer": 1.0,
    "nanometers": 1.0,
    "nanometre": 1.0,
    "nanometres": 1.0,
    "um": 1e3,
    "µm": 1e3,
    "μm": 1e3,
    "micrometer": 1e3,
    "micrometers": 1e3,
    "micrometre": 1e3,
    "micrometres": 1e3,
}
"""Nanometres in one unit of wavelengths, by the name of the unit in lower case."""

LARGEST_LAZY = 1 << 30
"""Bytes of a lazy array (of dask) that are loaded as a whole; larger ones are refused."""


@runtime_checkable
class DataArrayLike(Protocol):
    """What is used of an ``xarray.DataArray``."""

    @property
    def dims(self) -> tuple[Any, ...]:
        """The names of its dimensions."""

    @property
    def chunks(self) -> Any:
        """How a lazy array is divided; None of an array in memory."""

    @property
    def coords(self) -> Any:
        """Its coordinates by name."""

    def transpose(self, *dims: Any) -> Any:
        """The array with its dimensions in another order."""


X = TypeVar("X", bound=DataArrayLike)
CubeLike: TypeAlias = "NDArray[Any] | Tensor | DataArrayLike"
"""A cube: (H, W, C) or (B, H, W, C)."""


def require_array(value: Any, name: str) -> None:
    """Accept arrays whose numbers can be used.

    Raises:
        PortError: It is a masked array, a structured one, or no array at all.
    """
    if isinstance(value, np.ma.MaskedArray):
        fix = "pass data.filled(numpy.nan), or the plain data with valid=~data.mask.any(-1)"
        raise PortError(f"{name} is a masked array", fix=fix)
    if isinstance(value, Tensor | np.ndarray | DataArrayLike):
        return
    fix = "pass a NumPy array, a torch tensor or an xarray.DataArray"
    raise PortError(f"{name} is of type {type(value).__name__}, which is no array", fix=fix)


def row_of(value: Any, name: str) -> Any:
    """Numbers in a list, a tuple or a range as an array; what is neither comes as it is.

    Raises:
        PortError: It holds something else than numbers.
    """
    if not isinstance(value, list | tuple | range):
        return value
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        what = f"{name} holds something else than numbers: {error}"
        raise PortError(what, fix="pass one number for each band") from error


def spectral_dimension(cube: Any, name: str) -> Any:
    """The dimension of a DataArray that is the bands, by its name.

    Raises:
        PortError: None has such a name, or several have.
    """
    found = [dim for dim in cube.dims if str(dim).lower() in SPECTRAL]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(str(dim) for dim in cube.dims)
    what = f"of the dimensions of {name} ({listed}) none is named as the bands"
    fix = "rename the one of the bands to 'band': cube.rename({'…': 'band'})"
    if found:
        what = f"of the dimensions of {name} ({listed}) several are named as the bands"
        renaming = {str(found[0]): "column"}
        fix = f"rename those that are not the bands, such as: cube.rename({renaming})"
    raise PortError(what, fix=fix)


def loaded_values(array: Any, name: str) -> NDArray[Any]:
    """The values of a DataArray, in memory.

    Raises:
        DataError: They are lazy (of dask), and too many to be loaded as a whole.
    """
    if array.chunks is not None and array.nbytes > LARGEST_LAZY:
        size = f"{array.nbytes / 1e9:.1f} GB"
        limit = f"{LARGEST_LAZY / 1e9:.1f} GB"
        what = f"{name} is a lazy array of {size}, which would be loaded as a whole"
        fix = f"pass parts of at most {limit}, or save it and run: specloom predict RUN_FOLDER FILE"
        raise DataError(what, fix=fix)
    values: NDArray[Any] = np.asarray(array.values)
    return values


def wavelengths_of(cube: Any, dim: Any) -> NDArray[np.float64] | None:
    """The band centres in nm that a coordinate of a DataArray holds; None without one.

    It is the coordinate of the dimension itself, where that is named as wavelengths or has a unit
    of length, or another one along it that is named so.

    Raises:
        DataError: Its unit is no known one, or it holds no numbers.
    """
    for name, coordinate in cube.coords.items():
        if tuple(coordinate.dims) != (dim,):
            continue
        unit = str(coordinate.attrs.get("units", "")).lower()
        is_named = str(name).lower().startswith(("wavelength", "lambda"))
        if not is_named and unit not in NANOMETRES:
            continue
        factor = NANOMETRES.get(unit)
        if not unit:
            factor = 1.0
        if factor is None:
            what = f"the unit {unit!r} of the coordinate {name!r} is no known unit of wavelengths"
            raise DataError(what, fix="set its attribute 'units' to 'nm' or 'um'")
        return _numbers(coordinate.values, name) * factor
    return None


def _numbers(values: Any, name: Any) -> NDArray[np.float64]:
    """Band centres as numbers.

    Raises:
        DataError: They are texts.
    """
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        what = f"the coordinate {name!r} holds no numbers: {error}"
        fix = "give it the band centres in nm, or another name"
        raise DataError(what, fix=fix) from error


def native(array: NDArray[Any]) -> NDArray[Any]:
    """What torch can take over: native byte order, writable, no negative strides."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    runs_backwards = any(stride < 0 for stride in array.strides)
    if runs_backwards or not array.flags.writeable:
        array = array.copy()
    return array


def coordinates_on(like: Any, dims: list[Any]) -> Mapping[Any, Any]:
    """The coordinates of a DataArray that lie on some of its dimensions."""
    wanted = set(dims)
    coords = like.coords.items()
    return {name: coordinate for name, coordinate in coords if wanted.issuperset(coordinate.dims)}
