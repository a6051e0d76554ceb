"""Names of files that are not complete: of one process each, and short enough."""

import os
import signal
import sys

import pytest

from specloom import is_temporary, lock_abandoned, open_locked, process_tag, write_file
from specloom.execution.files import temporary_name


def test_no_two_names_are_the_same():
    assert len({process_tag() for _ in range(100)}) == 100
    assert process_tag().split("-")[1] == str(os.getpid())


@pytest.mark.parametrize("name", ["a.json", "b" * 255, "ä" * 127, "\N{OGHAM SPACE MARK}" * 85])
def test_a_temporary_name_is_no_longer_than_a_file_system_allows(name, tmp_path):
    assert len(os.fsencode(temporary_name(name))) <= 255
    write_file(tmp_path / name, b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"whole"


@pytest.mark.parametrize("name", ["a.json", "b" * 255, "phase-0.safetensors"])
def test_a_temporary_name_is_known_as_one(name):
    assert is_temporary(temporary_name(name))
    assert is_temporary(f".{name}.json.4711")  # as in version 0.1
    for other in (name, f".{name}", f"{name}.4711", f".{name}.4711.new", f".{name}.a-b-0123abcd"):
        assert not is_temporary(other)


def test_what_a_killed_write_leaves_is_known_as_temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: os.kill(os.getpid(), signal.SIGKILL))
    process = os.fork()
    if process == 0:
        try:
            write_file(tmp_path / "phase-0.safetensors", b"half")
        finally:
            os._exit(1)
    assert os.waitpid(process, 0)[1] == signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert is_temporary(left.name)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_a_file_is_locked_where_the_library_can_no_longer_be_read(tmp_path, monkeypatch):
    """As where a process has dropped its privileges."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    handle = open_locked(tmp_path / "a")
    assert lock_abandoned(tmp_path / "a") is None
    os.close(handle)
    os.close(lock_abandoned(tmp_path / "a"))
