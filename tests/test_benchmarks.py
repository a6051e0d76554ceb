"""Every benchmark runs, on tiny data, and prints a report that the table can be made of."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

FOLDER = Path(__file__).parents[1] / "benchmarks"
WORKLOADS = ("rx", "min_max", "pca", "mrmr", "executor", "training", "pipeline", "envi")
STUDIES = {
    "threads": ("--size", "test", "--repeats", "1", "--busy"),
    "kernels": ("--size", "test", "--repeats", "1", "--peers"),
    "chain": ("--nodes", "3", "--repeats", "1"),
    "channel_selector": ("--seeds", "7", "--only", "RX, shrinkage 0", "--json"),
    "channel_selector_real": ("--help",),
    "domain_measure": ("--help",),
    "first_day": ("--help",),
    "detector_times": ("--size", "tiny", "--repeats", "1"),
    "fleet": ("--help",),
    "leaderboard": ("--help",),
    "gpu": ("--device", "cpu", "--tiny", "--repeats", "1", "--only", "RX", "mRMR", "training"),
    "serving": ("--size", "tiny", "--repeats", "1"),
}


# One process for all workloads imports torch only once.
ALL = """
import runpy, sys
folder, *names = sys.argv[1:]
sys.path.insert(0, folder)
for name in names:
    sys.argv = [name, "--size", "test", "--repeats", "1", "--peers"]
    runpy.run_path(f"{folder}/{name}.py", run_name="__main__")
    print("end of report")
