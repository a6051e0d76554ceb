"""The executor in this process, and what tasks, jobs and outcomes are."""

import json
from types import SimpleNamespace

import pytest

from specloom import (
    DataError,
    Executor,
    Job,
    PluginError,
    Plugins,
    Problems,
    SpecloomError,
    Task,
    UnavailableError,
    impl,
)
from specloom_jobs import Here, make_shares


class Numbers:
    """Adds up numbers, and fails where a ticket says so."""

    made = 0

    def begin(self, job):
        Numbers.made += 1
        self.factor = job.arguments.get("factor", 1)

    def do(self, tickets):
        for ticket in tickets:
            if "error" in ticket:
                raise ticket["error"]
        return json.dumps([self.factor * ticket["number"] for ticket in tickets]).encode()

    def merge(self, parts):
        return json.dumps([one for part in parts for one in json.loads(part)]).encode()


@pytest.fixture
def here():
    offered = {"Numbers": f"{__name__}:Numbers"}
    plugin = SimpleNamespace(register_tasks=impl(lambda: offered), __name__="lab")
    return Here(Plugins({"lab": plugin}))


def tickets(count):
    return [{"number": number} for number in range(count)]


def test_here_and_its_tasks_follow_the_protocols(here):
    assert isinstance(here, Executor)
    assert isinstance(Numbers(), Task)


def test_a_total_keeps_the_order_of_the_data(here):
    total = here.total(Job("lab.Numbers", arguments={"factor": 2}), make_shares(tickets(1000)))
    assert json.loads(total) == [2 * number for number in range(1000)]


def test_the_task_is_made_once_for_a_job(here):
    Numbers.made = 0
    assert len(list(here.each(Job("lab.Numbers"), make_shares(tickets(200))))) == 4
    assert Numbers.made == 1


def test_the_errors_of_a_share_are_values_and_end_no_other(here):
    items = tickets(200)
    items[70]["error"] = DataError("the cube is cut off", where="a.hdr", fix="copy it again")
    outcomes = list(here.each(Job("lab.Numbers"), make_shares(items)))
    assert [one.number for one in outcomes] == [0, 1, 2, 3]
    assert [one.data is None for one in outcomes] == [False, True, False, False]
    (error,) = outcomes[1].errors
    expected = {"what": "the cube is cut off", "where": "a.hdr", "fix": "copy it again"}
    assert error == {**expected, "exit_code": 2}
    assert json.loads(json.dumps(error)) == error


def test_several_errors_of_a_share_stay_several(here):
    items = tickets(1)
    items[0]["error"] = Problems([DataError("one"), UnavailableError("two")])
    (outcome,) = here.each(Job("lab.Numbers"), make_shares(items))
    assert [(one["what"], one["exit_code"]) for one in outcome.errors] == [("one", 2), ("two", 4)]


@pytest.mark.parametrize(
    ("error", "what", "code"),
    [
        (UnavailableError("no disk"), "no disk", 4),
        (MemoryError("2 GB"), "there is not enough memory (2 GB)", 4),
        (KeyError("x"), "the task failed: KeyError: 'x'", 70),
    ],
)
def test_a_total_raises_the_error_of_a_share(here, error, what, code):
    items = tickets(1)
    items[0]["error"] = error
    with pytest.raises(SpecloomError) as caught:
        here.total(Job("lab.Numbers"), make_shares(items))
    assert caught.value.what == what
    assert caught.value.exit_code == code


def test_a_task_that_no_plugin_offers(here):
    with pytest.raises(PluginError, match=r"no plugin offers 'lab\.Nmbers' as a task") as caught:
        here.total(Job("lab.Nmbers"), make_shares(tickets(1)))
    assert "lab.Numbers" in caught.value.fix


def test_the_key_of_a_job_is_that_of_its_contents():
    job = Job("lab.Numbers", "nodes: {}", b"weights", {"a": 1, "b": 2}, {"rx": "0.2.0"}, 5)
    same = Job("lab.Numbers", "nodes: {}", b"weights", {"b": 2, "a": 1}, {"rx": "0.2.0"}, 5)
    assert job.key == same.key
    assert len(job.key) == 64
    others = [
        Job("lab.Other", "nodes: {}", b"weights", {"a": 1, "b": 2}, {"rx": "0.2.0"}, 5),
        Job("lab.Numbers", "nodes: []", b"weights", {"a": 1, "b": 2}, {"rx": "0.2.0"}, 5),
        Job("lab.Numbers", "nodes: {}", b"weight", {"a": 1, "b": 2}, {"rx": "0.2.0"}, 5),
        Job("lab.Numbers", "nodes: {}", b"weights", {"a": 1}, {"rx": "0.2.0"}, 5),
        Job("lab.Numbers", "nodes: {}", b"weights", {"a": 1, "b": 2}, {"rx": "0.2.1"}, 5),
        Job("lab.Numbers", "nodes: {}", b"weights", {"a": 1, "b": 2}, {"rx": "0.2.0"}, 6),
    ]
    assert len({job.key, *(one.key for one in others)}) == 7
