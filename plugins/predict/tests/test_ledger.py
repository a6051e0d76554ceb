"""The ledger of ``predict_all``: what a repeated call reads in place of each record."""

import json
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from specloom import DataError, Pipeline, Plugins, impl
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.memory import InMemory
from specloom_predict import (
    Predictor,
    cube_prediction,
    cube_task,
    ledger,
    many,
    predict_all,
    record,
)
from specloom_predict.command import predict as command
from specloom_predict.cube_task import Order, predict_ticket
from specloom_predict.ledger import Ledger, read_lines

OUTPUTS = {"scores": "data.cube", "decisions": "data.valid"}


@pytest.fixture
def run(tmp_path):
    """A saved pipeline of a data node alone: its cube stands for scores."""
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = dict(OUTPUTS)
    pipeline.graph(InMemory(predict=[{"cube": np.zeros((1, 2, 2, 3), np.float32)}]))
    (tmp_path / "run").mkdir()
    pipeline.save_to_file(tmp_path / "run/pipeline.yaml")
    return tmp_path / "run"


@pytest.fixture
def cubes(tmp_path):
    """A folder of three cubes, and one that is broken."""
    (tmp_path / "in").mkdir()
    for name in "abc":
        write_cube(tmp_path / f"in/{name}.npy")
    (tmp_path / "in/d.npy").write_bytes(b"")
    return tmp_path / "in"


def write_cube(path, level=0.0):
    np.save(path, np.full((4, 5, 3), level, np.float32))
    return path


def lines(out):
    return list(read_lines(out))


def test_each_finished_cube_is_a_line(run, cubes, tmp_path):
    out = tmp_path / "out"
    predict_all(run, [cubes], out)
    (file,) = (out / "ledger").iterdir()
    assert file.name.endswith("Z-0.jsonl")
    found = [json.loads(text) for text in file.read_text().splitlines()]
    assert [line["input"] for line in found] == [str(cubes / f"{name}.npy") for name in "abcd"]
    first, *_, last = found
    known = json.loads((out / "a/predict.json").read_text())
    state = (out / "a/predict.json").stat()
    assert first["folder"] == "a"
    assert first["of"] == known["of"]
    assert first["files"] == known["files"] == sizes(out / "a")
    assert first["record"] == [state.st_size, state.st_mtime_ns]
    assert first["seconds"] > 0
    assert first["worker"].endswith(f"-{os.getpid()}")
    assert "files" not in last
    assert last["errors"][0]["kind"] == "DataError"
    assert last["errors"][0]["exit_code"] == 2


def sizes(folder):
    return {path.name: path.stat().st_size for path in folder.glob("*.npy")}


def test_a_repeated_call_reads_the_ledger_and_no_record(run, cubes, tmp_path, monkeypatch):
    out = tmp_path / "out"
    first = predict_all(run, [cubes], out)
    (cubes / "d.npy").unlink()
    read = []
    monkeypatch.setattr(record, "read", lambda folder: read.append(folder) or {})
    again = predict_all(run, [cubes], out)
    assert read == []
    assert (len(again.done), len(again.skipped), len(again.failed)) == (0, 3, 0)
    assert again.verdicts == first.verdicts[:3]
    assert len(list((out / "ledger").iterdir())) == 1  # there was nothing to write


def test_what_was_removed_or_changed_is_made_again(run, cubes, tmp_path):
    out = tmp_path / "out"
    predict_all(run, [cubes], out)
    shutil.rmtree(out / "a")
    (out / "b/predict.json").write_text("{}")
    write_cube(cubes / "c.npy", level=1.0)
    again = predict_all(run, [cubes], out)
    assert [one["input"][-5:] for one in again.done] == ["a.npy", "b.npy", "c.npy"]
    assert np.load(out / "c/scores.npy").max() == 1.0


def test_verify_looks_at_files(run, cubes, tmp_path):
    out = tmp_path / "out"
    predict_all(run, [cubes], out)
    (out / "a/scores.npy").unlink()
    (out / "b/scores.npy").write_bytes(b"cut")
    assert len(predict_all(run, [cubes], out).done) == 0
    again = predict_all(run, [cubes], out, verify=True)
    assert [one["input"][-5:] for one in again.done] == ["a.npy", "b.npy"]
    assert "--verify" in [option for one in command.params for option in one.opts]


