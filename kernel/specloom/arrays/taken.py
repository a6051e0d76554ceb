"""An array as a port takes it, and what is made of it in the kind that it came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from specloom.arrays.kinds import (
    DataArrayLike,
    coordinates_on,
    loaded_values,
    native,
    require_array,
    row_of,
    spectral_dimension,
    wavelengths_of,
)
from specloom.contract.errors import PortError, did_you_mean
from specloom.contract.ports import Port, dtype_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

IMAGE = ("B", "H", "W")


@dataclass(frozen=True)
class TakenArray:
    """An array as a port takes it.

    Args:
        values: The array with every axis of the port, (B, H, W, C) of a cube.
        port: The port.
        batched: Whether it came with its batch axis.
        like: The array as it came.
        spectral: Of a DataArray: the dimension that is the bands, if one is.
        wavelengths: Of a DataArray: the band centres in nm, if it has them.
    """

    values: Tensor
    port: Port
    batched: bool
    like: Any
    spectral: Any = None
    wavelengths: NDArray[np.float64] | None = None

    @property
    def is_tensor(self) -> bool:
        """Whether it came as a tensor."""
        return isinstance(self.like, Tensor)

    def give(self, made: Any, port: Port) -> Any:
        """What was made of the array, in its kind.

        The batch axis is dropped where the array came without, and an axis that the port fixes at
        1 always. What is no array comes as it is.

        Args:
            made: The value, with all axes of its port.
            port: The port of the value.
        """
        if port.axes is None or not hasattr(made, "shape"):
            return made
        if port.names[-1:] == ("1",):
            made = made[..., 0]
        if port.names[:1] == ("B",) and not self.batched:
            made = made[0]
        if self.is_tensor:
            return torch.as_tensor(made).to(self.like.device)
        values = _to_numpy(made)
        if isinstance(self.like, DataArrayLike) and port.names[:3] == IMAGE:
            return self._data_array(values, port)
        return values

    def _data_array(self, values: NDArray[Any], port: Port) -> Any:
        """Values as a DataArray on the coordinates of the array."""
        dims = [dim for dim in self.like.dims if dim != self.spectral]
        dims = dims[: values.ndim]
        if values.ndim > len(dims):
            has_bands = port.names[-1] == self.port.names[-1]
            dims.append(self.spectral if has_bands else "feature")
        coords = coordinates_on(self.like, dims)
        attrs = {"units": port.unit, "long_name": port.doc}
        made = type(self.like)(values, dims=dims, coords=coords, attrs=attrs)
        return made.transpose(*[dim for dim in self.like.dims if dim in dims], ...)


def take(value: Any, port: Port, name: str) -> TakenArray:
    """An array as a port takes it.

    Args:
        value: NumPy, torch or xarray, for a port of one axis also numbers in a list, a tuple or a
            range; the batch axis and a last axis of 1 may be left out.
        port: The port.
        name: What messages call the array.

    Raises:
        PortError: It has other axes, or numbers that the port cannot hold.
        DataError: It is lazy and too large, or its wavelengths are in an unknown unit.
    """
    if port.axes is None or port.many:
        what = f"{name} is no array of its own: {port.doc or port.dtype}"
        raise PortError(what, fix="connect the node in a pipeline, or call its forward")
    if len(port.names) == 1:
        value = row_of(value, name)
    require_array(value, name)
    if not isinstance(value, DataArrayLike):
        return _shaped(value, port, name, like=value)
    is_thin = port.names[-1:] == ("1",) or len(port.names) < 4
    if is_thin:
        return _shaped(loaded_values(value, name), port, name, like=value)
    dim = spectral_dimension(value, name)
    ordered = value.transpose(..., dim)
    taken = _shaped(loaded_values(ordered, name), port, name, like=value)
    wavelengths = wavelengths_of(value, dim)
    return TakenArray(taken.values, port, taken.batched, value, dim, wavelengths)


def _shaped(value: Any, port: Port, name: str, like: Any) -> TakenArray:
    """An array with every axis of a port, in an element type that it takes."""
    values = value
    if isinstance(value, np.ndarray):
        values = _tensor(value, name)
    wanted = len(port.names)
    if _lacks_last_axis(values, port):
        values = values[..., None]
    batched = values.ndim == wanted
    if port.open_front:
        batched = values.ndim >= wanted
    without_batch = values.ndim == wanted - 1 and port.names[:1] == ("B",)
    if not batched and not without_batch:
        axes = f"({port.axes})"
        if port.names[:3] == IMAGE and wanted == 4:
            axes = "(H, W, C) or (B, H, W, C)"
        raise PortError(
            f"{name} has the shape {tuple(value.shape)}, where {axes} is needed",
            fix=f"reshape it: {port.doc or 'see the axes of the input'}",
        )
    if without_batch:
        values = values[None]
    if port.names[:1] == ("B",) and 0 in values.shape:
        what = f"{name} has the shape {tuple(value.shape)}, which holds no number"
        raise PortError(what, fix="pass at least one image with one pixel and one band")
    cast = _cast(values, port, name, is_tensor=isinstance(like, Tensor))
    return TakenArray(cast, port, batched, like)


def _lacks_last_axis(values: Any, port: Port) -> bool:
    """Whether an array came without the last axis, which the port fixes at 1.

    An image of one column ends in 1 as well; it has at most one axis besides.
    """
    if port.names[-1:] != ("1",):
        return False
    return bool(values.shape[-1:] != (1,) or values.ndim < len(port.names) - 1)


def _tensor(array: NDArray[Any], name: str) -> Tensor:
    """A NumPy array as a tensor.

    Raises:
        PortError: Its element type is none that torch has.
    """
    try:
        return torch.from_numpy(native(array))
    except TypeError as error:
        fix = "convert it to numbers: array.astype('float32')"
        raise PortError(f"{name} is of type {array.dtype}", fix=fix) from error


def _cast(values: Tensor, port: Port, name: str, *, is_tensor: bool) -> Tensor:
    """Values in an element type that a port takes.

    Real numbers become float32, 0 and 1 become bool. Tensors of floating point are not cast, so
    that gradients can be checked in float64.

    Raises:
        PortError: The values are others.
    """
    dtype = dtype_name(values)
    if port.takes_dtype(dtype):
        return values
    if port.dtype == "bool":
        if not bool(((values == 0) | (values == 1)).all()):
            fix = f"compare it with a class first: {name}=labels == 3"
            raise PortError(f"{name} holds other numbers than 0 and 1", fix=fix)
        return values.bool()
    if port.dtype == "float32" and not values.is_complex() and dtype != "bool":
        if is_tensor and values.is_floating_point():
            return values
        return values.float()
    fix = f"convert it to {port.dtype} first"
    raise PortError(f"{name} is of type {dtype}, where {port.dtype} is needed", fix=fix)


def _to_numpy(value: Any) -> NDArray[Any]:
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    return np.asarray(value)


@dataclass(frozen=True)
class TakenBatch:
    """The arrays of a call, as ports take them.

    Args:
        values: The tensors by port.
        first: The first array, in whose kind results are given.
        ports: The ports.
    """

    values: dict[str, Tensor]
    first: TakenArray
    ports: Mapping[str, Port]

    def sizes(self) -> dict[str, int]:
        """The sizes of the axes."""
        return sizes_of(self.ports, self.values)


def take_batch(
    ports: Mapping[str, Port], cube: Any, others: Mapping[str, Any], owner: str
) -> TakenBatch:
    """A cube for the first of some ports, and other arrays by the names of theirs.

    Args:
        ports: The ports, the one of the cube first.
        cube: NumPy, torch or xarray.
        others: Other arrays by the names of ports; None counts as left out.
        owner: What messages call the owner of the ports.

    Raises:
        PortError: There is no such port, or an array does not fit its port or the cube.
        DataError: As ``take``.
    """
    first, *_ = ports
    for name in others:
        if name not in ports:
            what = f"{owner} has no input {name!r}"
            raise PortError(what, fix=did_you_mean(name, ports))
    taken = take(cube, ports[first], first)
    values = {first: taken.values}
    for name, value in others.items():
        if value is None:
            continue
        values[name] = take(value, ports[name], name).values
    has_own = taken.wavelengths is not None and "wavelengths" not in values
    if has_own and "wavelengths" in ports:
        port = ports["wavelengths"]
        values["wavelengths"] = take(taken.wavelengths, port, "wavelengths").values
    _require_same_sizes(ports, values, first)
    return TakenBatch(values, taken, dict(ports))


def sizes_of(ports: Mapping[str, Port], values: Mapping[str, Tensor]) -> dict[str, int]:
    """The sizes of the axes of arrays; of arrays that disagree, the first one's."""
    found: dict[str, int] = {}
    for name, value in values.items():
        axes = ports[name].names
        shape = tuple(value.shape)
        for axis, size in zip(axes, shape[len(shape) - len(axes) :], strict=True):
            if not axis.isdigit():
                found.setdefault(axis, size)
    return found


def _require_same_sizes(
    ports: Mapping[str, Port], values: Mapping[str, Tensor], first: str
) -> None:
    """Raise PortError where an array has another number of rows, columns or bands than the cube."""
    for name, value in values.items():
        own = sizes_of(ports, {name: value})
        of_first = sizes_of(ports, {first: values[first]})
        for axis, size in own.items():
            expected = of_first.get(axis, size)
            if size != expected:
                raise PortError(
                    f"{name} has {axis} = {size}, {first} has {axis} = {expected}",
                    fix=f"pass {name} of the size of {first}",
                )
