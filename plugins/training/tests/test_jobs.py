"""Fits and evaluations by jobs: the same bits as in one process, and what happens otherwise."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import specloom_jobs.shares
from specloom import DataError, UnavailableError
from specloom_jobs import Here, make_shares
from specloom_training.evaluate import Evaluate
from specloom_training.fit_job import FitJobs, fit_job
from specloom_training.job_format import no_jobs_because, open_job, read_batches
from specloom_training.measure_job import measure_by_job, measure_job
from specloom_training.statistical import StatisticalTrainer
from specloom_training.tasks import Fit

sys.path.append(str(Path(__file__).parent))
toys = import_module("job_toys")
training_toys = import_module("training_toys")
STATISTICS = toys.STATISTICS
Wire = toys.Wire
plain = toys.plain
run_all = toys.run_all
run_of = toys.run_of
through_wire = toys.through_wire

RX = (Path(__file__).parents[3] / "configs/rx_statistical.yaml").read_text()
RX = RX.replace("{scenes: 32, seed: 7", "{scenes: 16, height: 32, width: 32, seed: 7")
ONLY_FIT = STATISTICS.replace("  - {type: training.Evaluate, config: {split: test}}\n", "")
FILES = {"rx_statistical": RX, "statistics": STATISTICS, "only a fit": ONLY_FIT}


def state_of(run):
    return {name: torch.as_tensor(value) for name, value in run.graph.state().items()}


def differing(ours, theirs):
    """The arrays that differ in a bit."""
    assert ours.keys() == theirs.keys()
    return [name for name in ours if not same_bits(ours[name], theirs[name])]


def same_bits(ours, theirs):
    return ours.dtype == theirs.dtype and ours.numpy().tobytes() == theirs.numpy().tobytes()


def difference(ours, theirs):
    """The largest difference of two arrays, by the largest number in them."""
    ours, theirs = ours.double(), theirs.double()
    assert torch.equal(ours.isfinite(), theirs.isfinite())
    finite = theirs.isfinite()
    if not finite.any():
        return 0.0
    size = theirs[finite].abs().max().clamp(min=1e-300)
    return float((ours[finite] - theirs[finite]).abs().max() / size)


def whitening_tolerance(state):
    """How far the inverse root of the covariance may be: its condition amplifies rounding."""
    eigenvalues = torch.linalg.eigvalsh(state["rx.covariance"])
    return float(torch.finfo(torch.float64).eps * eigenvalues.max() / eigenvalues.min())


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("executor", [Here(), Wire()], ids=["here", "wire"])
def test_one_share_gives_the_bits_of_the_process(name, executor, tmp_path):
    alone = run_all(FILES[name], tmp_path)
    by_jobs = run_all(FILES[name], tmp_path, executor)
    assert differing(state_of(by_jobs), state_of(alone)) == []
    assert by_jobs.metrics == alone.metrics
    assert by_jobs.record == alone.record


@pytest.mark.parametrize("tickets", [1, 2])
@pytest.mark.parametrize("name", ["rx_statistical", "statistics"])
def test_many_shares_agree_and_their_order_of_arrival_does_not_matter(
    name, tickets, tmp_path, monkeypatch
):
    alone = state_of(run_all(FILES[name], tmp_path))
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", tickets)
    here = state_of(run_all(FILES[name], tmp_path, Here()))
    assert differing(state_of(run_all(FILES[name], tmp_path)), here) == []
    wire = Wire(order=1)
    assert differing(state_of(run_all(FILES[name], tmp_path, wire)), here) == []
    assert wire.shares > len(wire.jobs)
    found = {key: difference(here[key], value) for key, value in alone.items()}
    for key, far in found.items():
        tolerance = 1e-12
        if key == "rx.whitening" or key.startswith(
            "logits."
        ):  # the logits are fitted on its scores
            tolerance = whitening_tolerance(alone)
        assert far <= tolerance, key


@pytest.mark.parametrize("tickets", [1, 2])
def test_metrics_of_many_shares_have_the_same_bits(tickets, tmp_path, monkeypatch):
    run = run_all(STATISTICS, tmp_path)
    expected = run.metrics["test"]
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", tickets)
    for executor in (Here(), Wire(1)):
        run.metrics.clear()
        run.executor = executor
        Evaluate("test").train(run)
        assert run.metrics["test"] == expected


def test_jobs_are_plain_and_survive_the_wire(tmp_path):
    wire = Wire()
    run = run_all(STATISTICS, tmp_path, wire)
    assert [job.task for job in wire.jobs] == ["training.Fit"] * 3 + ["training.Measure"]
    assert [job.arguments.get("passes") for job in wire.jobs] == [
        {"limits": 0},
        {"pca": 0, "selector": 0, "rx": 0},
        {"selector": 1, "logits": 0},
        None,
    ]
    for job in wire.jobs:
        assert through_wire(job).key == job.key
        assert job.plugins["cubes"] == run.plugins.version("cubes")
        assert plain(job.arguments["source"])["type"] == "cubes.Synthetic"
    assert len({job.key for job in wire.jobs}) == 4


def test_equal_work_is_an_equal_job(tmp_path):
    first, second = Wire(), Wire()
    run_all(STATISTICS, tmp_path, first)
    run_all(STATISTICS, tmp_path, second)
    assert [job.key for job in first.jobs] == [job.key for job in second.jobs]


def test_another_version_of_a_plugin_is_refused(tmp_path):
    run = run_of(STATISTICS, tmp_path)
    run.place()
    job = fit_job(run, {"limits": 0}, ["limits"], "train", {})
    job.plugins["rx"] = "0.0.7"
    with pytest.raises(UnavailableError) as caught:
        Fit().begin(job)
    version = run.plugins.version("rx")
    assert str(caught.value) == (
        f"rx: the job needs version 0.0.7 of the plugin 'rx', here is {version}\n"
        "  fix: install version 0.0.7 of it on this worker"
    )


CUBES = """
specloom: 1
data:
  type: cubes.Folder
  config: {path: FOLDER, split: {train: ['0', '1', '2', '3'], test: ['4']}}
