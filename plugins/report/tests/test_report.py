"""Reports of whole runs: what is in them."""

import json
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import specloom
from specloom_report import report_files
from specloom_report.collecting.run_recorder import RunRecorder
from specloom_report.commands.report import report as command
from specloom_report.page import render

sys.path.append(str(Path(__file__).parent))
toys = import_module("report_toys")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run, heard = toys.made(folder)
    run.run()
    record = {"file": "x.yaml", "run": run.graph.document.value, "seed": 0, "device": "cpu"}
    (folder / "run.json").write_text(json.dumps({**record, **run.record, "ended": "2026-01-01"}))
    (folder / "metrics.json").write_text(json.dumps(run.metrics))
    return run, heard, folder


def test_a_run_leaves_a_page_that_needs_nothing_else(done):
    run, heard, folder = done
    assert heard.warnings == []
    text = (folder / "report.html").read_text("utf-8")
    page = toys.Checked(text)
    assert all(one.startswith(("data:", "#")) for one in page.references)
    addresses = set(re.findall(r"https?://[\w.]+", text))
    # The name of SVG's language, and the first line of uPlot, where it is from: not fetched.
    assert addresses <= {"http://www.w3.org", "https://github.com"}
    assert "connect-src" not in text
    assert "default-src 'none'" in text
    words = " ".join(page.words)
    for part in (
        "Metrics",
        "Curves and scores",
        "Images of test",
        "Metrics by image",
        "Configuration",
        "Environment",
    ):
        assert part in words
    assert "2 foreign body:" in words  # the classes of the masks by name
    assert {"rx.RXGlobal", "B 40 40 61", specloom.__version__} <= set(page.words)
    assert f"{run.metrics['test']['metrics/roc_auc']:.4f}" in words
    assert page.tags.count("img") == run.metrics["test"]["metrics/images"]
    assert len(text) < 1 << 20
    # The licence of uPlot is in the page with its code.
    assert "Copyright (c) 2022 Leon Sorokin" in text


def test_curves_are_those_of_the_metrics_node(done):
    run, _, folder = done
    report = json.loads((folder / "report.json").read_text())
    assert [one["stage"] for one in report["judged"]] == ["val", "test"]
    for one in report["judged"]:
        metrics = run.metrics[one["stage"]]
        for name in ("roc_auc", "average_precision"):
            assert one[name] == pytest.approx(metrics[f"metrics/{name}"], abs=1e-9)
        assert one["counts"]["decided"] == metrics["metrics/decided_pixels"]
        assert one["threshold"]["value"] == run.graph.nodes["decider"].logit_threshold
        mixed = [row for row in one["rows"] if 0 < row["anomalous"] < row["pixels"]]
        mean = np.mean([row["iou"] for row in mixed])
        assert mean == pytest.approx(metrics["metrics/image_iou"])
    costs = report["costs"]["nodes"]
    assert costs["rx"]["calls"] > 0
    assert costs["rx"]["bytes"] == 4 * 40 * 40 * 1 * 4
    assert costs["normalizer"]["bytes"] == 0  # folded into rx: it makes nothing


def test_the_page_is_written_again_from_the_folder(done):
    _, _, folder = done
    report, arrays = report_files.load(folder)
    assert report["ended"] == "2026-01-01"
    words = " ".join(toys.Checked(render(report, arrays)).words)
    assert "Images of test" in words
    assert "x.yaml" not in (folder / "report.html").read_text("utf-8") or "x.yaml" in words


def test_without_what_the_observer_left_there_is_still_a_page(done, tmp_path):
    _, _, folder = done
    for name in ("run.json", "metrics.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    page = toys.Checked(render(*report_files.load(tmp_path)))
    words = " ".join(page.words)
    assert "metrics/roc_auc" in words
    assert "rx.RXGlobal" in words
    assert "Images of" not in words


@pytest.fixture
def copied(done, tmp_path):
    """A copy of the folder of the run."""
    return Path(shutil.copytree(done[2], tmp_path / "copied"))


@pytest.mark.parametrize(
    "part",
    [
        {"graph": 5},
        {"tags": 5},
        {"splits": "train"},
        {"judged": [1]},
        {"pictures": [1]},
        {"data": {}},
        {"facts": [1]},
        {"seconds": "long"},
    ],
)
def test_a_report_of_another_structure_is_an_error(copied, part):
    path = copied / "report.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **part}))
    result = CliRunner().invoke(command, [str(copied)])
    assert isinstance(result.exception, specloom.ConfigError)
    assert result.exception.what.startswith(f"{path} is no report (")
    assert result.exception.fix == "delete it, and repeat the command"
    path.unlink()
    assert CliRunner().invoke(command, [str(copied)]).exit_code == 0


@pytest.mark.parametrize("length", [0, 100, 3000])
def test_arrays_that_are_damaged_are_left_out(copied, length):
    path = copied / "report.npz"
    path.write_bytes(path.read_bytes()[:length])
    _data, arrays = report_files.load(copied)
    assert arrays == {}


def test_a_folder_without_a_run_is_reported(tmp_path):
    with pytest.raises(specloom.ConfigError, match="holds no run"):
        report_files.load(tmp_path)


def test_training_curves_and_bands(tmp_path):
    run, _ = toys.made(
        tmp_path,
        "channel_selector.yaml",
        "phases.1.config.epochs=3",
        "nodes.rx.config.shrinkage=0.1",
    )
    run.run()
    report = json.loads((tmp_path / "report.json").read_text())
    (phase,) = report["history"]
    assert phase["series"]["train/selector/temperature"] == [
        [0, 1, 2],
        pytest.approx([5, 4.5, 4.05]),
    ]
    assert phase["series"]["val/metrics/iou"][0] == [0, 1, 2]
    (selection,) = report["selections"]
    assert len(selection["weights"][0]) == len(selection["wavelengths"]) == 61
    assert len(selection["chosen"]) == 3
    weights = run.graph.nodes["selector"].get_selection_weights()
    np.testing.assert_allclose(selection["weights"][0], weights, atol=1e-5)
    arrays = report_files.np.load(tmp_path / "report.npz")
    assert arrays["epochs/selector"].shape == (3, 61)
    words = " ".join(toys.Checked((tmp_path / "report.html").read_text("utf-8")).words)
    assert "Weights over 3 epochs" in words
    assert "selector/temperature" in words


def test_a_resumed_run_continues_its_curves(tmp_path):
    earlier = {
        "history": [{"number": 1, "name": "t", "series": {"train/x": [[0, 1, 2], [9, 8, 7]]}}]
    }
    report_files.save(tmp_path, earlier, {})
    run, _ = toys.made(tmp_path)
    run.resumed = True
    recorder = RunRecorder(run)
    recorder.phase_started(run, "s")
    recorder.phase_started(run, "t")
    recorder.recorded(run, 2, {"train/x": 6.0})
    recorder.recorded(run, 3, {"train/x": 5.0})
    (phase,) = recorder._collectors["curves"].to_dict()["history"]
    assert phase["series"] == {"train/x": [[0, 1, 2, 3], [9, 8, 6.0, 5.0]]}
