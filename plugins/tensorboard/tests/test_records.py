import doctest
import os

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c as reference
from tensorboard.summary.writer.record_writer import RecordWriter

from specloom_tensorboard import records
from specloom_tensorboard.records import crc32c, record

SIZES = [0, 1, 3, 4, 5, 64, 2047, 2048, 2049, 2116, 4096, 10_007, 60_000]


@pytest.mark.parametrize("size", SIZES)
def test_checksums_equal_tensorboards(size):
    data = os.urandom(size)
    assert crc32c(data) == reference(data)
    assert crc32c(bytes(size)) == reference(bytes(size))


def test_the_published_check_value():
    assert doctest.testmod(records).failed == 0


def test_the_bytes_are_tensorboards(tmp_path):
    data = [b"", b"x", os.urandom(5000), Event(step=3).SerializeToString()]
    with (tmp_path / "theirs").open("wb") as file:
        writer = RecordWriter(file)
        for one in data:
            writer.write(one)
    ours = b"".join(map(record, data))
    assert ours == (tmp_path / "theirs").read_bytes()
    (tmp_path / "ours").write_bytes(ours)
    assert list(records.records(tmp_path / "ours")) == data


def test_a_record_that_was_cut_off_ends_the_file(tmp_path):
    whole = record(b"first") + record(b"second")
    for size in range(len(record(b"first")), len(whole)):
        (tmp_path / "file").write_bytes(whole[:size])
        assert list(records.records(tmp_path / "file")) == [b"first"]
    (tmp_path / "file").write_bytes(record(b"first") + os.urandom(40))
    assert list(records.records(tmp_path / "file")) == [b"first"]