nodes:
  data: {type: cubes.AnomalyDataNode, config: {normal_class_ids: [0]}}
  rx: {type: rx.RXGlobal}
connections:
  - [data.cube, rx.data]
phases:
  - {type: training.StatisticalTrainer}
"""


def run_with_a_broken_cube(tmp_path, monkeypatch):
    """A run over five cubes, the second of which is cut short after its header was read."""
    folder = tmp_path / "cubes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        np.save(folder / f"{number}.npy", rng.random((8, 9, 4), "float32"))
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", 1)
    run = run_of(CUBES.replace("FOLDER", str(folder)), tmp_path)
    run.place()
    broken = folder / "1.npy"
    broken.write_bytes(broken.read_bytes()[:200])
    return run, broken


def test_errors_of_a_share_are_values_and_end_no_other(tmp_path, monkeypatch):
    run, broken = run_with_a_broken_cube(tmp_path, monkeypatch)
    job = fit_job(run, {"rx": 0}, ["rx"], "train", {})
    outcomes = list(Here().each(job, make_shares(run.source.tickets("train"))))
    assert [bool(outcome.errors) for outcome in outcomes] == [False, True, False, False]
    assert [outcome.data is None for outcome in outcomes] == [False, True, False, False]
    (error,) = outcomes[1].errors
    assert plain(dict(error)).keys() == {"what", "where", "fix", "exit_code"}
    assert str(broken) in error["where"] + error["what"]
    assert error["fix"]
    assert error["exit_code"] == 2


def test_a_run_ends_with_the_error_of_a_share(tmp_path, monkeypatch):
    run, broken = run_with_a_broken_cube(tmp_path, monkeypatch)
    run.executor = Here()
    with pytest.raises(Exception, match=broken.name) as caught:
        run.run()
    assert caught.value.exit_code == DataError.exit_code


@pytest.mark.filterwarnings("ignore:.*of the pixels are decided")  # of raw scores
def test_a_source_without_tickets_is_read_by_the_process():
    run = training_toys.run_of()
    run.executor = Here()
    expected = training_toys.run_of()
    Evaluate("test").train(expected)
    line = "'test' is evaluated in this process: the source Scenes gives no tickets"
    with pytest.warns(UserWarning, match=line):
        Evaluate("test").train(run)
    assert run.record["in_this_process"] == [line]
    assert run.metrics == expected.metrics


def test_a_fit_on_a_source_without_tickets_is_done_by_the_process(tmp_path):
    run = run_of(STATISTICS, tmp_path, Here())
    run.source = _WithoutTickets(run.source)
    line = "the fit is done in this process: the source _WithoutTickets gives no tickets"
    with pytest.warns(UserWarning, match=line):
        StatisticalTrainer().train(run)
    assert run.record["in_this_process"] == [line]
    assert differing(state_of(run), state_of(run_all(ONLY_FIT, tmp_path))) == []


class _WithoutTickets:
    def __init__(self, source):
        self._source = source
        self.outputs = source.outputs
        for name in ("sizes", "splits", "count", "batches"):
            setattr(self, name, getattr(source, name))


def test_a_node_that_cannot_merge_is_fitted_by_the_process_and_the_others_by_jobs(tmp_path):
    document = ONLY_FIT.replace("rx.RXGlobal", "job_toys.CannotMerge")
    wire = Wire()
    line = "rx is fitted in this process: its statistics cannot be merged"
    with pytest.warns(UserWarning, match=line):
        run = run_all(document, tmp_path, wire)
    assert run.record["in_this_process"] == [line]
    assert [job.arguments["passes"] for job in wire.jobs] == [
        {"limits": 0},
        {"pca": 0, "selector": 0},
        {"selector": 1, "logits": 0},
    ]
    assert differing(state_of(run), state_of(run_all(document, tmp_path))) == []


def test_metrics_that_cannot_merge_are_measured_by_the_process(tmp_path):
    name = "metrics.AnomalyDetectionMetrics"
    document = STATISTICS.replace(name, "job_toys.CannotMergeMetrics")
    line = "'test' is evaluated in this process: what metrics measures cannot be merged"
    with pytest.warns(UserWarning, match=line):
        run = run_all(document, tmp_path, Here())
    assert run.record["in_this_process"] == [line]
    assert run.metrics == run_all(STATISTICS, tmp_path).metrics


def test_losses_are_measured_by_the_process(tmp_path):
    run = run_of(STATISTICS, tmp_path)
    line = "'test' is evaluated in this process: bce is a loss, and losses are not merged"
    with pytest.warns(UserWarning, match=line):
        done = measure_by_job(run, Here(), ["metrics"], ["bce"], "test")
    assert not done


def test_a_node_that_no_plugin_offers_is_fitted_by_the_process(tmp_path):
    run = run_of(STATISTICS, tmp_path, Here())
    run.graph.types.clear()
    pca = run.graph.nodes["pca"]
    pca.__class__ = type("Own", (type(pca),), {})
    with pytest.warns(UserWarning, match="Own is offered by no plugin"):
        StatisticalTrainer().train(run)
    assert run.graph.unfitted() == []


def test_an_opened_job_has_the_graph_and_the_source_of_the_run(tmp_path):
    run = run_all(STATISTICS, tmp_path)
    opened = open_job(through_wire(measure_job(run, ["metrics"], "test"))).run
    assert differing(state_of(opened), state_of(run)) == []
    assert vars(opened.source)["scenes"] == run.source.scenes
    assert list(opened.source.tickets("test")) == list(run.source.tickets("test"))
    assert opened.plugins.modules.keys() < toys.plugins().modules.keys()


def test_a_run_on_a_gpu_is_no_job(tmp_path):
    run = run_of(STATISTICS, tmp_path)
    run.runtime.device = "cuda:0"
    why = "the run is on cuda:0, and jobs work on the CPU"
    assert no_jobs_because(run, "train") == why


def test_a_split_without_tickets_is_no_job(tmp_path):
    run = run_of(ONLY_FIT, tmp_path)
    assert no_jobs_because(run, "train") == ""
    run.source.tickets = lambda split: iter(())
    assert no_jobs_because(run, "test") == "the split 'test' has no item"


def test_processes_of_torchrun_fit_without_jobs(tmp_path, monkeypatch):
    run = run_of(STATISTICS, tmp_path)
    monkeypatch.setattr("specloom_training.processes.count", lambda: 2)
    line = "the fit is done in this process: 2 processes fit together"
    with pytest.warns(UserWarning, match=line):
        jobs = FitJobs(run, Here(), "train")
    assert jobs.suitable(["limits"]) == []


def test_a_node_behind_one_that_saves_no_state_is_fitted_by_the_process(tmp_path):
    run = run_of(STATISTICS, tmp_path)
    run.place()
    type_of_limits = type(run.graph.nodes["limits"])
    stateless = type("Stateless", (type_of_limits,), {"state": None, "restore": None})
    jobs = FitJobs(run, Here(), "train")
    run.graph.nodes["limits"].__class__ = stateless
    line = "pca is fitted in this process: limits, which it reads, saves no state"
    with pytest.warns(UserWarning, match=line):
        assert jobs.suitable(["pca"]) == []


def test_a_stage_without_metrics_is_no_job(tmp_path):
    run = run_of(STATISTICS, tmp_path)
    line = "'test' is evaluated in this process: there is no metric to merge"
    with pytest.warns(UserWarning, match=line):
        assert not measure_by_job(run, Here(), [], [], "test")


def test_items_of_different_sizes_are_no_batch(tmp_path):
    rng = np.random.default_rng(0)
    for number, rows in enumerate([4, 4, 4, 5, 5]):
        np.save(tmp_path / f"{number}.npy", rng.random((rows, 6, 3), "float32"))
    run = run_of(CUBES.replace("FOLDER", str(tmp_path)), tmp_path)
    tickets = [*run.source.tickets("train"), *run.source.tickets("test")]
    run.source.batch_size = 2
    shapes = [tuple(batch["cube"].shape) for batch in read_batches(run, tickets)]
    assert shapes == [(2, 4, 6, 3), (1, 4, 6, 3), (2, 5, 6, 3)]
