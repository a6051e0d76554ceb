"""Weights of a job that do not travel through the scheduler, but lie in a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from specloom import IntegrityError, Job, Plugins, UnavailableError
from specloom_dask import weights_file
from specloom_dask.weights_file import PREFIX, paths_of, weights_aside, with_weights
from specloom_dask.wire import pack_job, unplain


@pytest.fixture
def packed(monkeypatch):
    monkeypatch.setattr(weights_file, "MOST_BYTES", 1000)
    return pack_job(Job("toys.Task", weights=bytes(range(256)) * 4), Plugins())


def test_small_weights_and_those_without_a_folder_travel(packed, tmp_path, monkeypatch):
    for folder in (None, tmp_path / "absent"):
        with weights_aside(packed, folder) as found:
            assert found is packed
            assert paths_of(found) == []
    monkeypatch.setattr(weights_file, "MOST_BYTES", 1024)
    with weights_aside(packed, tmp_path) as found:
        assert found is packed
        assert with_weights(found) is packed


def test_large_weights_are_a_file_as_long_as_the_job_lasts(packed, tmp_path):
    with weights_aside(packed, tmp_path) as found:
        (path,) = tmp_path.iterdir()
        assert path.read_bytes() == packed["weights"]
        assert paths_of(found) == [str(path)]
        assert path.name.startswith(f"{PREFIX}{found['weights_sha256']}-")
        assert found["weights"] == b""
        assert unplain(found) == ""
        assert with_weights(found)["weights"] == packed["weights"]
    assert list(tmp_path.iterdir()) == []
    with weights_aside(packed, tmp_path) as again:
        assert again == found, "workers hold the same job"
    with pytest.raises(ZeroDivisionError), weights_aside(packed, tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_two_jobs_with_the_same_weights_have_a_file_each(packed, tmp_path):
    with weights_aside(packed, tmp_path) as first:
        with weights_aside(packed, tmp_path) as second:
            assert first["weights_file"] != second["weights_file"]
            assert first["key"] != second["key"]
        assert with_weights(first)["weights"] == packed["weights"]


def test_a_worker_that_does_not_see_the_file_says_so(packed, tmp_path):
    with weights_aside(packed, tmp_path) as found:
        pass
    with pytest.raises(UnavailableError) as caught:
        with_weights(found)
    assert caught.value.what == (
        f"{found['weights_file']} with the weights of the job cannot be read: "
        "No such file or directory"
    )
    assert caught.value.where.startswith("worker ")
    assert caught.value.fix == "use a folder for results that all machines share"


def test_a_file_that_was_changed_is_refused(packed, tmp_path):
    with weights_aside(packed, tmp_path) as found:
        (path,) = tmp_path.iterdir()
        path.write_bytes(b"other")
        with pytest.raises(IntegrityError) as caught:
            with_weights(found)
    assert caught.value.what == (
        f"{path} with the weights of the job was changed by another program"
    )
    assert caught.value.fix == "repeat the command"


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(packed, tmp_path):
    hold = (
        "import os, sys, time\n"
        "from specloom import open_locked\n"
        "open_locked(__import__('pathlib').Path(sys.argv[1]))\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    living = tmp_path / f"{PREFIX}living"
    command = [sys.executable, "-c", hold, str(living)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        (tmp_path / f"{PREFIX}dead").write_bytes(b"weights")
        with weights_aside(packed, tmp_path):
            assert living.exists()
            assert not (tmp_path / f"{PREFIX}dead").exists()
        process.kill()
    with weights_aside(packed, tmp_path):
        assert not living.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_a_full_disk_is_an_error_with_a_fix(packed, tmp_path, monkeypatch):
    def full(path):
        path.touch()
        return os.open("/dev/full", os.O_RDWR)

    monkeypatch.setattr(weights_file, "open_locked", full)
    with pytest.raises(UnavailableError) as caught, weights_aside(packed, tmp_path):
        pass
    assert caught.value.what.endswith(
        "with the weights of the job cannot be written: No space left on device"
    )
    assert caught.value.fix == "choose another folder with --out, or make room on the disk"
    assert list(tmp_path.iterdir()) == []

    def closed(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(weights_file, "open_locked", closed)
    with pytest.raises(UnavailableError) as caught, weights_aside(packed, tmp_path):
        pass
    assert caught.value.what.endswith("cannot be written: Permission denied")
