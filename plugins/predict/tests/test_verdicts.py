"""Accept, reject, unjudged: ``summary.csv``, rules and exit codes of ``specloom predict``."""

import csv
import json
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from specloom import ConfigError, Pipeline, Plugins
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.memory import InMemory
from specloom_deciders import BinaryDecider
from specloom_predict import cube_prediction, predict_all
from specloom_predict.command import predict as command
from specloom_predict.measures import Measures
from specloom_predict.verdicts import (
    COLUMNS,
    SummaryFile,
    Verdict,
    give_verdict,
    read_rules,
    verdict_spool,
)
from specloom_statistics import DomainMeasure

OUTPUTS = {"scores": "data.cube", "decisions": "decider.decisions"}


def saved(folder, outputs=OUTPUTS):
    """A pipeline that takes the only band of a cube for logits: it decides for numbers from 0."""
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.add_node(BinaryDecider(), "decider")
    pipeline.connect(("data.cube", "decider.logits"))
    pipeline.outputs = dict(outputs)
    pipeline.graph(InMemory(predict=[{"cube": np.zeros((1, 2, 2, 1), np.float32)}]))
    folder.mkdir(exist_ok=True)
    pipeline.save_to_file(folder / "pipeline.yaml")
    return folder


def cube(path, objects=(), level=1.0):
    """A cube of 8 x 10 pixels, NaN but for squares of so many pixels a side, in a row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((8, 10, 1), np.nan, np.float32)
    left = 0
    for side in objects:
        pixels[:side, left : left + side] = level
        left += side + 1
    np.save(path, pixels)
    return path


@pytest.fixture
def cubes(tmp_path):
    """A folder of cubes with two objects, one, and none; one is broken."""
    cube(tmp_path / "in/a.npy", (2, 3))
    cube(tmp_path / "in/b.npy", (1,))
    cube(tmp_path / "in/c.npy")
    (tmp_path / "in/d.npy").write_bytes(b"")
    return tmp_path / "in"


def rows(out):
    with (out / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def called(*arguments):
    return CliRunner().invoke(command, [str(one) for one in arguments])


def test_the_summary_has_a_row_for_each_cube(tmp_path, cubes):
    out = tmp_path / "out"
    made = called(saved(tmp_path / "run"), cubes, "--out", out, "--reject-when", "largest >= 4 px")
    found = rows(out)
    assert list(found[0]) == list(COLUMNS)
    assert [row["cube"] for row in found] == [str(cubes / f"{name}.npy") for name in "abcd"]
    assert [row["verdict"] for row in found] == ["reject", "accept", "unjudged", "unjudged"]
    assert [row["objects"] for row in found] == ["2", "1", "0", ""]
    assert [row["largest"] for row in found] == ["9", "1", "0", ""]
    assert [row["decided"] for row in found] == ["1", "1", "", ""]
    assert [row["unjudged"] for row in found] == ["0.8375", "0.9875", "1", ""]
    assert {row["level"] + row["shape"] for row in found} == {""}
    assert all(float(row["seconds"]) > 0 for row in found[:3])
    assert [row["reason"] for row in found[:3]] == [
        "largest >= 4 px (largest: 9)",
        "",
        "no pixel could be assessed",
    ]
    assert str(cubes / "d.npy") in found[3]["reason"]
    assert [row["folder"] for row in found] == [*(str(out / name) for name in "abc"), ""]
    assert made.exit_code == 2
    assert made.stderr.splitlines()[-2:] == [
        f"1 accept, 1 reject, 2 unjudged: {out}/summary.csv",
        f"3 cubes predicted, 0 up to date, 1 failed: {out}",
    ]


def test_other_rules_need_no_other_prediction(tmp_path, cubes):
    run, out = saved(tmp_path / "run"), tmp_path / "out"
    predict_all(run, [cubes], out)
    again = predict_all(run, [cubes], out, reject_when=["objects > 9", "unjudged > 98%"])
    assert (len(again.done), len(again.skipped)) == (0, 3)
    assert [one.word for one in again.verdicts] == ["accept", "reject", "reject", "unjudged"]
    assert again.verdicts[2].reason == "unjudged > 98% (unjudged: 1); no pixel could be assessed"
    assert [row["verdict"] for row in rows(out)] == [one.word for one in again.verdicts]


def test_decisions_are_rejected_without_a_rule(tmp_path, cubes):
    summary = predict_all(saved(tmp_path / "run"), [cubes / "b.npy"], tmp_path / "out")
    assert [(one.word, one.reason) for one in summary.verdicts] == [
        ("reject", "objects > 0 (objects: 1)")
    ]


def test_without_decisions_nothing_is_accepted(tmp_path, cubes):
    run = saved(tmp_path / "run", {"scores": "data.cube"})
    summary = predict_all(run, [cubes / "b.npy"], tmp_path / "out")
    assert [(one.word, one.reason) for one in summary.verdicts] == [
        ("unjudged", "no rule: the pipeline makes no map of decisions")
    ]
    share = predict_all(run, [cubes / "b.npy"], tmp_path / "out", reject_when=["unjudged > 99%"])
    assert [one.word for one in share.verdicts] == ["accept"]


def test_unjudged_pixels_without_a_map_of_scores(tmp_path, cubes):
    run = saved(tmp_path / "run", {"decisions": "decider.decisions"})
    summary = predict_all(run, [cubes / "a.npy"], tmp_path / "out")
    assert summary.verdicts[0].measures.unjudged == 67 / 80


@pytest.mark.parametrize(
    ("more", "where", "text"),
    [
        (
            {"reject_when": ["objects > 0", "objcts > 1"]},
            "--reject-when 'objcts > 1'",
            "the summary has no column 'objcts' of numbers\n  fix: did you mean 'objects'?",
        ),
        (
            {"reject_when": ["unjudged > 1% or objects > 0"], "outputs": ["scores"]},
            "--reject-when 'unjudged > 1% or objects > 0'",
            "'objects' is not known: no output that is made is a map of decisions\n"
            "  fix: add 'decisions' to the outputs of the run file, and to --outputs "
            "where that is used",
        ),
        (
            {"reject_when": ["level > 1"]},
            "--reject-when 'level > 1'",
            "'level' is not known: the pipeline stores nothing of its fit\n"
            "  fix: run its run file again with this version",
        ),
        (
            {"fail_on": ["rejects"]},
            "--fail-on",
            "no verdict to fail on is called 'rejects'\n  fix: did you mean 'reject'?",
        ),
        (
            {"fail_on": ["accept"]},
            "--fail-on",
            "no verdict to fail on is called 'accept'\n  fix: use one of: reject, unjudged",
        ),
        (
            {"resume": True},
            "--resume",
            "{}/out holds no summary.csv: there is no call to resume\n"
            "  fix: check --out, or leave --resume out",
        ),
    ],
)
def test_options_are_checked_before_the_first_cube(tmp_path, cubes, more, where, text):
    with pytest.raises(ConfigError) as error:
        predict_all(saved(tmp_path / "run"), [cubes], tmp_path / "out", **more)
    assert str(error.value) == f"{where}: {text.replace('{}', str(tmp_path))}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("names", "options", "code"),
    [
        ("a", [], 0),
        ("a", ["--fail-on", "reject"], 1),
        ("a", ["--fail-on", "unjudged"], 0),
        ("c", ["--fail-on", "reject"], 0),
        ("c", ["--fail-on", "reject,unjudged"], 1),
        ("ad", ["--fail-on", "reject"], 2),
        ("a", ["--fail-on", "reject", "--reject-when", "objects > 9"], 0),
        (
            "a",
            ["--fail-on", "reject", "--reject-when", "objects > 9", "--reject-when", "1<objects"],
            1,
        ),
    ],
)
def test_exit_codes(tmp_path, cubes, names, options, code):
    paths = [cubes / f"{name}.npy" for name in names]
    made = called(saved(tmp_path / "run"), *paths, "--out", tmp_path / "out", *options)
    assert made.exit_code == code


def test_a_rule_whose_column_is_empty_accepts_nothing():
    rules = read_rules(["level > 3", "objects > 2"], True, True)
    verdict = give_verdict("x", "", Measures(objects=1), rules)
    assert (verdict.word, verdict.reason) == ("unjudged", "level > 3 (level: not known)")
    assert give_verdict("x", "", Measures(objects=3), rules).word == "reject"
    assert give_verdict("x", "", Measures(objects=1, level=1.0), rules).word == "accept"
    doubt = Measures(objects=1, level=1.0, doubts=["too dark"])
    assert give_verdict("x", "", doubt, rules).word == "unjudged"


def test_the_json_has_the_verdicts(tmp_path, cubes):
    made = called(saved(tmp_path / "run"), cubes / "b.npy", "--out", tmp_path / "out", "--json")
    (verdict,) = json.loads(made.stdout)["verdicts"]
    assert verdict["verdict"] == "reject"
    assert (verdict["objects"], verdict["largest"], verdict["level"]) == (1, 1, None)


def test_results_of_version_0_2_get_their_measures(tmp_path, cubes):
    run, out = saved(tmp_path / "run"), tmp_path / "out"
    predict_all(run, [cubes / "b.npy"], out)
    record = json.loads((out / "b/predict.json").read_text())
    del record["measures"]
    (out / "b/predict.json").write_text(json.dumps(record))
    summary = predict_all(run, [cubes / "b.npy"], out)
    assert (len(summary.done), summary.verdicts[0].measures.objects) == (1, 1)


KILLED = """
    import os, signal, sys
    from specloom_predict import predict_all, record
    finish = record.finish
    def killed(folder, *more):
        if folder.name == "b":
            os.kill(os.getpid(), signal.SIGKILL)
        finish(folder, *more)
    record.finish = killed
    predict_all(sys.argv[1], sys.argv[2:3], sys.argv[3], ["png"], device="cpu")
