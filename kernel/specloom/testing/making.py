"""Make nodes and batches for the checks, and for the tests of plugins."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from specloom.contract.abilities import Metric
from specloom.contract.ports import GROUPS, Port, fixed_size
from specloom.graph.ported import IMAGE_AXES, build
from specloom.graph.shape_inference import Sizes
from specloom.testing.comparing import hold
from specloom.testing.driving import fit, needs_fit, quiet

if TYPE_CHECKING:
    from specloom.contract.nodes import Batch

SIZES = {"B": 2, "H": 5, "W": 7}
PRIMES = (31, 11, 13, 17, 19, 23, 29)
"""Sizes are distinct, so that swapped axes cannot pass; 31 bands are 20 nm apart."""


def params_of(cls: Any) -> dict[str, Any]:
    """The parameters of the example: ``cls.example``, a mapping or a function that gives one."""
    given = getattr(cls, "example", {})
    return copy.deepcopy(dict(given() if callable(given) else given))


def parameters(cls: Any) -> dict[str, inspect.Parameter]:
    """The parameters of the class's own ``__init__``, without ``self`` and a node's ``name``."""
    owner = next(c for c in cls.__mro__ if "__init__" in vars(c))
    if owner in (object, torch.nn.Module):
        return {}
    _, *named = inspect.signature(owner.__init__).parameters.values()
    is_node = hasattr(cls, "inputs")
    return {p.name: p for p in named if not (is_node and p.name == "name")}


def example(cls: Any) -> Any:
    """An instance, made with ``cls.example``; not built unless its example gives every size."""
    params = params_of(cls)
    empty = inspect.Parameter.empty
    lacking = [k for k, p in parameters(cls).items() if p.default is empty and k not in params]
    how = f"give the class an example, or parametrize_with_checks examples={{{cls.__name__!r}: …}}"
    hold(not lacking, cls, f"it cannot be made without {', '.join(lacking)}: {how}")
    return cls(**params)


def built(cls: Any, sizes: Mapping[str, int] | None = None, seed: int = 0) -> Any:
    """An instance as a graph would have it, not fitted: built, seeded and prepared on the CPU."""
    with quiet(seed):
        node = example(cls)
        # A graph gives no node the sizes that differ from batch to batch, so neither does this.
        known = sizes_for(node, sizes).items()
        build(node, Sizes({axis: size for axis, size in known if axis not in IMAGE_AXES}))
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
    wanted, known = {**SIZES, **(sizes or {})}, dict[str, int]()
    free = iter(prime for prime in PRIMES if prime not in wanted.values())
    for port in node.inputs.values():
        for axis in port.names:
            if not axis.isdigit() and axis not in known:
                own = fixed_size(axis, node)
                known[axis] = wanted.get(axis) or next(free) if own is None else own
    if hasattr(type(node), "sizes"):
        params = {name: getattr(node, name) for name in parameters(type(node))}
        known.update(type(node).sizes(params, dict(known)))
    for port in node.outputs.values():
        for axis in port.names:
            own = None if axis.isdigit() else fixed_size(axis, node)
            if own is not None:
                known.setdefault(axis, own)
    return known


def batch_for(
    node: Any,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    *,
    for_fit: bool = False,
    optional: bool = False,
) -> dict[str, Any]:
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
    made = {name: _value(name, port, node, known, rng) for name, port in node.inputs.items()}
    if hasattr(node, "example_batch"):
        # A function of the sizes alone cannot vary with the seed, so later images are taken.
        count = known.get("B", 1)
        given = node.example_batch({**known, "B": count * (seed + 1)})
        made |= cut(node, given, "B", slice(count * seed, count * (seed + 1)))
    wanted = {
        name
        for name, port in node.inputs.items()
        if port.required or port.many or (port.optional and optional) or (port.for_fit and for_fit)
    }
    return {
        name: _convert(node, port, made[name])
        for name, port in node.inputs.items()
        if name in wanted
    }


def fit_batches(node: Any, *, optional: bool = False) -> list[dict[str, Any]]:
    """Three batches of 2, 1 and 3 images with everything that a fit needs."""
    return [
        batch_for(node, {"B": count}, seed, for_fit=True, optional=optional)
        for seed, count in enumerate((2, 1, 3), start=1)
    ]


def cut(node: Any, batch: Batch, axis: str, part: slice) -> dict[str, Any]:
    """The batch with that part of every array along that axis."""
    return {
        name: on_arrays(node.inputs[name], value, lambda array, index: array[index], axis, part)
        for name, value in batch.items()
    }


def on_arrays(
    port: Port, value: Any, take: Callable[[Any, Any], Any], axis: str, part: slice
) -> Any:
    """``take(array, index)`` for each array of the port that has the axis; others as they are."""
    if port.axes is None:
        per_image = axis == "B" and port.dtype == "record" and isinstance(value, list)
        return value[part] if per_image else value
    if axis not in port.names or port.open_front:
        return value
    index = (slice(None),) * port.names.index(axis) + (part,)
    return [take(one, index) for one in value] if port.many else take(value, index)


def float_images(node: Any) -> list[str]:
    """The required inputs that hold real-valued images, of axes ``B H W ...``."""
    return [
        name
        for name, port in node.inputs.items()
        if port.required and port.names[:3] == ("B", "H", "W") and port.takes_dtype("float32")
    ]


def _value(
    name: str, port: Port, node: Any, sizes: Mapping[str, int], rng: np.random.Generator
) -> Any:
    if port.many:
        return [_one(name, port, node, sizes, rng) for _ in range(2)]
    return _one(name, port, node, sizes, rng)


def _one(
    name: str, port: Port, node: Any, sizes: Mapping[str, int], rng: np.random.Generator
) -> Any:
    if port.axes is None:
        return dict.fromkeys(port.fields or ("value",), 0.5)
    shape = tuple(int(axis) if axis.isdigit() else sizes[axis] for axis in port.names)
    if port.dtype == "bool":
        chance = 0.9 if name == "valid" else 0.2
        mask = rng.random(shape) < chance
        images = mask.reshape(shape[0], -1) if len(shape) > 1 else mask.reshape(1, -1)
        images[:, -1:], images[:, :1] = False, True
        return mask
    if port.unit == "nm" or (port.host and len(shape) == 1):
        return np.linspace(400, 1000, shape[-1])
    if port.dtype in GROUPS["integer"] | {"integer"}:
        return rng.integers(0, 4, shape)
    return rng.normal(0.5, 0.1, shape)


def _convert(node: Any, port: Port, value: Any) -> Any:
    """Arrays in the node's array library and the port's element type."""
    if port.axes is None:
        return value
    if port.many:
        return [_convert_one(node, port, one) for one in value]
    return _convert_one(node, port, value)


def _convert_one(node: Any, port: Port, value: Any) -> Any:
    dtype = {"real": "float32", "float": "float32", "integer": "int64"}.get(port.dtype, port.dtype)
    if port.dtype in GROUPS and hasattr(value, "dtype") and value.dtype != np.float64:
        dtype = str(value.dtype).removeprefix("torch.")
    if getattr(node, "array_library", "torch") == "numpy":
        return np.asarray(value).astype(dtype)
    return torch.as_tensor(value).to(getattr(torch, dtype), copy=True)
