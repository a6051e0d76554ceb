"""Reports never harm a run, and no run harms its report."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import specloom
from specloom import impl
from specloom_report.page import render

sys.path.append(str(Path(__file__).parent))
toys = import_module("report_toys")

MB = 1 << 20


@pytest.mark.parametrize("way", ["switched off", "no folder", "another process"])
def test_no_report_where_none_is_wanted(tmp_path, monkeypatch, way):
    run, _ = toys.made(tmp_path)
    if way == "switched off":
        monkeypatch.setenv("SPECLOOM_NO_REPORT", "1")
    if way == "another process":
        monkeypatch.setenv("RANK", "1")
    if way == "no folder":
        run.folder = None
    listening = []

    class Spy:
        @impl
        def phase_started(self, run):
            listening.append(len(run.hook.node_ran.get_hookimpls()))

    run.plugins.add("spy", Spy())
    run.run()
    assert set(listening) == {0}
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_leaves_a_report_of_what_is_known(tmp_path, monkeypatch):
    run, heard = toys.made(tmp_path)
    phase = run.phases[-1][1]

    def fail(run):
        raise specloom.DataError("the <disk> is gone", fix="bring it back")

    monkeypatch.setattr(phase, "train", fail)
    with pytest.raises(specloom.DataError):
        run.run()
    assert heard.warnings == []
    words = " ".join(toys.Checked((tmp_path / "report.html").read_text("utf-8")).words)
    assert "The run failed: DataError" in words
    assert "the <disk> is gone" in words
    assert "Images of val" in words


def test_a_report_that_cannot_be_written_warns_and_the_run_continues(tmp_path, monkeypatch):
    run, heard = toys.made(tmp_path / "there")
    (tmp_path / "there").write_text("a file where the folder should be")
    run.run()
    assert "test" in run.metrics
    (message,) = heard.warnings
    assert message.startswith("no report was written (files.py:")
    assert "UnavailableError" in message
    assert "fix: choose another folder" in message
    assert not run.hook.node_ran.get_hookimpls()


def test_a_collector_that_fails_is_removed_with_one_warning(tmp_path, monkeypatch):
    from specloom_report.collecting.detections import Detections

    def fail(self, node, outputs, seconds):
        raise ValueError("no")

    monkeypatch.setattr(Detections, "node_ran", fail)
    run, heard = toys.made(tmp_path)
    run.run()
    assert heard.warnings == ["the report lacks scores and pictures: ValueError: no"]
    words = " ".join(toys.Checked((tmp_path / "report.html").read_text("utf-8")).words)
    assert "Time and memory" in words
    assert "1 warning" in words


def test_twenty_images_of_nothing_but_noise_stay_under_5_mb():
    generator = np.random.default_rng(0)
    arrays, images = {}, []
    for i in range(20):
        images.append({"judge": "m", "number": i, "has": []})
        for part, shape, top in (
            ("colours", (350, 350, 3), 256),
            ("scores", (350, 350), 256),
            ("kinds", (350, 350), 5),
            ("grid", (1000, 200), 255),
        ):
            arrays[f"m/{i}/{part}"] = generator.integers(0, top, shape).astype(np.uint8)
        arrays[f"m/{i}/grid_places"] = np.zeros((1000, 2), np.int32)
        arrays[f"m/{i}/grid_ends"] = np.zeros((2, 200), np.float32)
        arrays[f"m/{i}/objects"] = generator.random((50, 200)).astype(np.float32)
    text = render({"title": "x", "pictures": {"stage": "test", "images": images}}, arrays)
    toys.Checked(text)
    assert 2 * MB < len(text.encode()) < 5 * MB


def test_no_text_of_a_run_becomes_markup():
    bad = "<script>alert('x')</script>"
    node = {"name": "rx", "type": bad, "stages": [bad], "fits": False}
    node["params"] = [{"name": bad, "value": bad, "default": False}]
    report = {
        "title": bad,
        "description": bad,
        "tags": [bad],
        "facts": {bad: bad},
        "plugins": {bad: {"version": bad, bad: [bad]}},
        "warnings": [bad],
        "error": {"type": bad, "message": bad},
        "metrics": {bad: {bad: 1.0}},
        "graph": {"nodes": [node], "links": [], "outputs": {}, "data": bad},
        "history": [{"number": 0, "name": bad, "series": {f"{bad}/x": [[0, 1], [1.0, 2.0]]}}],
        "phases": [{"type": bad, "params": [], "seconds": 1.0}],
        "ended": bad,
    }
    page = toys.Checked(render(report, {}))
    assert page.tags.count("script") == 3  # values, uPlot and the page's own
