"""A small fleet on this machine: the bits of one process, plain values, and what goes wrong."""

from __future__ import annotations

import json
import os
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest

import specloom_dask.job_session as job_session
import specloom_dask.local_cluster as local_cluster
import specloom_jobs.parts
import specloom_jobs.shares
from specloom import Job, SpecloomError, Subtree, pack
from specloom_dask import Dask
from specloom_dask.wire import unplain
from specloom_jobs import JobParts
from specloom_predict import predict_all

sys.path.append(str(Path(__file__).parent))
toys = import_module("fleet_toys")


@pytest.fixture(scope="module")
def fleet():
    """Two workers; a share whose worker died is given up, and then done again alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(local_cluster.SETTINGS, "distributed.scheduler.allowed-failures", 0)
        executor = Dask(workers=2, plugins=toys.plugins())
        yield executor
        executor.close()


@pytest.fixture
def sent(monkeypatch):
    """What travels to workers and back."""
    found = []
    submit = job_session.JobSession._submit
    as_done = job_session.JobSession._as_done

    def recorded(self, verb, numbers, payload):
        found.append([verb, numbers, payload])
        return submit(self, verb, numbers, payload)

    def taken(self, begun, future, result):
        found.append(result)
        return as_done(self, begun, future, result)

    monkeypatch.setattr(job_session.JobSession, "_submit", recorded)
    monkeypatch.setattr(job_session.JobSession, "_as_done", taken)
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A fit in one process, share by share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(specloom_jobs.shares, "SHARE_TICKETS", 1)
        folder = tmp_path_factory.mktemp("alone")
        return toys.fit(folder)


def test_a_fit_and_its_metrics_have_the_bits_of_one_process(
    fleet, alone, tmp_path, monkeypatch, sent
):
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", 1)
    found = toys.fit(tmp_path, executor=fleet)
    assert pack(found.graph, found.plugins) == pack(alone.graph, alone.plugins)
    assert found.metrics == alone.metrics
    assert "in_this_process" not in found.record
    verbs = [one[0] for one in sent if isinstance(one, list)]
    assert verbs.count("do") > 2 * verbs.count("merge") > 0
    for one in sent:
        if isinstance(one, list) and one[0] != "do":
            one = one[:2]  # futures stand for what a worker holds
        assert unplain(one) == ""


@pytest.mark.filterwarnings("ignore:.*the threshold of decider")
@pytest.mark.filterwarnings("ignore:.*unlike what the pipeline was fitted on")
def test_calibrations_have_the_bits_of_one_process(fleet, tmp_path, monkeypatch):
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", 3)
    expected = toys.fit(tmp_path / "alone", toys.CALIBRATED)
    found = toys.fit(tmp_path / "fleet", toys.CALIBRATED, fleet)
    assert found.record["calibrations"] == expected.record["calibrations"]
    assert len(found.record["calibrations"]) == 2
    assert pack(found.graph, found.plugins) == pack(expected.graph, expected.plugins)
    assert found.metrics == expected.metrics
    assert "in_this_process" not in found.record


def test_predictions_equal_those_of_one_process(fleet, alone, tmp_path, sent):
    toys.write_cubes(tmp_path / "cubes", 7)
    (tmp_path / "cubes" / "broken.npy").write_bytes(b"no cube")
    calls = {"alone": None, "fleet": fleet}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, on in calls.items():
            calls[name] = predict_all(alone.folder, [tmp_path / "cubes"], tmp_path / name, on=on)
    one, many = calls.values()
    assert toys.contents(tmp_path / "fleet") == toys.contents(tmp_path / "alone")
    assert len(many.done) == len(one.done) == 7
    (_, error), (_, expected) = many.failed[0], one.failed[0]
    assert error.what.partition("broken.npy")[2] == expected.what.partition("broken.npy")[2]
    assert type(error) is type(expected)
    (ledger,) = (tmp_path / "fleet/ledger").glob("*.jsonl")
    assert len(ledger.read_text().splitlines()) == 8
    assert {unplain(one) for one in sent} == {""}
    again = predict_all(alone.folder, [tmp_path / "cubes/c00001.npy"], tmp_path / "fleet", on=fleet)
    assert len(again.skipped) == 1


def test_a_total_ends_with_the_error_of_a_share(fleet):
    tickets = [{"number": number} for number in range(30)]
    tickets[3]["fail"] = True
    with pytest.raises(SpecloomError, match="this item is wrong"):
        fleet.total(Job("toys.Fragile"), toys.shares(*tickets))
    del tickets[3]["fail"]
    total = fleet.total(Job("toys.Fragile"), toys.shares(*tickets))
    assert json.loads(total) == list(range(0, 60, 2))


def test_a_total_goes_on_behind_the_subtrees_that_were_stored(fleet, tmp_path, monkeypatch):
    monkeypatch.setattr(specloom_jobs.parts, "PART_LEVEL", 1)
    job = Job("toys.Fragile", arguments={"factor": 3})
    items = [{} for _ in range(40)]
    items[39] = {"fail": True}

    def looked_at():
        found = JobParts(tmp_path, job)
        found.look(toys.shares(*items))
        return found

    first = looked_at()
    with pytest.raises(SpecloomError, match="this item is wrong"):
        fleet.resume_total(job, first.missing(toys.shares(*items)), first)
    items[39] = {}
    second = looked_at()
    assert {one.number for one in second.subtrees()} >= {0, 1, 2}
    missing = list(second.missing(toys.shares(*items)))
    assert len(missing) == 40 - second.shares_found
    total = fleet.resume_total(job, missing, second)
    assert json.loads(total) == [3 * number for number in range(40)]
    second.store_total(total)
    assert [path.name for path in second.folder.iterdir()] == ["total.safetensors"]


def test_subtrees_alone_make_a_total(fleet, tmp_path, monkeypatch):
    """Where the client was stopped before it had merged them."""
    monkeypatch.setattr(specloom_jobs.parts, "PART_LEVEL", 1)
    job = Job("toys.Fragile", arguments={"factor": 5})
    parts = JobParts(tmp_path, job)
    list(parts.missing(toys.shares(*[{} for _ in range(16)])))
    for number in (0, 1):
        data = [5 * one for one in range(8 * number, 8 * number + 8)]
        parts.store(Subtree(1, number, json.dumps(data).encode()))
    found = JobParts(tmp_path, job)
    found.look(toys.shares(*[{} for _ in range(16)]))
    assert json.loads(fleet.resume_total(job, [], found)) == [5 * one for one in range(16)]


def test_a_job_that_cannot_begin_stops_the_run(fleet):
    job = Job("toys.Fragile", plugins={"rx": "9.9"})
    with pytest.raises(SpecloomError) as caught:
        list(fleet.each(job, toys.shares({})))
    assert "it has plugin rx 0." in caught.value.what
    assert "the run needs 9.9" in caught.value.what
    assert caught.value.exit_code == 3
    assert "install version 9.9" in caught.value.fix
    with pytest.raises(SpecloomError, match="no plugin offers"):
        list(fleet.each(Job("toys.Absent"), toys.shares({})))


def test_workers_listen_on_loopback_alone(fleet):
    import psutil

    fleet.total(Job("toys.Fragile"), toys.shares({}))
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = []
    for process in family:
        for one in process.net_connections("inet"):
            if one.status == psutil.CONN_LISTEN:
                listening.append((one.laddr.ip, one.laddr.port))
    assert listening
    assert {ip for ip, _ in listening} == {"127.0.0.1"}
    assert not {port for _, port in listening} & {8786, 8787}


def test_an_item_that_kills_its_worker_fails_alone(fleet):
    tickets = [{}, {"kill": True}, {}, {"fail": True}, {}]
    outcomes = {}
    for outcome in fleet.each(Job("toys.Fragile"), toys.shares(*tickets)):
        outcomes[outcome.number] = outcome
    assert [json.loads(outcomes[at].data) for at in (0, 2, 4)] == [[0], [4], [8]]
    (killed,) = outcomes[1].errors
    assert killed["what"].startswith("killed its worker once (out of memory?)")
    assert killed["exit_code"] == 2
    (failed,) = outcomes[3].errors
    assert failed["what"] == "the task failed: ValueError: this item is wrong"
    assert failed["exit_code"] == 70


def test_nothing_stays_when_it_is_closed(fleet):
    fleet.close()
    assert toys.workers_of(os.getpid()) == []