def test_results_without_a_ledger_are_resumed_by_their_records(run, cubes, tmp_path):
    out = tmp_path / "out"
    predict_all(run, [cubes], out)
    shutil.rmtree(out / "ledger")
    (out / "a").rename(out / "under another name")
    again = predict_all(run, [cubes / "a.npy"], out)
    assert [one["folder"] for one in again.skipped] == [str(out / "under another name")]
    assert sorted(line["folder"] for line in lines(out)) == ["b", "c", "under another name"]
    assert len(predict_all(run, [cubes], out).skipped) == 3


@pytest.mark.parametrize(
    "damage",
    [b'{"input": "x", "fold', b"\xff\xfe\n", b"[1]\n", b'{"input": 1, "folder": 2}\n', b"\n\n"],
)
def test_damaged_lines_are_left_out(run, cubes, tmp_path, damage):
    out = tmp_path / "out"
    predict_all(run, [cubes], out)
    (file,) = (out / "ledger").iterdir()
    whole, half = file.read_bytes().split(b"\n")[:2]
    file.write_bytes(damage if damage.endswith(b"\n") else b"")
    with file.open("ab") as ledger:
        ledger.write(whole + b"\n" + half[:50])
        ledger.write(b"" if damage.endswith(b"\n") else b"\n" + damage)
    assert [line["folder"] for line in lines(out)] == ["a"]
    again = predict_all(run, [cubes], out)
    assert (len(again.done), len(again.skipped)) == (0, 3)  # by the records of b and c
    assert sorted({line["folder"] for line in lines(out)}) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("folder", ["/etc", "../other", "a/../../b"])
def test_a_line_that_leads_out_of_the_folder_of_results_is_left_out(tmp_path, folder):
    (tmp_path / "ledger").mkdir()
    line = json.dumps({"input": "x", "folder": folder})
    (tmp_path / "ledger/1.jsonl").write_text(f"{line}\n")
    assert lines(tmp_path) == []


def test_of_several_lines_the_latest_counts(tmp_path):
    older = {"input": "x", "folder": "a", "time": 2.0, "mark": "older"}
    newer = {"input": "x", "folder": "a", "time": 3.0, "mark": "newer"}
    assert Ledger(tmp_path, [newer, older]).line("x") == newer
    assert Ledger(tmp_path, [older, newer]).line("x") == newer


def test_a_cube_that_is_called_as_the_ledger(run, tmp_path):
    (tmp_path / "in").mkdir()
    write_cube(tmp_path / "in/ledger.npy")
    summary = predict_all(run, [tmp_path / "in"], tmp_path / "out")
    assert summary.done[0]["folder"].startswith(f"{tmp_path}/out/ledger-")


def test_observers_hear_how_many_failed(run, cubes, tmp_path, monkeypatch):
    heard = []

    class Watching:
        @impl
        def failed(self, what, count):
            heard.append((what, count))

    class Watched(Predictor):
        def __init__(self, *more):
            super().__init__(*more)
            self.run.plugins.manager.register(Watching())

    monkeypatch.setattr(many, "Predictor", Watched)
    (cubes / "b.npy").write_bytes(b"")
    predict_all(run, [cubes], tmp_path / "out")
    assert heard == [("inputs", 1), ("inputs", 2)]


