"""What workers say of themselves, and what of it stops a run or is warned of."""

from __future__ import annotations

import pytest

from specloom_dask.handshake import PROBE, advice, describe, differences, examine, problems_of
from specloom_dask.preparation import Preparation

WANTED = {"plugins": {"rx": "0.2.0"}, "paths": []}


def worker(**changes):
    """A worker like this process, with what a test changes."""
    found = describe()
    found |= {"plugins": {"rx": "0.2.0"}, "absent": []}
    found["versions"] = found["versions"] | changes.pop("versions", {})
    return found | changes


def test_a_worker_like_the_client_has_no_problem():
    assert list(problems_of(worker(), describe(), WANTED)) == []
    assert list(differences([worker(), worker()], describe())) == []


@pytest.mark.parametrize("name", ["specloom", "specloom-dask"])
def test_another_version_of_what_travels_stops_the_run(name):
    mine = describe()["versions"][name]
    found = worker(versions={name: "0.1.0"})
    assert list(problems_of(found, describe(), WANTED)) == [
        (f"it has {name} 0.1.0, the client has {mine}", f"install {name} {mine} there", 4)
    ]


@pytest.mark.parametrize(
    ("there", "what"),
    [
        ("0.1.0", "it has plugin rx 0.1.0, the run needs 0.2.0"),
        ("", "it has no plugin rx, the run needs 0.2.0"),
    ],
)
def test_another_or_no_plugin_stops_the_run(there, what):
    found = worker(plugins={"rx": there})
    fix = "install version 0.2.0 of it there, or set ship_plugins: true"
    assert list(problems_of(found, describe(), WANTED)) == [(what, fix, 3)]


def test_a_worker_that_does_not_see_a_folder_or_weights_stops_the_run(tmp_path):
    there = tmp_path / "clip.safetensors"
    there.write_bytes(b"weights")
    absent = str(tmp_path / "other.safetensors")
    probe = str(tmp_path / "results" / f"{PROBE}1")
    wanted = {"plugins": {}, "paths": [str(there), absent, probe]}
    found = examine({"modules": {}}, wanted)
    assert found["absent"] == [absent, probe]
    fix = "use a folder that all machines share"
    assert list(problems_of(found, describe(), wanted)) == [
        (f"it does not see {absent}", fix, 4),
        (f"it does not see {tmp_path / 'results'}", fix, 4),
    ]


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        (
            {"cpu": "other"},
            "mixed CPUs: {cpu} (2), other (1): results may differ in the last digits from run to "
            "run",
        ),
        (
            {"kernels": "vector9"},
            "workers compute by different kernels: {kernels}, vector9: last digits may differ",
        ),
        ({"python": "3.0"}, "workers have different versions of Python: 3.0, {python}"),
        ({"versions": {"torch": "1.0"}}, "workers have different versions of torch: 1.0, {torch}"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_may_change_the_last_digits_is_warned_of(changes, warning):
    client = describe()
    expected = warning.format(**client, torch=client["versions"]["torch"])
    assert list(differences([worker(), worker(**changes)], client)) == [expected]


def test_workers_that_hand_back_memory_eagerly_are_noted():
    quick = worker(trim="4294967296")
    assert list(advice([quick, worker(trim=""), worker(trim="²")])) == []
    (note,) = advice([quick, worker(trim="65536")])
    assert note == (
        "workers hand back memory after each large array, as Dask sets "
        "MALLOC_TRIM_THRESHOLD_=65536: start them with MALLOC_TRIM_THRESHOLD_=4294967296"
    )


def test_a_prepared_worker_has_no_profiler():
    stopped = []

    class Callback:
        def __init__(self, name):
            self.name = name

        def stop(self):
            stopped.append(self.name)

    class Worker:
        periodic_callbacks = {name: Callback(name) for name in ("heartbeat", "profile")}

    Preparation().setup(Worker)
    assert stopped == ["profile"]
    assert list(Worker.periodic_callbacks) == ["heartbeat"]
    assert Worker.specloom_prepared
