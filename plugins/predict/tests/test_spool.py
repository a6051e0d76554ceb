"""A list that lies in a file."""

import errno
import tempfile

import pytest

from specloom_predict import spool as module
from specloom_predict.scratch import WriteError
from specloom_predict.spool import Spool


def filled(*values):
    made = Spool()
    for value in values:
        made.append(value)
    return made


def test_it_is_a_list_of_what_was_added():
    made = filled({"a": 1}, "ä\n\udce9", [2.5, None])
    assert made == [{"a": 1}, "ä\n\udce9", [2.5, None]]
    assert made != filled(1)
    assert made != 3
    assert (len(made), made[-1], made[1:]) == (3, [2.5, None], ["ä\n\udce9", [2.5, None]])
    assert repr(filled(1, 2)) == "Spool([1, 2])"
    assert filled() == []
    with pytest.raises(IndexError):
        made[3]


def test_it_reads_and_grows_by_turns_also_where_it_lies_on_the_disk(monkeypatch):
    monkeypatch.setattr(module, "BYTES_IN_MEMORY", 100)
    made = Spool(str, int)
    for number in range(200):
        made.append(number)
        assert made[number // 2] == number // 2
    assert made == list(range(200))
    assert made._file._rolled


def test_it_is_sorted_by_rank():
    made = Spool()
    for value, rank in (("c", 2), ("a", 0), ("d", 2), ("b", 1)):
        made.append(value, rank)
    made.sort()
    assert made == ["a", "b", "c", "d"]
    made.append("e", 0)
    made.sort()
    assert made == ["a", "e", "b", "c", "d"]


def test_a_full_disk_of_temporary_files_ends_the_call(monkeypatch):
    tempfile.gettempdir()  # which pytest has used already, unless this runs alone
    made = Spool()

    def full(line):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(made._file, "write", full)
    with pytest.raises(WriteError) as caught:
        made.append(1)
    assert caught.value.stops
    assert caught.value.what == "a temporary file cannot be written: No space left on device"
    assert caught.value.where == tempfile.gettempdir()
    assert caught.value.fix == "make room there, or set TMPDIR to a folder with room"
    assert made == []
