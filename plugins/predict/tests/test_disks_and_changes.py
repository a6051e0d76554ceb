"""A disk that is full or gone stops a call with one error; a cube that changes fails alone."""

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from specloom import DataError, Pipeline, Plugins
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.memory import InMemory
from specloom_jobs import Here
from specloom_predict import (
    Predictor,
    cube_prediction,
    many,
    predict_all,
    score_pictures,
    scratch,
    tile_files,
)
from specloom_predict.command import predict as command
from specloom_predict.fitted_pipeline import FittedPipeline

CUBES = 20


@pytest.fixture
def run(tmp_path):
    """A saved pipeline of a data node alone: its cube stands for scores."""
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"scores": "data.cube"}
    pipeline.graph(InMemory(predict=[{"cube": np.zeros((1, 2, 2, 2), np.float32)}]))
    (tmp_path / "run").mkdir()
    pipeline.save_to_file(tmp_path / "run/pipeline.yaml")
    return tmp_path / "run"


@pytest.fixture
def cubes(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(CUBES):
        np.save(tmp_path / f"in/{number:02}.npy", np.full((32, 32, 2), number, np.float32))
    return tmp_path / "in"


@pytest.fixture
def small_disk(tmp_path):
    """A disk with room for few results."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "specloom", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no right to mount a small file system in memory")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def called(*arguments):
    return CliRunner().invoke(command, [str(one) for one in arguments])


def test_a_full_disk_stops_with_one_error(run, cubes, small_disk):
    out = small_disk / "out"
    done = called(run, cubes, "--out", out)
    assert done.exit_code == 4
    reported = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(reported) == 1
    assert reported[0].endswith("cannot be written: No space left on device")
    last = done.stderr.splitlines()[-1]
    complete = len(list(out.glob("*/scores.npy")))
    assert 0 < complete < CUBES
    assert f"{complete} cube" in last
    assert f", 1 failed, {CUBES - complete - 1} not started: {out}" in last
    assert not list(out.rglob(".*"))
    whole = [json.loads(file.read_text())["complete"] for file in out.glob("*/predict.json")]
    assert whole == [True] * complete

    subprocess.run(["mount", "-o", "remount,size=10m", str(small_disk)], check=True)
    again = called(run, cubes, "--out", out, "--resume")
    assert again.exit_code == 0, again.stderr
    assert again.stderr.splitlines()[-1] == (
        f"{CUBES - complete} cubes predicted, {complete} up to date, 0 failed: {out}"
    )


@pytest.fixture
def writes(monkeypatch):
    """Let the disk fail at the given number of the calls that take space on it."""
    calls = []

    def fail_at(number, code):
        reserve = scratch._reserve

        def full(path):
            calls.append(path)
            if len(calls) == number:
                raise OSError(code, os.strerror(code))
            reserve(path)

        monkeypatch.setattr(scratch, "_reserve", full)
        return calls

    return fail_at


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_errors_of_the_disk_stop_a_call(run, cubes, tmp_path, writes, code):
    calls = writes(3, code)
    summary = predict_all(run, [cubes], tmp_path / "out")
    assert (len(summary.done), len(summary.failed), summary.not_started) == (2, 1, CUBES - 3)
    assert len(calls) == 3
    assert summary.exit_code == 4
    assert summary.as_json()["not_started"] == CUBES - 3


def test_an_error_of_one_folder_stops_no_other(run, cubes, tmp_path, writes):
    writes(3, errno.EACCES)
    summary = predict_all(run, [cubes], tmp_path / "out")
    assert (len(summary.done), len(summary.failed)) == (CUBES - 1, 1)
    assert (summary.exit_code, summary.not_started) == (4, 0)


def test_results_that_are_removed_meanwhile_stop_a_call(run, cubes, tmp_path, monkeypatch):
    out = tmp_path / "out"
    move = cube_prediction.move_files

    def removed(folder_of_parts, folder, names):
        found = move(folder_of_parts, folder, names)
        if folder.name == "02":
            shutil.rmtree(out)
        return found

    monkeypatch.setattr(cube_prediction, "move_files", removed)
    summary = predict_all(run, [cubes], out)
    assert not out.exists()
    assert summary.exit_code == 4
    assert [str(error) for _, error in summary.failed] == [
        f"{cubes}/02.npy: {out} has gone while results were written into it\n"
        "  fix: check the disk that it is on, then repeat the call"
    ]
    assert summary.not_started == CUBES - 3


@pytest.mark.parametrize("on", [None, Here()], ids=["alone", "by an executor"])
def test_a_ledger_that_cannot_be_written_stops_a_call(run, cubes, tmp_path, monkeypatch, on):
    def full(self, line):
        with scratch.write_errors(tmp_path / "out/ledger"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(many.LedgerFile, "add", full)
    summary = predict_all(run, [cubes], tmp_path / "out", on=on)
    assert [str(error) for _, error in summary.failed] == [
        f"{tmp_path}/out/ledger cannot be written: No space left on device\n"
        "  fix: choose another folder with --out, or make room on the disk"
    ]
    assert (summary.exit_code, summary.not_started) == (4, CUBES - 1)


def test_a_folder_of_tiles_that_cannot_be_made_stops_a_call(run, cubes, tmp_path, monkeypatch):
    def full(self):
        with scratch.write_errors(tmp_path / "out"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tile_files.TileFolder, "open", full)
    options = {"tile_bytes": 64, "split_above": 1}
    summary = predict_all(run, [cubes], tmp_path / "out", **options)
    ((address, error),) = summary.failed
    assert address == str(tmp_path / "out")
    assert str(error).endswith("make room on the disk")
    assert (summary.exit_code, summary.not_started, len(summary.done)) == (4, CUBES, 0)


def test_a_disk_that_fills_up_while_pictures_are_drawn_is_one_error(
    run, cubes, tmp_path, monkeypatch
):
    def full(path, *more):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(score_pictures, "write_scores", full)
    summary = predict_all(run, [cubes], tmp_path / "out", ["png"])
    assert (len(summary.done), len(summary.failed), summary.exit_code) == (CUBES, 1, 4)
    monkeypatch.undo()
    again = predict_all(run, [cubes], tmp_path / "out", ["png"])
    assert (len(again.skipped), len(again.failed)) == (CUBES, 0)
    assert len(list(tmp_path.glob("out/*/scores.png"))) == CUBES


def changing(monkeypatch, change):
    """Change the file of the cube ``01`` after the pipeline has read it."""
    outputs_of = FittedPipeline.outputs_of

    def read(self, cube, *more):
        made = outputs_of(self, cube, *more)
        if cube.path.name == "01.npy":
            change(cube.path)
        return made

    monkeypatch.setattr(FittedPipeline, "outputs_of", read)


def write_again(path):
    np.save(path, np.load(path) + 1)


def append(path):
    with path.open("ab") as file:
        file.write(b"more")


def remove(path):
    path.unlink()


@pytest.mark.parametrize("change", [write_again, append, remove])
def test_a_cube_that_changes_while_it_is_read_fails_alone(
    run, cubes, tmp_path, monkeypatch, change
):
    changing(monkeypatch, change)
    summary = predict_all(run, [cubes], tmp_path / "out")
    ((name, error),) = summary.failed
    assert name == f"{cubes}/01.npy"
    assert isinstance(error, DataError)
    assert str(error) == (
        f"{cubes}/01.npy was changed while it was read\n"
        "  fix: predict it again when its file is complete"
    )
    assert (len(summary.done), summary.exit_code) == (CUBES - 1, 2)
    assert not (tmp_path / "out/01").exists()


def test_a_cube_that_is_cut_while_it_is_read_fails_with_that_reason(
    run, cubes, tmp_path, monkeypatch
):
    outputs_of = FittedPipeline.outputs_of

    def cut(self, cube, *more):
        if cube.path.name == "01.npy":
            os.truncate(cube.path, 1000)
        return outputs_of(self, cube, *more)

    monkeypatch.setattr(FittedPipeline, "outputs_of", cut)
    summary = predict_all(run, [cubes], tmp_path / "out")
    ((_, error),) = summary.failed
    assert error.what == f"{cubes}/01.npy was changed while it was read"
    assert len(summary.done) == CUBES - 1


def test_one_cube_from_python_that_changes_while_it_is_read(run, cubes, tmp_path, monkeypatch):
    changing(monkeypatch, write_again)
    for folder in (None, tmp_path / "one"):
        with pytest.raises(DataError, match=r"01\.npy was changed while it was read"):
            Predictor(run).predict(cubes / "01.npy", folder)
    assert list((tmp_path / "one").iterdir()) == []


def test_a_cube_that_was_cut_before_is_an_error_of_its_own(run, cubes, tmp_path):
    os.truncate(cubes / "01.npy", 1000)
    summary = predict_all(run, [cubes], tmp_path / "out")
    ((_, error),) = summary.failed
    assert "was changed while it was read" not in error.what
    assert isinstance(error, DataError)
    assert Path(summary.failed[0][0]).name == "01.npy"