def test_a_dry_run_writes_no_ledger(run, cubes, tmp_path):
    predict_all(run, [cubes], tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()


KILLED = """
    import os, signal, sys
    from specloom_predict import cube_task, predict_all
    do = cube_task.CubeTask.do
    def killed(self, ticket):
        if ticket["input"].endswith("c.npy"):
            os.kill(os.getpid(), signal.SIGKILL)
        return do(self, ticket)
    cube_task.CubeTask.do = killed
    predict_all(sys.argv[1], sys.argv[2:3], sys.argv[3], device="cpu")
"""


KILLED_IN_WORK = """
    import os, signal, sys
    from specloom_predict import cube_prediction, predict_all
    def killed(*more):
        os.kill(os.getpid(), signal.SIGKILL)
    cube_prediction.move_files = killed
    predict_all(sys.argv[1], sys.argv[2:3], sys.argv[3], device="cpu")
"""


def test_nothing_of_a_killed_call_stays_even_where_its_cube_is_no_input(run, cubes, tmp_path):
    out = tmp_path / "out"
    arguments = [str(run), str(cubes / "a.npy"), str(out)]
    script = [sys.executable, "-c", textwrap.dedent(KILLED_IN_WORK), *arguments]
    assert subprocess.run(script).returncode == -9
    assert [path.name for path in (out / "a").iterdir() if path.name == "predict.json"]
    assert len(list(out.rglob(".*"))) == 3  # a note, a scratch folder, and the lock within
    predict_all(run, [cubes / "b.npy"], out)
    assert not list(out.rglob(".*"))
    assert not (out / "a").exists()


@pytest.mark.parametrize("text", ['{"folder": "../in"}', '{"folder": "/"}', "{", "[]", "{}"])
def test_a_note_that_leads_elsewhere_is_ignored(run, cubes, tmp_path, text):
    out = tmp_path / "out"
    (out / "ledger").mkdir(parents=True)
    (out / "ledger/.work-x").write_text(text)
    (cubes / ".part-x").mkdir()
    predict_all(run, [cubes / "b.npy"], out)
    assert not list(out.rglob(".*"))
    assert (cubes / ".part-x").exists()


def test_a_killed_call_has_written_its_lines(run, cubes, tmp_path):
    out = tmp_path / "out"
    script = [sys.executable, "-c", textwrap.dedent(KILLED), str(run), str(cubes), str(out)]
    assert subprocess.run(script).returncode == -9
    assert [line["folder"] for line in lines(out)] == ["a", "b"]
    again = predict_all(run, [cubes], out)
    assert (len(again.done), len(again.skipped)) == (1, 2)


@pytest.fixture
def order(run, tmp_path):
    (tmp_path / "out/ledger").mkdir(parents=True)
    return Order(str(tmp_path / "out"), ["npy"], pipeline="0123")


def ticket(path, order):
    return {"input": str(path), "key": str(path), "folder": f"{order.out}/{path.stem}"}


def test_a_ticket_and_its_outcome_are_plain_values(run, cubes, order):
    again = Order(**json.loads(json.dumps(order.as_json())))
    predictor = Predictor(run)
    states = []
    for name in ("a", "a", "d"):
        one = json.loads(json.dumps(ticket(cubes / f"{name}.npy", order)))
        outcome = predict_ticket(predictor, again, one)
        assert json.loads(json.dumps(outcome)) == outcome
        states.append(outcome["state"])
    assert states == ["done", "complete", "failed"]
    error = cube_task.error_from(outcome["line"]["errors"])
    assert isinstance(error, DataError)
    assert str(error).startswith(str(cubes / "d.npy"))


def test_an_error_that_is_a_bug_has_its_trace(run, cubes, order, monkeypatch):
    monkeypatch.setattr(cube_task, "predict_cube", lambda *_: 1 / 0)
    outcome = predict_ticket(Predictor(run), order, ticket(cubes / "a.npy", order))
    assert outcome["line"]["errors"][0]["what"] == (
        "specloom failed on it: ZeroDivisionError: division by zero"
    )
    assert "in predict_ticket" not in outcome["unexpected"]
    assert outcome["unexpected"].endswith("ZeroDivisionError: division by zero\n")


def test_a_cube_that_another_process_finished_counts_as_done(run, cubes, order, monkeypatch):
    predictor = Predictor(run)
    one = ticket(cubes / "a.npy", order)
    move = cube_prediction.move_files
    rivals = []

    def overtaken(scratch, folder, names):
        """A rival finishes the cube, and takes this scratch folder for abandoned."""
        monkeypatch.setattr(cube_prediction, "move_files", move)
        rivals.append(predict_ticket(Predictor(run), order, one))
        shutil.rmtree(scratch)
        return move(scratch, folder, names)

    monkeypatch.setattr(cube_prediction, "move_files", overtaken)
    outcome = predict_ticket(predictor, order, one)
    assert (rivals[0]["state"], outcome["state"]) == ("done", "complete")
    assert json.loads((cubes.parent / "out/a/predict.json").read_text())["complete"] is True


def test_inputs_with_one_hash_are_not_taken_for_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "hash", lambda key: 1, raising=False)
    first, second = ({"input": name, "folder": name, "time": 1.0} for name in "xy")
    known = Ledger(tmp_path, [first, second])
    assert known.line("x") is None
    assert known.line("y") == second
    assert known.folder("y") == tmp_path / "y"
