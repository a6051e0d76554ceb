"""Reports of folders that ``specloom predict`` wrote, and of runs without masks."""

import csv
import json
import shutil
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import specloom
from specloom_report import report_files
from specloom_report.commands.report import report
from specloom_report.page import render

sys.path.append(str(Path(__file__).parent))
toys = import_module("report_toys")

HEADER = (
    "ENVI\nsamples = 6\nlines = 5\nbands = 3\ndata type = 4\ninterleave = bip\nbyte order = 0\n"
)
COLUMNS = ("cube", "verdict", "objects", "largest", "decided", "unjudged", "reason", "folder")
SCALE = {"scores": {"low": 0.0, "high": 29.0, "log": False}}


@pytest.fixture
def predicted(tmp_path):
    """Two cubes as ``predict`` leaves them: one rejected with an object, one unjudged."""
    out = tmp_path / "out"
    rows = []
    for number, verdict in enumerate(("unjudged", "reject")):
        cube = np.arange(90, dtype="<f4").reshape(5, 6, 3) + number
        path = tmp_path / f"cube_{number}.hdr"
        path.write_text(f"{HEADER}wavelength = {{400, 500, 600}}\nwavelength units = nm\n")
        path.with_suffix(".img").write_bytes(cube.tobytes())
        folder = out / path.stem
        folder.mkdir(parents=True)
        scores = np.arange(30, dtype=np.float32).reshape(5, 6)
        scores[0, 0] = np.nan
        np.save(folder / "scores.npy", scores)
        np.save(folder / "decisions.npy", scores > 27 * number + (1 - number) * 99)
        np.save(folder / "decisions_unjudged.npy", np.isnan(scores))
        record = {"input": str(path), "complete": True, "score_scales": SCALE}
        record["of"] = {"pipeline": "c98d", "asked": {"outputs": [], "variable": None}}
        (folder / "predict.json").write_text(json.dumps(record))
        decided = 2 * number / 29
        reason = ("too <bright>", "objects > 0 (objects: 1)")[number]
        rows.append((path, verdict, number, 2 * number, decided, 1 / 30, reason, folder))
    with (out / "summary.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    return out


def test_a_prediction_has_a_report_with_its_maps_and_spectra(predicted):
    result = CliRunner().invoke(report, [str(predicted)])
    assert result.exit_code == 0, result.output
    data, arrays = report_files.load(predicted)
    assert data["prediction"]["counts"] == {"accept": 0, "reject": 1, "unjudged": 1}
    first, second = data["pictures"]["images"]
    assert (first["name"], second["name"]) == ("cube_1.hdr", "cube_0.hdr")  # rejected first
    assert first["caption"] == "reject, 1 object, 6.9 % decided"
    (found,) = first["objects"]
    assert found == {"kind": "decided", "row": 4, "column": 5, "pixels": 2, "score": 29.0}
    assert data["pictures"]["scales"] == {"predict": SCALE["scores"]}
    assert data["pictures"]["wavelengths"] == [400, 500, 600]
    kinds = arrays["predict/0/kinds"]
    assert kinds[0, 0] == 4
    assert np.argwhere(kinds == 1).tolist() == [[4, 4], [4, 5]]
    np.testing.assert_allclose(arrays["predict/0/objects"][0], [86.5, 87.5, 88.5])
    assert len(arrays["predict/0/grid"]) == 30
    words = " ".join(toys.Checked((predicted / "report.html").read_text("utf-8")).words)
    for text in (
        "1 of 2 cubes rejected, 1 unjudged",
        "Strongest at row 4, column 5 of cube_1.hdr",
        "unjudged: cube_0.hdr: too <bright>",
        "objects > 0 (objects: 1)",
    ):
        assert text in words


def test_without_the_cube_or_after_a_move_there_are_still_maps(predicted, tmp_path):
    for path in tmp_path.glob("cube_*"):
        path.unlink()
    moved = shutil.move(predicted, tmp_path / "moved")
    data, arrays = report_files.load(Path(moved))
    assert len(data["pictures"]["images"]) == 2
    assert data["pictures"]["wavelengths"] is None
    assert "predict/0/colours" not in arrays
    assert "predict/0/scores" in arrays
    assert "scores of cube_1.hdr" in render(data, arrays)


def test_without_maps_there_is_the_table_of_cubes(predicted):
    for path in predicted.rglob("*.npy"):
        path.unlink()
    data, arrays = report_files.load(predicted)
    assert arrays == {}
    words = " ".join(toys.Checked(render(data, arrays)).words)
    assert "1 of 2 cubes rejected" in words
    assert "Images" not in words


def test_the_folder_of_one_cube_has_a_report(predicted):
    data, _ = report_files.load(predicted / "cube_1")
    (image,) = data["pictures"]["images"]
    assert image["name"] == "cube_1.hdr"


def test_a_run_whose_folder_holds_predictions_shows_both(predicted):
    record = {"file": "x.yaml", "run": {"nodes": {}}, "seed": 0, "device": "cpu"}
    (predicted / "run.json").write_text(json.dumps(record))
    (predicted / "metrics.json").write_text('{"test": {"m/roc_auc": 0.75}}')
    words = " ".join(toys.Checked(render(*report_files.load(predicted))).words)
    assert "AUC 0.7500 on test" in words
    assert "objects > 0 (objects: 1)" in words


def test_a_summary_that_is_damaged_is_reported(predicted):
    (predicted / "summary.csv").write_text("a,b\n1,2\n")
    result = CliRunner().invoke(report, [str(predicted)])
    assert isinstance(result.exception, specloom.ConfigError)
    assert result.exception.what.startswith(f"{predicted}/summary.csv is no summary")
    assert result.exception.fix == "repeat the call of specloom predict"


def test_a_summary_of_infinite_counts_is_reported(predicted):
    text = (predicted / "summary.csv").read_text().replace("reject,1,2", "reject,inf,2")
    (predicted / "summary.csv").write_text(text)
    with pytest.raises(specloom.ConfigError, match=r"is no summary of a prediction \(OverflowErr"):
        report_files.load(predicted)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'x", b"junk"])
def test_a_map_that_is_damaged_is_left_out(predicted, content):
    (predicted / "cube_1/scores.npy").write_bytes(content)
    data, arrays = report_files.load(predicted)
    assert [image["name"] for image in data["pictures"]["images"]] == ["cube_1.hdr", "cube_0.hdr"]
    assert "predict/0/scores" not in arrays
    assert "predict/1/scores" in arrays


@pytest.mark.parametrize("name", ["scores", "decisions_unjudged"])
def test_maps_of_different_sizes_are_an_error(predicted, name):
    values = np.load(predicted / "cube_1" / f"{name}.npy")
    np.save(predicted / "cube_1" / f"{name}.npy", values[:3])
    with pytest.raises(specloom.ConfigError) as caught:
        report_files.load(predicted)
    assert str(caught.value) == (
        f"the maps in {predicted}/cube_1 have the sizes [(3, 6), (5, 6)]\n"
        "  fix: repeat the call of specloom predict"
    )


@pytest.mark.parametrize(
    "part",
    [
        {"measures": [1]},
        {"measures": {"objects": "many", "decided": [1], "level": True}},
        {"of": "a pipeline"},
        {"of": {"asked": [1]}},
        {"score_scales": [1]},
        {"score_scales": {"scores": "all"}},
        {"score_scales": {"scores": {"low": -1.0, "high": 10.0, "log": True}}},
        {"score_scales": {"scores": {"low": 3.0, "high": 1.0}}},
        {"input": 5},
    ],
)
def test_a_record_of_another_structure_leaves_its_parts_out(predicted, part):
    for folder in (predicted, predicted / "cube_1"):
        path = predicted / "cube_1/predict.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, **part}))
        page = render(*report_files.load(folder))
        assert "highest score" in page or "objects" in page
        assert "Traceback" not in page


@pytest.mark.filterwarnings("default:.*the data has no mask")  # shown, as outside of tests
def test_a_run_without_masks_shows_what_it_decides(tmp_path, monkeypatch):
    from specloom_cubes import Synthetic

    reading = Synthetic.batches

    def without_masks(self, split):
        for batch in reading(self, split):
            yield {name: value for name, value in batch.items() if name != "mask"}

    monkeypatch.setattr(Synthetic, "batches", without_masks)
    monkeypatch.setattr(Synthetic, "missing_outputs", lambda self, split: ["mask"], raising=False)
    run, heard = toys.made(tmp_path)
    state = None

    class Ended:
        @specloom.impl
        def phase_ended(self, run):
            nonlocal state
            state = {name: value.numpy().copy() for name, value in run.graph.state().items()}

    run.plugins.add("ended", Ended())
    run.run()
    assert run.metrics == {}
    assert [one for one in heard.warnings if "report" in one] == []
    for name, value in run.graph.state().items():
        np.testing.assert_array_equal(value.numpy(), state[name])  # the pass changes nothing
    data = json.loads((tmp_path / "report.json").read_text())
    (evaluated,) = data["judged"]
    assert (evaluated["stage"], evaluated["masked"]) == ("test", False)
    assert evaluated["counts"]["pixels"] == 3 * 1600
    assert len(data["pictures"]["images"]) == 3
    assert {one["kind"] for image in data["pictures"]["images"] for one in image["objects"]} == {
        "decided"
    }
    words = " ".join(toys.Checked((tmp_path / "report.html").read_text("utf-8")).words)
    assert "There are no masks: nothing says which decisions are right." in words
    assert "IoU" not in words
