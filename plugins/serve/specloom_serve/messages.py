"""Messages of gRPC from plain values and arrays, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_serve.errors import RefusedError
from specloom_serve.npy_body import KINDS, Layout, check_cube, check_mask
from specloom_serve.protocol import service_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from numpy.typing import NDArray

    from specloom_serve.settings import Limits

DTYPES = frozenset(
    (
        "float16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "bool",
    )
)
"""The element types of arrays in messages."""


def array_message(values: Any) -> pb.Array:
    """An array as a message."""
    message = pb.Array()
    set_array(message, values)
    return message


def set_array(message: pb.Array, values: Any) -> None:
    """Write an array into a message."""
    array = np.asarray(values)
    message.shape.extend(array.shape)
    message.dtype = array.dtype.name
    message.data = little_endian(array).tobytes()


def little_endian(array: NDArray[Any]) -> NDArray[Any]:
    """An array with the byte order of messages and NPY files; without a copy where it has it."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def array_of(message: pb.Array) -> NDArray[Any]:
    """The array of a message of a server."""
    dtype = np.dtype(message.dtype).newbyteorder("<")
    values = np.frombuffer(bytearray(message.data), dtype).reshape(tuple(message.shape))
    return values.astype(message.dtype, copy=False)


def cube_of(message: pb.Array, limits: Limits, data: memoryview | None = None) -> NDArray[Any]:
    """The cube (H, W, C) of a request.

    Args:
        message: The array.
        limits: The limits.
        data: Its bytes, where they were cut out of the message.

    Raises:
        RefusedError: It is no cube of numbers within the limits.
    """
    layout = _layout(message)
    check_cube(layout, limits)
    return layout.array(_bytes_of(message.data if data is None else data, layout))


def mask_of(message: pb.Array, limits: Limits) -> NDArray[np.bool_]:
    """Which pixels of a request count, bool (H, W).

    Raises:
        RefusedError: It is no mask within the limits.
    """
    layout = _layout(message)
    check_mask(layout, limits)
    return layout.array(_bytes_of(message.data, layout))


def _layout(message: pb.Array) -> Layout:
    if message.dtype not in DTYPES:
        what = "the array is of a type that is not read"
        raise RefusedError(415, what, KINDS)
    return Layout(tuple(message.shape), np.dtype(message.dtype), is_fortran=False)


def _bytes_of(data: bytes | memoryview, layout: Layout) -> NDArray[np.uint8]:
    """The bytes of an array, copied where its numbers would not be aligned.

    Raises:
        RefusedError: They are more or fewer than its shape says.
    """
    if len(data) != layout.nbytes:
        what = f"the array has {len(data)} bytes, its shape and type say {layout.nbytes}"
        raise RefusedError(400, what, "send the bytes of numpy.ascontiguousarray(cube)")
    numbers = np.frombuffer(data, np.uint8)
    if numbers.ctypes.data % layout.dtype.alignment:
        return numbers.copy()
    return numbers


def fill(message: Message, values: Mapping[str, Any]) -> None:
    """Set the fields of a message that have a value; None and NaN stay absent."""
    for name, value in _known(values).items():
        if isinstance(value, list | tuple):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without None and numbers that are not finite."""
    found = {}
    for name, value in values.items():
        is_number = not isinstance(value, float) or math.isfinite(value)
        if value is not None and is_number:
            found[name] = value
    return found


def values_of(message: Message) -> dict[str, Any]:
    """The fields of a message as plain values: None where one is absent."""
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            found[field.name] = list(value)
        elif field.has_presence and not message.HasField(field.name):
            found[field.name] = None
        else:
            found[field.name] = value
    return found


def response(
    described: Mapping[str, Any], arrays: Mapping[str, Any], wanted: Collection[str]
) -> pb.PredictResponse:
    """The answer to a request.

    Args:
        described: What ``results.describe`` returns.
        arrays: The outputs.
        wanted: The names of those whose data are wanted.
    """
    message = pb.PredictResponse()
    plain = ("pipeline", "verdict", "reason", "unjudged", "pixels", "notes", "seconds")
    fill(message, {name: described[name] for name in plain})
    fill(message.measures, described["measures"])
    if described["objects"] is not None:
        message.has_objects = True
        message.objects.extend(pb.Object(**_known(row)) for row in described["objects"])
    if described["domain"] is not None:
        message.domain.SetInParent()
        fill(message.domain, described["domain"])
    for name, value in arrays.items():
        output = message.outputs[name]
        array = np.asarray(value)
        output.shape.extend(array.shape)
        output.dtype = array.dtype.name
        output.without_data = name not in wanted
        if name in wanted:
            output.data = little_endian(array).tobytes()
    return message


def result_of(message: pb.PredictResponse) -> dict[str, Any]:
    """What HTTP has as ``result.json``."""
    outputs = {}
    for name, array in message.outputs.items():
        outputs[name] = {"shape": list(array.shape), "dtype": array.dtype}
    objects = None
    if message.has_objects:
        objects = [values_of(one) for one in message.objects]
    domain = None
    if message.HasField("domain"):
        domain = values_of(message.domain)
    return {
        "pipeline": message.pipeline,
        "verdict": message.verdict,
        "reason": message.reason,
        "measures": values_of(message.measures),
        "objects": objects,
        "domain": domain,
        "outputs": outputs,
        "unjudged": message.unjudged,
        "pixels": message.pixels,
        "notes": list(message.notes),
        "seconds": message.seconds,
    }


def description(found: Mapping[str, Any]) -> pb.DescribeResponse:
    """The description of a pipeline.

    Args:
        found: What ``describe_pipeline`` returns.
    """
    message = pb.DescribeResponse(name=found["name"], json=json.dumps(found))
    fill(message, {"bands": found["bands"], "rules": found["rules"], "notes": found["notes"]})
    for name, output in found["outputs"].items():
        message.outputs[name] = output["from"]
    for node in found["nodes"]:
        added = message.nodes.add(name=node["name"], type=node["type"])
        for port in node["inputs"]:
            fill(added.inputs.add(), port)
        for port in node["outputs"]:
            fill(added.outputs.add(), port)
        for name, value in node["parameters"].items():
            added.parameters[name] = json.dumps(value)
    return message
