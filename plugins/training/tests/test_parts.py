"""Statistical fits that were stopped go on behind the shares that were done, with the same bits."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import specloom_jobs.parts
import specloom_jobs.shares
from specloom import DataError, UnavailableError
from specloom_jobs import Here

HERE = Path(__file__).parent
sys.path.append(str(HERE))
runner = import_module("parts_runner")
toys = import_module("job_toys")


@pytest.fixture(autouse=True)
def small_subtrees(monkeypatch):
    monkeypatch.setattr(specloom_jobs.parts, "PART_LEVEL", 1)
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that was not stopped, and how many shares its fits did."""
    patch = pytest.MonkeyPatch()
    patch.setattr(specloom_jobs.shares, "SHARE_TICKETS", 1)
    folder = tmp_path_factory.mktemp("whole") / "run"
    with runner.Shares(0, None) as shares:
        runner.go(folder)
    patch.undo()
    return folder, shares.count


def interrupt():
    raise KeyboardInterrupt


def stopped(folder, at, executor=None):
    """Begin or continue a run that is interrupted before it does so many shares."""
    with runner.Shares(at, interrupt), pytest.raises(KeyboardInterrupt):
        runner.go(folder, executor)


def finished(folder, executor=None):
    """Continue a run to its end; the run, and how many shares it did."""
    with runner.Shares(0, None) as shares:
        run = runner.go(folder, executor)
    return run, shares.count


def parts_of(folder):
    return sorted(path.name for path in (folder / "parts").glob("*/*"))


def same(folder, whole):
    for name in ("pipeline.safetensors", "metrics.json"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    assert not (folder / "parts").exists()


def taken_up(run):
    return [(one["work"], one["shares"]) for one in run.record["taken_up"]]


@pytest.mark.parametrize("executors", [(None, None), (Here(), Here()), (None, Here())])
def test_a_fit_goes_on_behind_the_shares_that_were_done(executors, tmp_path, whole):
    """Of three passes, the second one is stopped."""
    expected, done = whole
    items = done // 3
    folder = tmp_path / "run"
    stopped(folder, items + 12, executors[0])
    assert parts_of(folder) == ["1-0.safetensors", "total.safetensors"]
    run, count = finished(folder, executors[1])
    assert count == done - items - 8
    assert taken_up(run) == [("fitting limits", items), ("fitting selector, pca, rx", 8)]
    assert json.loads((folder / "run.json").read_text())["taken_up"] == run.record["taken_up"]
    same(folder, expected)


def test_finished_passes_are_not_done_again(tmp_path, whole):
    expected, done = whole
    items = done // 3
    folder = tmp_path / "run"
    stopped(folder, done)
    run, count = finished(folder)
    assert taken_up(run) == [
        ("fitting limits", items),
        ("fitting selector, pca, rx", items),
        ("fitting selector, logits", items // 8 * 8),
    ]
    assert count == items % 8
    same(folder, expected)


def test_a_phase_after_the_fits_that_was_stopped_repeats_none(tmp_path, whole, monkeypatch):
    expected, _ = whole
    folder = tmp_path / "run"
    evaluate = import_module("specloom_training.evaluate").Evaluate
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "train", lambda *_: interrupt())
        with pytest.raises(KeyboardInterrupt):
            runner.go(folder)
    assert parts_of(folder) == ["total.safetensors"] * 3
    _, count = finished(folder)
    assert count == 0
    same(folder, expected)


def test_a_fit_that_was_stopped_often_ends_with_the_same_bits(tmp_path, whole):
    expected, _ = whole
    folder = tmp_path / "run"
    for number in range(4):
        stopped(folder, 12, [None, Here()][number % 2])
    finished(folder)
    same(folder, expected)


def test_a_new_run_in_the_folder_takes_nothing_up(tmp_path, whole):
    _, done = whole
    folder = tmp_path / "run"
    stopped(folder, done)
    (folder / "run.json").unlink()
    with runner.Shares(0, None) as shares:
        run = runner.made(folder)
        runner.run_in_folder(run, folder, anyway=True)
    assert shares.count == done
    assert "taken_up" not in run.record


def test_a_run_that_failed_can_be_resumed_where_parts_are(tmp_path, whole):
    expected, done = whole
    folder = tmp_path / "run"

    def fail():
        raise DataError("the cube is cut off")

    with runner.Shares(12, fail), pytest.raises(DataError) as caught:
        runner.go(folder)
    assert caught.value.is_resumable
    _, count = finished(folder)
    assert count == done - 8
    same(folder, expected)


def test_a_run_that_failed_before_its_first_part_leaves_the_folder_free(tmp_path):
    def fail():
        raise DataError("the cube is cut off")

    with runner.Shares(2, fail), pytest.raises(DataError) as caught:
        runner.go(tmp_path / "run")
    assert not caught.value.is_resumable
    assert list((tmp_path / "run").iterdir()) == []


def test_a_run_that_lost_its_scheduler_can_be_resumed(tmp_path, whole):
    """Also where no part was stored yet."""
    expected, done = whole
    folder = tmp_path / "run"

    def fail():
        error = UnavailableError("the scheduler is gone")
        error.is_resumable = True
        raise error

    with runner.Shares(2, fail), pytest.raises(UnavailableError):
        runner.go(folder)
    _, count = finished(folder)
    assert count == done
    same(folder, expected)


def test_a_run_without_a_folder_stores_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = toys.run_of(runner.DOCUMENT, tmp_path)
    run.run()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.yaml"]


def killed(folder, at, *options):
    command = [sys.executable, str(HERE / "parts_runner.py"), str(folder), str(at), *options]
    return subprocess.run(command, check=False, capture_output=True).returncode


def killed_and_continued(folder, times, whole):
    """Kill a run again and again, each time after it has done some shares."""
    expected, _ = whole
    draw = random.Random(times)
    for number in range(times):
        options = [[], ["here"]][number % 2]
        assert killed(folder, draw.randint(9, 14), *options) == -9
    finished(folder)
    same(folder, expected)


def test_kills_of_the_process_change_no_bit(tmp_path, whole):
    killed_and_continued(tmp_path / "run", 1, whole)


@pytest.mark.soak
def test_ten_kills_of_the_process_change_no_bit(tmp_path, whole):
    for name, kills in {"one": 6, "other": 4}.items():
        (tmp_path / name).mkdir()
        killed_and_continued(tmp_path / name / "run", kills, whole)
