"""Scratch folders: of one process each, and removed when that process is dead."""

import os
import platform
import subprocess
import sys

import pytest

from specloom import UnavailableError, process_tag
from specloom_predict.scratch import scratch_folder

HOST = process_tag().split("-")[0]


def test_a_scratch_folder_carries_host_process_and_a_random_part(tmp_path):
    with scratch_folder(tmp_path) as first, scratch_folder(tmp_path) as second:
        assert first != second
        for folder in (first, second):
            host, process, random = folder.name.removeprefix(".part-").split("-")
            assert (host, process, len(random)) == (HOST, str(os.getpid()), 8)
    assert list(tmp_path.iterdir()) == []


def test_only_folders_of_dead_processes_of_this_host_are_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = {
        f".part-{HOST}-{dead.pid}-0123abcd": False,
        f".part-{HOST}-{os.getpid()}-0123abcd": True,
        f".part-other{HOST}-{dead.pid}-0123abcd": True,
        f".part-{HOST}-{10**30}-0123abcd": True,
        f".part-{dead.pid}-0123abcd": True,
        ".part-mine": True,
    }
    for name in names:
        (tmp_path / name).mkdir()
    with scratch_folder(tmp_path):
        assert {name: (tmp_path / name).exists() for name in names} == names


def test_a_name_of_a_host_with_hyphens_and_dots(monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "node-7.cluster." + "x" * 99)
    host, process, random = process_tag().split("-")
    assert host == "node_7_cluster_" + "x" * 17
    assert (process, len(random)) == (str(os.getpid()), 8)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError) as error, scratch_folder(tmp_path / "file/out"):
        pass
    assert str(error.value) == (
        f"{tmp_path}/file/out cannot be written: a file of that name is there, not a folder\n"
        "  fix: choose another folder with --out"
    )
