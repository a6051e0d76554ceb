"""The cube in the bytes of a request of gRPC: what protobuf would write, and reads."""

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from specloom_serve.messages import set_array
from specloom_serve.protocol import service_pb2 as pb
from specloom_serve.wire import FIELDS, cut_out_data, request_bytes


def cube(dtype="f4"):
    return np.arange(24).reshape(2, 3, 4).astype(dtype)


def options():
    request = pb.PredictRequest(wavelengths=[400, 500, 600, 700], outputs=["scores"])
    set_array(request.valid, np.ones((2, 3), bool))
    return request


def with_cube(values):
    request = options()
    set_array(request.array, values)
    return request


def read(message):
    """What protobuf and ``cut_out_data`` read together; None where it is malformed."""
    rest, data = cut_out_data(message)
    try:
        request = pb.PredictRequest.FromString(rest)
    except DecodeError:
        return None, data
    if data is not None:
        request.array.data = bytes(data)
    return request.SerializeToString(deterministic=True), data


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i2"])
def test_a_request_is_what_protobuf_reads(dtype):
    message = request_bytes(options(), cube(dtype))
    assert pb.PredictRequest.FromString(message) == with_cube(cube(dtype))
    fortran = request_bytes(options(), np.asfortranarray(cube(dtype)))
    assert fortran == message


def test_the_data_are_cut_out():
    for message in (request_bytes(options(), cube()), with_cube(cube()).SerializeToString()):
        rest, data = cut_out_data(message)
        assert bytes(data) == cube().tobytes()
        expected = with_cube(cube())
        expected.array.ClearField("data")
        assert pb.PredictRequest.FromString(rest) == expected


def test_other_messages_stay_as_they_are():
    array = with_cube(cube()).SerializeToString()
    path = pb.PredictRequest(file=pb.File(path="a.npy")).SerializeToString()
    for message in (b"", path, array + array, array + path, b"\x0b" + array, b"\xff" * 40):
        assert cut_out_data(message) == (message, None)
    many = pb.PredictRequest(outputs=["a"] * FIELDS).SerializeToString()
    assert cut_out_data(many + array) == (many + array, None)


def test_damaged_messages_are_read_as_by_protobuf():
    rng = np.random.default_rng(5)
    good = with_cube(cube()).SerializeToString()
    count = 0
    for _ in range(3000):
        damaged = np.frombuffer(good, np.uint8).copy()
        places = rng.integers(0, damaged.size, rng.integers(1, 4))
        damaged[places] = rng.integers(0, 256, places.size)
        message = damaged.tobytes()
        if rng.integers(0, 3) == 0:
            message = message[: rng.integers(0, len(message))]
        try:
            expected = pb.PredictRequest.FromString(message)
        except DecodeError:
            assert read(message)[0] is None
            continue
        found, data = read(message)
        assert found == expected.SerializeToString(deterministic=True)
        count += data is not None
    assert count > 500