"""


def test_a_killed_call_leaves_what_was_judged_and_is_resumed(tmp_path):
    run, out = saved(tmp_path / "run"), tmp_path / "out"
    for number, name in enumerate("abc", start=1):
        cube(tmp_path / f"in/{name}.npy", (number,), level=float(number))
    script = [sys.executable, "-c", textwrap.dedent(KILLED), run, tmp_path / "in", out]
    assert subprocess.run([str(one) for one in script]).returncode == -signal.SIGKILL
    assert [(row["cube"][-5:], row["verdict"]) for row in rows(out)] == [("a.npy", "reject")]
    assert not (out / "a/scores.png").exists()
    made = called(run, tmp_path / "in", "--out", out, "--format", "png", "--resume")
    assert made.stderr.splitlines()[-2:] == [
        f"0 accept, 3 reject, 0 unjudged: {out}/summary.csv",
        f"2 cubes predicted, 1 up to date, 0 failed: {out}",
    ]
    assert [row["cube"][-5:] for row in rows(out)] == ["a.npy", "b.npy", "c.npy"]
    assert len({limits(out, name) for name in "abc"}) == 1
    assert not list(out.rglob(".*"))


def limits(out, name):
    with Image.open(out / name / "scores.png") as picture:
        return picture.text["Limits"]


def test_pictures_of_one_call_share_one_scale(tmp_path):
    run, out = saved(tmp_path / "run"), tmp_path / "out"
    for number, name in enumerate("abc", start=1):
        cube(tmp_path / f"in/{name}.npy", (number,), level=float(number))
    summary = predict_all(run, [tmp_path / "in"], out, ["png"])
    assert summary.done[0]["files"] == ["decisions.png", "scores.png"]
    expected = "2.0 (dark blue) to 3.0 (yellow), linear"
    assert [limits(out, name) for name in "abc"] == [expected] * 3
    record = json.loads((out / "a/predict.json").read_text())
    assert sorted(record["files"]) == ["decisions.png", "scores.png"]
    assert record["score_scales"] == {"scores": {"low": 2.0, "high": 3.0, "log": False}}

    cube(tmp_path / "in/d.npy", (1,), level=50.0)
    later = predict_all(run, [tmp_path / "in"], out, ["png"])
    assert (len(later.done), len(later.skipped)) == (1, 3)
    assert limits(out, "d") == expected
    again = predict_all(run, [tmp_path / "in"], out, ["png", "geotiff"])
    assert (len(again.done), len(again.failed)) == (4, 0)
    assert [limits(out, name) for name in "abcd"] == [expected] * 4


def test_unjudged_cubes_do_not_set_the_scale(tmp_path, monkeypatch):
    run, out = saved(tmp_path / "run"), tmp_path / "out"
    cube(tmp_path / "in/a.npy", (3,), level=1.0)
    cube(tmp_path / "in/b.npy", (3,), level=1e6)
    prediction = cube_prediction.Prediction
    unlike = DomainMeasure(level=9.0, shape=0.1, reasons=("other scale",))

    def doubtful(*more, cube, **values):
        made = prediction(*more, cube=cube, **values)
        return replace(made, domain=unlike) if cube.path.name == "b.npy" else made

    monkeypatch.setattr(cube_prediction, "Prediction", doubtful)
    summary = predict_all(run, [tmp_path / "in"], out, ["png"], reject_when=["objects > 9"])
    assert [one.word for one in summary.verdicts] == ["accept", "unjudged"]
    assert summary.verdicts[1].reason == "other scale"
    assert rows(out)[1]["level"] == "9"
    assert [limits(out, name) for name in "ab"] == ["1.0 (dark blue) to 1.0 (yellow), linear"] * 2


def test_a_cube_that_is_called_as_the_summary(tmp_path):
    cube(tmp_path / "in/summary.csv.npy", (1,))
    summary = predict_all(saved(tmp_path / "run"), [tmp_path / "in"], tmp_path / "out")
    assert summary.done[0]["folder"].startswith(f"{tmp_path}/out/summary.csv-")
    assert len(rows(tmp_path / "out")) == 1


@pytest.mark.parametrize("change", ["none", "order", "another call", "cut"])
def test_the_summary_is_written_again_only_where_it_differs(tmp_path, change):
    verdicts = verdict_spool()
    file = tmp_path / "summary.csv"
    with SummaryFile(tmp_path, verdicts) as summary:
        for number in range(3):
            one = Verdict(f"c{number}.npy", "unjudged", "two\nlines, and a comma")
            verdicts.append(one, -number if change == "order" else number)
            summary.add(one)
        verdicts.sort()
        before = file.stat().st_ino
        written = file.read_bytes()
        if change == "another call":
            file.write_bytes(written + b"other,accept\n")
        if change == "cut":
            file.write_bytes(written[:-5])
    assert (file.stat().st_ino == before) == (change == "none")
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["cube"] for row in rows] == [one.cube for one in verdicts]
    assert rows[0]["cube"] == ("c2.npy" if change == "order" else "c0.npy")
    assert {row["reason"] for row in rows} == {"two\nlines, and a comma"}