"""


def module(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


THREADS = module("timing").THREADS


def python(*arguments):
    environment = os.environ | dict.fromkeys(THREADS, "1")
    call = [sys.executable, "-W", "ignore", *arguments]
    made = subprocess.run(call, capture_output=True, text=True, env=environment, check=False)
    assert made.returncode == 0, made.stderr
    return made.stdout


def run(script, *arguments):
    return python(str(FOLDER / f"{script}.py"), *arguments)


@pytest.fixture(scope="module")
def reports():
    texts = python("-c", ALL, str(FOLDER), *WORKLOADS).split("end of report")
    return {name: json.loads(text) for name, text in zip(WORKLOADS, texts, strict=False)}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_workload_is_measured(workload, reports):
    report = reports[workload]
    assert {"workload", "date", "machine", "versions", "rates"} <= report.keys()
    phases = report["sizes"]["test"]["phases"]
    assert phases
    assert all(phase["ours"]["median_ms"] > 0 for phase in phases.values())


def test_a_workload_that_is_run_by_hand_has_as_many_threads_as_it_says():
    seen = "import os, sys; sys.path.insert(0, sys.argv.pop(1)); import timing; timing.options('')"
    seen += "; print([os.environ[name] for name in timing.THREADS])"
    call = [sys.executable, "-c", seen, str(FOLDER)]
    free = {name: value for name, value in os.environ.items() if name not in THREADS}
    made = subprocess.run(call, capture_output=True, text=True, env=free, check=True)
    assert made.stdout == "['1', '1', '1']\n"


def test_the_scores_of_a_mapped_scene_are_those_of_the_bare_kernel(reports):
    assert reports["envi"]["sizes"]["test"]["phases"]["score"]["equal"]


def test_start_up_and_memory_are_measured():
    report = json.loads(run("startup", "--repeats", "1", "--batches", "2"))
    assert report["cpu_s"]["specloom --help"] > 0
    assert 0 < report["cpu_s"]["specloom check, warnings"] < report["cpu_s"]["import torch"]
    assert {"rx", "mrmr"} <= report["memory_mib"].keys()


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_runs(study):
    assert run(study, *STUDIES[study])


def test_the_shares_of_a_training_loop_are_measured():
    report = json.loads(run("training", "--profile", "--size", "test", "--epochs", "2"))
    shares = report["shares"]
    work = sum(shares[name] for name in ("forward", "backward", "optimiser", "data"))
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    assert report["work"] == pytest.approx(work, abs=1e-3)
    assert min(shares[name] for name in ("forward", "backward", "optimiser", "data", "rest")) > 0
    assert report["epochs"] == 2


def test_an_engine_is_timed_without_what_the_call_excludes(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setenv("SPECLOOM_NATIVE", "")

    def epoch():
        epoch.override = (2.0, 1.5)

    call = module("kernels").by_engine(epoch, "0")
    call()
    assert call.override == (2.0, 1.5)


def test_the_table_has_a_row_for_each_phase(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    table = module("table")
    ours, other = {"median_ms": 2.0, "min_ms": 1.5}, {"median_ms": 7.0, "min_ms": 6.0, "ratio": 3.5}
    report = {
        "date": "2026-01-02",
        "threads": 1,
        "rates": {"read": 30.0},
        "versions": {"torch": "2"},
        "machine": {"cpu": "a processor", "cores": 2, "system": "linux"},
        "sizes": {
            "test": {
                "pixels": 6,
                "bands": 3,
                "phases": {"fit": {"ours": ours, "cuvis": other, "fraction": {"read": 0.9}}},
            }
        },
    }
    made = table.table({"rx": report})
    assert "| rx test: 6 x 3 | fit | 2 (1.5) | 3.50x |  |  | 0.90 read |" in made
    assert "2026-01-02; a processor, 2 cores, linux; 1 thread. torch 2." in made


@pytest.fixture
def board(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return module("leaderboard")


def test_the_leaderboard_has_areas_with_intervals_and_false_alarms(board):
    random = np.random.default_rng(0)
    mask = random.random(4000) < 0.03
    scores = random.normal(size=4000).round(2) + mask
    area, half_interval = board.area_with_interval(scores, mask)
    assert area == pytest.approx(roc_auc_score(mask, scores), rel=1e-12)
    above = (scores[mask][:, None] > scores[~mask]) + 0.5 * (scores[mask][:, None] == scores[~mask])
    variance = above.mean(1).var(ddof=1) / mask.sum() + above.mean(0).var(ddof=1) / (~mask).sum()
    assert half_interval == pytest.approx(1.959964 * variance**0.5, rel=1e-9)
    rates, found, _ = roc_curve(mask, scores, drop_intermediate=False)
    assert board.false_alarm_rate(scores, mask) == rates[found >= 0.95].min()


def test_the_leaderboard_claims_only_what_both_means_show(board):
    results = {
        "global RX": {"HYDICE": board.Result(0.9, 0.01, 0.3, 0.1, 1.0, 10.0)},
        "coreset": {"HYDICE": board.Result(0.95, 0.01, 0.4, 0.1, 1.0, 10.0)},
        "robust RX": {"HYDICE": board.Result(0.95, 0.01, 0.2, 0.1, 1.0, 10.0)},
        "subspace RX": {"HYDICE": board.Result(0.85, 0.01, 0.2, 0.1, 1.0, 10.0)},
        "local RX": {"HYDICE": board.Result(0.85, 0.01, 0.35, 0.1, 1.0, 10.0)},
        "ACE, known target": {"HYDICE": board.Result(0.99, 0.01, 0.9, 0.1, 1.0, 10.0)},
    }
    assert board.comparison(results).splitlines()[2:] == [
        "| coreset | +0.0500 | +0.1000 | 1 of 1 | beats it |",
        "| robust RX | +0.0500 | -0.1000 | 0 of 1 | "
        "does not beat it: lower mean average precision |",
        "| subspace RX | -0.0500 | -0.1000 | 0 of 1 | does not beat it: both means are lower |",
        "| local RX | -0.0500 | +0.0500 | 0 of 1 | does not beat it: lower mean area |",
    ]
    text = board.report(results)
    assert "| coreset | 0.9500 ± 0.0100 | 0.9500 |" in text
    assert text.count("| robust RX |") == 6


def test_the_page_of_detectors_has_the_tables_and_the_chart_of_the_results(board):
    results = board.from_json(board.RESULTS.read_text("utf-8"))
    assert board.as_json(results) == board.RESULTS.read_text("utf-8")
    assert list(results) == list(board.DETECTORS)
    for found in results.values():
        assert list(found) == list(board.SCENES)
    page = board.PAGE.read_text("utf-8")
    assert board.page_with_tables(page, results) == page
    chart = board.leaderboard_chart.draw(results, board.DETECTORS)
    assert board.CHART.read_text("utf-8") == chart


def test_the_page_past_one_machine_has_the_table_and_the_chart_of_the_results(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    fleet = module("fleet")
    report = json.loads(fleet.RESULTS.read_text("utf-8"))
    assert fleet.as_json(report) == fleet.RESULTS.read_text("utf-8")
    assert [row["cubes"] for row in report["tiny"]] == [10, 100, 1000, 10_000]
    text = fleet.PAGE.read_text("utf-8")
    assert fleet.page_with_tables(text, report) == text
    assert fleet.CHART.read_text("utf-8") == fleet.fleet_chart.draw(report["tiny"])


def test_the_cost_of_a_cube_is_beyond_that_of_a_call_for_few(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    fleet = module("fleet")
    pairs = [({"wall": 3.0}, {"wall": 3.0 + 9 * seconds}) for seconds in (0.1, 0.2, 0.9)]
    assert fleet.cost_of_cube(pairs, "wall", 9) == pytest.approx(0.2)
    steps = [({"cpu": 0.0}, {"cpu": value}) for value in (0.02, 0.02, 0.05)]
    assert fleet.cost_of_cube(steps, "cpu", 3) == pytest.approx(0.01)
    assert fleet.spread([{"wall_ms": 2.0}, {"wall_ms": 2.5}], "wall_ms") == 0.25


def test_a_process_of_cubes_may_write_much_to_its_errors(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(FOLDER))
    fleet = module("fleet")
    answers = "for line in sys.stdin: print(json.dumps({'done': int(line)}), flush=True)"
    monkeypatch.setattr(
        fleet, "PROGRAM", f"import json, sys\nsys.stderr.write('x' * 1_000_000)\n{answers}\n"
    )
    (tmp_path / "cubes").mkdir()
    process = fleet.Predicting(tmp_path, tmp_path, "", 1)
    assert process.predict(3) == {"done": 3}
    process.end()
    ended = "import sys\nfor line in sys.stdin: raise SystemExit('the scheduler is gone')\n"
    monkeypatch.setattr(fleet, "PROGRAM", ended)
    with pytest.raises(RuntimeError, match="the scheduler is gone"):
        fleet.Predicting(tmp_path, tmp_path, "", 1)
