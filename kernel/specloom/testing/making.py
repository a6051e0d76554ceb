"""Make nodes and batches for the checks, and for the tests of plugins."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from specloom.contract.abilities import Metric
from specloom.contract.ports import GROUPS, Port, dtype_name, fixed_size
from specloom.graph.ported import IMAGE_AXES, build
from specloom.graph.shape_inference import Sizes
from specloom.testing.comparing import Array, Values, hold
from specloom.testing.driving import fit, needs_fit, quiet

if TYPE_CHECKING:
    from numpy.random import Generator

    from specloom.contract.nodes import Batch

SIZES = {"B": 2, "H": 5, "W": 7}
PRIMES = (31, 11, 13, 17, 19, 23, 29)
"""Sizes are distinct, so that swapped axes cannot pass; 31 bands are 20 nm apart."""
DTYPES = {"real": "float32", "float": "float32", "integer": "int64"}
"""The element type of the arrays for a group of element types."""


def params_of(cls: Any) -> dict[str, Any]:
    """The parameters of the example: ``cls.example``, a mapping or a function that gives one."""
    params = getattr(cls, "example", {})
    if callable(params):
        params = params()
    return copy.deepcopy(dict(params))


def parameters(cls: Any) -> dict[str, inspect.Parameter]:
    """The parameters of the class's own ``__init__``, without ``self`` and a node's ``name``."""
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
    if owner in (object, torch.nn.Module):
        return {}
    _self, *named = inspect.signature(owner.__init__).parameters.values()
    found = {parameter.name: parameter for parameter in named}
    if hasattr(cls, "inputs"):
        found.pop("name", None)
    return found


def example(cls: Any) -> Any:
    """An instance, made with ``cls.example``; not built unless its example gives every size."""
    params = params_of(cls)
    missing = []
    for name, parameter in parameters(cls).items():
        is_required = parameter.default is parameter.empty
        if is_required and name not in params:
            missing.append(name)
    fix = f"give the class an example, or parametrize_with_checks examples={{{cls.__name__!r}: …}}"
    hold(not missing, cls, f"it cannot be made without {', '.join(missing)}: {fix}")
    return cls(**params)


def built(cls: Any, sizes: Mapping[str, int] | None = None, seed: int = 0) -> Any:
    """An instance as a graph would have it, not fitted: built, seeded and prepared on the CPU."""
    with quiet(seed):
        node = example(cls)
        # A graph gives no node the sizes that differ from batch to batch, so neither does this.
        known = Sizes(sizes_for(node, sizes))
        for axis in IMAGE_AXES:
            known.pop(axis, None)
        build(node, known)
        if hasattr(node, "seed"):
            node.seed(seed)
        if hasattr(node, "prepare"):
            node.prepare("cpu")
        if isinstance(node, Metric):
            node.measure_start("val")
    return node


def fitted(cls: Any, sizes: Mapping[str, int] | None = None) -> Any:
    """An instance that is ready to run: built, and fitted on ``fit_batches`` if it fits."""
    node = built(cls, sizes)
    if needs_fit(node):
        fit(node, fit_batches(node))
    return node


def sizes_for(node: Any, sizes: Mapping[str, int] | None = None) -> dict[str, int]:
    """A size for every axis: the node's own, the given ones, else distinct primes."""
    wanted = {**SIZES, **(sizes or {})}
    primes = iter(prime for prime in PRIMES if prime not in wanted.values())
    known: dict[str, int] = {}
    for axis in _axes(node.inputs):
        if axis in known:
            continue
        size = fixed_size(axis, node)
        if size is None:
            size = wanted.get(axis) or next(primes)
        known[axis] = size
    if hasattr(type(node), "sizes"):
        params = {name: getattr(node, name) for name in parameters(type(node))}
        known.update(type(node).sizes(params, dict(known)))
    for axis in _axes(node.outputs):
        size = fixed_size(axis, node)
        if size is not None:
            known.setdefault(axis, size)
    return known


def _axes(ports: Mapping[str, Port]) -> Iterator[str]:
    """The named axes of ports, without those of a fixed number."""
    for port in ports.values():
        for axis in port.names:
            if not axis.isdigit():
                yield axis


