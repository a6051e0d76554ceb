"""Outcomes of workers, which come in any order: what is written, and what stays in memory."""

from __future__ import annotations

import csv
import json
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from specloom import DataError, Outcome, Pipeline, Plugins
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.memory import InMemory
from specloom_jobs import Here
from specloom_predict import command, many, predict_all, record, spool
from specloom_predict.inputs import Input, find_inputs, folders, placed_inputs
from specloom_predict.ledger import Ledger, read_lines


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A pipeline whose scores are its cube."""
    made = Pipeline("pass", Plugins())
    made.add_node(AnomalyDataNode([0]), "data")
    made.outputs = {"scores": "data.cube", "decisions": "data.valid"}
    made.graph(InMemory(predict=[{"cube": np.zeros((1, 2, 2, 3), np.float32)}]))
    file = tmp_path_factory.mktemp("pipeline") / "pipeline.yaml"
    made.save_to_file(file)
    return file


@pytest.fixture(scope="module")
def example(pipeline, tmp_path_factory):
    """The line and the entry of a cube that was predicted."""
    folder = tmp_path_factory.mktemp("example")
    np.save(folder / "a.npy", np.ones((4, 4, 3), np.float32))
    made = predict_all(pipeline, [folder / "a.npy"], folder / "out")
    (line,) = read_lines(folder / "out")
    entry = {key: value for key, value in made.done[0].items() if key not in ("input", "folder")}
    return line, entry


class Workers:
    """Gives outcomes of shares without working on them, in any order.

    Args:
        example: The line and the entry of every cube.
        failing: The names of cubes that fail.
        width: How many shares are known at once.
    """

    def __init__(self, example, failing=(), width=4):
        self.line, self.entry = example
        self.failing = failing
        self.width = width
        self.random = random.Random(5)

    def each(self, job, shares):
        out = Path(job.arguments["order"]["out"])
        waiting = []
        for share in shares:
            waiting.append(share)
            if len(waiting) == self.width:
                yield self.outcome(waiting.pop(self.random.randrange(self.width)), out)
        for share in reversed(waiting):
            yield self.outcome(share, out)

    def outcome(self, share, out):
        found = [(ticket["number"], self.of_cube(ticket, out)) for ticket in share.tickets]
        return Outcome(share.number, json.dumps(found).encode())

    def of_cube(self, ticket, out):
        folder = Path(ticket["folder"])
        line = {**self.line, "input": ticket["key"], "seconds": 1.0}
        line["folder"] = folder.relative_to(out).as_posix()
        if folder.name not in self.failing:
            return {"state": "done", "line": line, "entry": self.entry}
        error = {"kind": "DataError", "what": f"{folder.name} is cut", "where": ""}
        line["errors"] = [{**error, "fix": "copy it again", "exit_code": 2}]
        return {"state": "failed", "line": line}


def write_cubes(folder, count):
    folder.mkdir()
    np.save(folder / "c00000.npy", np.ones((4, 4, 3), np.float32))
    for number in range(1, count):
        (folder / f"c{number:05}.npy").hardlink_to(folder / "c00000.npy")
    return folder


def names(entries):
    return [Path(entry["input"]).stem for entry in entries]


def rows_of(out):
    return list(csv.DictReader((out / "summary.csv").read_text().splitlines()))


def test_everything_has_the_order_of_the_inputs_and_lines_are_written_as_they_come(
    pipeline, example, tmp_path
):
    cubes = write_cubes(tmp_path / "cubes", 40)
    failing = ("c00031", "c00004", "c00017")
    out = tmp_path / "out"
    made = predict_all(pipeline, [cubes], out, on=Workers(example, failing))
    expected = [f"c{number:05}" for number in range(40)]
    rows = rows_of(out)
    assert [Path(row["cube"]).stem for row in rows] == expected
    assert [row["reason"] for row in rows if row["folder"] == ""] == [
        f"{name} is cut" for name in sorted(failing)
    ]
    assert [Path(one.cube).stem for one in made.verdicts] == expected
    assert names(made.done) == [name for name in expected if name not in failing]
    assert [Path(name).stem for name, _ in made.failed] == sorted(failing)
    written = [Path(line["input"]).stem for line in read_lines(out)]
    assert written != expected
    assert sorted(written) == expected


def test_rows_are_in_order_also_where_the_call_is_stopped(pipeline, example, tmp_path):
    class Stopped(Workers):
        def each(self, job, shares):
            for number, outcome in enumerate(super().each(job, shares)):
                if number == 20:
                    raise KeyboardInterrupt
                yield outcome

    cubes = write_cubes(tmp_path / "cubes", 40)
    with pytest.raises(KeyboardInterrupt):
        predict_all(pipeline, [cubes], tmp_path / "out", on=Stopped(example))
    found = [row["cube"] for row in rows_of(tmp_path / "out")]
    assert 20 <= len(found) < 40
    assert found == sorted(found)


def memory_after(pipeline, example, folder, count):
    """The bytes that Python holds more after a call for so many cubes, with its summary."""
    cubes = write_cubes(folder / f"cubes{count}", count)
    tracemalloc.start()
    try:
        made = predict_all(pipeline, [cubes], folder / f"out{count}", on=Workers(example))
        assert len(made.done) == count
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return held


def test_memory_does_not_grow_with_the_cubes(pipeline, example, tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "BYTES_IN_MEMORY", 1000)
    memory_after(pipeline, example, tmp_path, 10)
    few = memory_after(pipeline, example, tmp_path, 100)
    many = memory_after(pipeline, example, tmp_path, 400)
    print(f"{(many - few) / 300:.0f} bytes a cube")
    assert many - few < 300 * 250


def test_the_command_prints_the_first_fifty_notes_and_errors(capsys):
    summary = many.Summary()
    for number in range(120):
        summary.done.append({"input": f"c{number}", "notes": ["odd"]})
        summary.failed.append((f"d{number}", DataError("is cut", fix="copy it again")))
    command._print_notes(summary)
    lines = capsys.readouterr().err.splitlines()
    assert lines[49:51] == ["note: c49: odd", "note: 70 more notes: see predict.json of each cube"]
    assert lines[-1] == "note: 70 more errors: see summary.csv"
    assert sum(line.startswith("error: d") for line in lines) == 50


def test_inputs_are_a_sequence_with_the_folders_of_their_results():
    pairs = [(Input(f"c{at}.npy", f"c{at}"), Path(f"out/c{at}")) for at in range(4)]
    placed = placed_inputs(pairs)
    assert placed[0][0].key == pairs[0][0].key
    assert list(placed) == pairs
    assert (len(placed), placed[-1], placed[1:3]) == (4, pairs[-1], pairs[1:3])


def peak_of_listing(folder: Path, count: int) -> int:
    """The most bytes that are held while a folder of so many cubes is listed and placed."""
    folder.mkdir()
    for number in range(count):
        (folder / f"c{number:05d}.npy").touch()
    out = folder.with_name(f"{folder.name}-out")
    tracemalloc.start()
    cubes, _ = find_inputs([folder], out)
    placed = placed_inputs(folders(cubes, out, Ledger(out)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(placed) == count
    return peak


def test_listing_takes_half_a_kilobyte_a_cube(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "BYTES_IN_MEMORY", 1000)
    few = peak_of_listing(tmp_path / "few", 200)
    many_more = peak_of_listing(tmp_path / "many", 2200)
    print(f"{(many_more - few) / 2000:.0f} bytes a cube")
    assert many_more - few < 2000 * 700


@pytest.mark.parametrize(("replaced", "failed"), [(1, 0), (2, 0), (3, 1)])
def test_a_cube_whose_record_another_process_replaces_is_made_again(
    pipeline, tmp_path, monkeypatch, replaced, failed
):
    """The other one claims the folder before the record is read for the ledger."""
    np.save(tmp_path / "a.npy", np.ones((4, 4, 3), np.float32))
    finish = record.finish
    left = [replaced]

    def finish_and_be_replaced(folder, address, stamped, *args):
        finish(folder, address, stamped, *args)
        if left[0]:
            left[0] -= 1
            record.claim(folder, address, stamped)

    monkeypatch.setattr(record, "finish", finish_and_be_replaced)
    summary = predict_all(pipeline, [tmp_path / "a.npy"], tmp_path / "out", on=Here())
    assert (len(summary.done), len(summary.failed)) == (1 - failed, failed)
    if failed:
        assert "was removed or changed by another program" in str(summary.failed[0][1])
        return
    alone = predict_all(pipeline, [tmp_path / "a.npy"], tmp_path / "alone")
    assert len(alone.done) == 1
    assert record_of(tmp_path / "out") == record_of(tmp_path / "alone")


def record_of(out):
    """The record of the cube, without how long it took."""
    found = json.loads((out / "a/predict.json").read_text())
    found["measures"].pop("seconds")
    return found
