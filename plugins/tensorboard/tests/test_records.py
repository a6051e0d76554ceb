import os

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

from specloom_tensorboard.records import record, records

SIZES = [0, 1, 3, 4, 5, 64, 4096, 10_007, 60_000]


def theirs(path, data: list[bytes]) -> bytes:
    with path.open("wb") as file:
        writer = RecordWriter(file)
        for one in data:
            writer.write(one)
    return path.read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_the_bytes_are_tensorboards(tmp_path, size):
    for data in (os.urandom(size), bytes(size)):
        assert record(data) == theirs(tmp_path / "theirs", [data])


def test_records_are_read_back(tmp_path):
    data = [b"", b"x", os.urandom(5000), Event(step=3).SerializeToString()]
    path = tmp_path / "ours"
    path.write_bytes(b"".join(map(record, data)))
    assert path.read_bytes() == theirs(tmp_path / "theirs", data)
    assert list(records(path)) == data


def test_a_record_that_was_cut_off_ends_the_file(tmp_path):
    path = tmp_path / "file"
    whole = record(b"first") + record(b"second")
    for size in range(len(record(b"first")), len(whole)):
        path.write_bytes(whole[:size])
        assert list(records(path)) == [b"first"]
    path.write_bytes(record(b"first") + os.urandom(40))
    assert list(records(path)) == [b"first"]
