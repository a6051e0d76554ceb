"""Names of files that are not complete: of one process each, and short enough."""

import os

import pytest

from specloom import process_tag, write_file
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
