"""The commands report, profile and doctor."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

import specloom
from specloom_report.commands.doctor import doctor
from specloom_report.commands.graph import graph
from specloom_report.commands.profile import profile, table_lines
from specloom_report.commands.report import report
from specloom_report.diagnostics import checks
from specloom_report.diagnostics.profiler import Measurement

RX = Path(__file__).parents[3] / "configs/rx_statistical.yaml"
SMALL = ["data.config.scenes=12", "data.config.height=40", "data.config.width=40"]
LOOSE = {"specloom": 1, "nodes": {}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What a run leaves whose normaliser no 'valid' keeps from being folded."""
    place = tmp_path_factory.mktemp("runs")
    file = place / "run.yaml"
    text = RX.read_text("utf-8").replace("  - [data.valid, normalizer.valid]\n", "")
    file.write_text(text, "utf-8")
    options = [word for one in SMALL for word in ("--set", one)]
    done = subprocess.run(
        [sys.executable, "-m", "specloom", "run", "run.yaml", *options, "--out", "out"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return place / "out"


def test_a_run_from_the_command_line_leaves_a_report(folder):
    assert {"report.html", "report.json", "report.npz"} <= {one.name for one in folder.iterdir()}


def test_report_writes_it_again_with_what_the_run_wrote_last(folder):
    page = folder / "report.html"
    before = page.read_text("utf-8")
    page.unlink()
    result = CliRunner().invoke(report, [str(folder)])
    assert result.exit_code == 0, result.output
    assert result.output == f"report: {page}\n"
    ended = json.loads((folder / "run.json").read_text())["ended"]
    assert ended[:19].replace("T", " ") in page.read_text("utf-8")
    assert abs(len(page.read_text("utf-8")) - len(before)) < 200


def test_report_of_a_folder_without_a_run(tmp_path):
    result = CliRunner().invoke(report, [str(tmp_path)])
    assert isinstance(result.exception, specloom.ConfigError)
    assert result.exception.fix == "give the folder that specloom run or predict wrote"


def test_the_plan_of_a_fitted_pipeline_says_what_is_folded(folder):
    result = CliRunner().invoke(graph, [str(folder), "--plan", "predict"])
    assert result.exit_code == 0, result.output
    assert "folded into the nodes behind them: normalizer\n" in result.output
    assert "       frees data.cube" in result.output
    whole = CliRunner().invoke(graph, [str(folder / "pipeline.yaml"), "--plan", "test"])
    assert "metrics.AnomalyDetectionMetrics" in whole.output


def test_profile_measures_every_node_in_every_phase(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = [word for one in SMALL for word in ("--set", one)]
    result = CliRunner().invoke(profile, [str(RX), *options, "--json", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    phases = list(dict.fromkeys(row["phase"] for row in rows))
    assert phases == [
        "training.StatisticalTrainer (train)",
        "training.Calibrate (val)",
        "training.Evaluate (val)",
        "training.Evaluate (test)",
    ]
    for phase in phases:
        names = {(r["name"], r["what"]) for r in rows if r["phase"] == phase}
        assert {("(reading)", "data"), ("rx", "forward"), ("(the rest)", "")} <= names
    fits = {r["name"]: r for r in rows if r["what"] == "fit"}
    assert fits.keys() == {"normalizer", "rx", "logits"}
    (row,) = [r for r in rows if r["phase"] == phases[-1] and r["name"] == "logits"]
    assert row["outputs"] == 40 * 40 * 4 * 3
    assert row["seconds"] > 0
    assert list(tmp_path.iterdir()) == []  # nothing is written


def test_the_profile_is_a_table():
    row = Measurement("a", "rx", "forward", calls=2, seconds=0.5, outputs=2048)
    rest = Measurement("a", "(the rest)", "", calls=2)
    assert table_lines([row, rest]) == [
        "                       calls    time  per call  outputs  growth",
        "a: 500 ms (100%)",
        "  rx          forward      2  500 ms    250 ms  2.0 KiB",
        "  (the rest)                    0 ms",
    ]


def test_doctor_finds_nothing_broken_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(doctor, ["--json"])
    found = json.loads(result.stdout)
    broken = [one for one in found["findings"] if one["state"] == "broken"]
    assert result.exit_code == bool(broken)
    assert broken == []
    names = {one["name"] for one in found["findings"]}
    assert {"Python", "torch", "threads", "disk here", "rx", "report"} <= names


def test_doctor_reports_a_broken_plugin_and_exits_with_1(tmp_path, monkeypatch):
    package = tmp_path / "bad/specloom_bad"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import not_there\n")
    (tmp_path / "bad/pyproject.toml").write_text(
        '[project]\nname = "specloom-bad"\nversion = "1"\n'
        '[project.entry-points.specloom]\nbad = "specloom_bad"\n'
    )
    own = Path(__file__).parents[1]
    manifest = f"schema: 1\nplugins:\n  bad: {{path: bad}}\n  report: {{path: {own}}}\n"
    (tmp_path / "plugins.yaml").write_text(manifest)
    done = subprocess.run(
        [sys.executable, "-m", "specloom", "doctor"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "BROKEN  bad: plugin 'bad' fails to import: ModuleNotFoundError" in done.stdout
    assert "fix: repair or remove the plugin 'bad'" in done.stdout
    assert "1 broken" in done.stdout
    rx = metadata.version("specloom-rx")
    assert f"rx: {rx}, installed, but not in the manifest" in done.stdout


def test_a_class_that_cannot_be_imported_breaks_its_plugin(tmp_path, monkeypatch):
    (tmp_path / "half.py").write_text(
        "from specloom import impl\n\n@impl\ndef register_nodes():\n"
        "    return {'A': 'half_gone:A', 'B': 'half_gone:B'}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (found,) = [checks._check_plugin(specloom.Plugins({"half": "half"}), "half")]
    assert found.state == "broken"
    assert "half.A cannot be imported" in found.said
    assert found.said.endswith("(and 1 more)")


def test_missing_packages_are_reported_with_their_owner(monkeypatch):
    monkeypatch.setattr(checks, "_is_installed", lambda name: name not in ("cuvis", "h5py"))
    found = {one.name: one for one in checks.check_packages()}
    assert (found["cuvis"].state, found["cuvis"].said) == ("note", "optional: specloom-cubes[cu3s]")
    assert (found["h5py"].state, found["h5py"].said) == ("broken", "specloom-cubes needs it")


def test_a_folder_that_cannot_be_written_is_broken(tmp_path):
    here, _ = checks.check_disk(tmp_path / "gone")
    assert here.state == "broken"
    assert "cannot be written" in here.said