def batch_for(
    node: Any,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    *,
    for_fit: bool = False,
    optional: bool = False,
) -> Values:
    """A batch for a node: what its class gives as ``example_batch(sizes)``, else random arrays.

    Args:
        node: The node; parameters that are set fix the sizes of their axes.
        sizes: Sizes by axis; B, H and W are 2, 5 and 7 and the first other axis 31 by default.
        seed: Other seeds give other values.
        for_fit: With the inputs that only a fit needs.
        optional: With the optional inputs.
    """
    known = sizes_for(node, sizes)
    rng = np.random.default_rng(seed)
    made = {}
    for name, port in node.inputs.items():
        made[name] = _value(name, port, known, rng)
    if hasattr(node, "example_batch"):
        # A function of the sizes alone cannot vary with the seed, so later images are taken.
        count = known.get("B", 1)
        start = count * seed
        stop = start + count
        images = node.example_batch({**known, "B": stop})
        made |= cut(node, images, "B", slice(start, stop))
    batch = {}
    for name, port in node.inputs.items():
        is_wanted = port.required or port.many
        if port.optional:
            is_wanted = is_wanted or optional
        if port.for_fit:
            is_wanted = is_wanted or for_fit
        if is_wanted:
            batch[name] = _convert(node, port, made[name])
    return batch


def fit_batches(node: Any, *, optional: bool = False) -> list[Values]:
    """Three batches of 2, 1 and 3 images with everything that a fit needs."""
    batches = []
    for seed, count in enumerate((2, 1, 3), start=1):
        batch = batch_for(node, {"B": count}, seed, for_fit=True, optional=optional)
        batches.append(batch)
    return batches


def cut(node: Any, batch: Batch, axis: str, part: slice) -> Values:
    """The batch with that part of every array along that axis."""
    parts = {}
    for name, value in batch.items():
        parts[name] = part_of(node.inputs[name], value, axis, part)
    return parts


def part_of(port: Port, value: Any, axis: str, part: slice) -> Any:
    """A part along an axis of each array of the port that has it; others as they are."""
    if port.axes is None:
        has_records = port.dtype == "record" and isinstance(value, list)
        if has_records and axis == "B":
            return value[part]
        return value
    if axis not in port.names or port.open_front:
        return value
    before = port.names.index(axis)
    index = (slice(None),) * before + (part,)
    if port.many:
        return [array[index] for array in value]
    return value[index]


def float_images(node: Any) -> list[str]:
    """The required inputs that hold real-valued images, of axes ``B H W ...``."""
    found = []
    for name, port in node.inputs.items():
        is_image = port.names[:3] == ("B", "H", "W")
        if is_image and port.required and port.takes_dtype("float32"):
            found.append(name)
    return found


def _value(name: str, port: Port, sizes: Mapping[str, int], rng: Generator) -> Any:
    """A random value of a port; two of a port that takes many."""
    if not port.many:
        return _one(name, port, sizes, rng)
    first = _one(name, port, sizes, rng)
    second = _one(name, port, sizes, rng)
    return [first, second]


def _one(name: str, port: Port, sizes: Mapping[str, int], rng: Generator) -> Any:
    if port.axes is None:
        return dict.fromkeys(port.fields or ("value",), 0.5)
    shape = _shape(port, sizes)
    if port.dtype == "bool":
        return _mask(name, shape, rng)
    if port.unit == "nm" or (port.host and len(shape) == 1):
        return np.linspace(400, 1000, shape[-1])
    if port.dtype in GROUPS["integer"] | {"integer"}:
        return rng.integers(0, 4, shape)
    return rng.normal(0.5, 0.1, shape)


def _shape(port: Port, sizes: Mapping[str, int]) -> tuple[int, ...]:
    shape = []
    for axis in port.names:
        if axis.isdigit():
            shape.append(int(axis))
        else:
            shape.append(sizes[axis])
    return tuple(shape)


def _mask(name: str, shape: tuple[int, ...], rng: Generator) -> Array:
    """A random mask of which each image has pixels of both values."""
    chance = 0.2
    if name == "valid":
        chance = 0.9
    mask = rng.random(shape) < chance
    count = 1
    if len(shape) > 1:
        count = shape[0]
    images = mask.reshape(count, -1)
    images[:, -1:] = False
    images[:, :1] = True
    return mask


def _convert(node: Any, port: Port, value: Any) -> Any:
    """Arrays in the node's array library and the port's element type."""
    if port.axes is None:
        return value
    if port.many:
        return [_convert_one(node, port, one) for one in value]
    return _convert_one(node, port, value)


def _convert_one(node: Any, port: Port, value: Any) -> Any:
    dtype = DTYPES.get(port.dtype, port.dtype)
    is_group = port.dtype in GROUPS
    if is_group and hasattr(value, "dtype") and value.dtype != np.float64:
        dtype = dtype_name(value)
    if getattr(node, "array_library", "torch") == "numpy":
        return np.asarray(value).astype(dtype)
    return torch.as_tensor(value).to(getattr(torch, dtype), copy=True)
