"""A worker that has imported another copy of a plugin is started again, once."""

from __future__ import annotations

import json

import pytest

from specloom import SpecloomError, remove_abandoned
from specloom_dask.introductions import Introductions, Probe, Wanted

LOADED = {"what": "E-LOADED plugin 'rx': it was imported", "where": "", "fix": "restart"}


class Future:
    """What a worker answered."""

    status = "finished"

    def __init__(self, errors):
        self.errors = errors

    def done(self):
        return True

    def result(self):
        return {"missing": [], "errors": self.errors, "data": json.dumps({})}


class Client:
    """A client of one worker, which always has imported another copy.

    Args:
        nanny: The address of what starts the worker again.
    """

    def __init__(self, nanny):
        self.nanny = nanny
        self.starts = 0

    def workers(self):
        return {f"tcp://127.0.0.1:{self.starts}": {"nanny": self.nanny}}

    def scheduler_info(self, n_workers):
        return {"workers": self.workers()}

    def submit(self, *arguments, **options):
        return Future([{**LOADED, "exit_code": 3}])

    def restart_workers(self, addresses, timeout):
        assert addresses == [f"tcp://127.0.0.1:{self.starts}"]
        self.starts += 1


@pytest.mark.parametrize(("nanny", "starts"), [("tcp://127.0.0.1:99", 1), (None, 0)])
def test_a_worker_is_started_again_once_though_its_address_changes(nanny, starts):
    client = Client(nanny)
    introductions = Introductions(client, {"pins": "[]"}, None, Wanted())
    with pytest.raises(SpecloomError, match="E-LOADED plugin 'rx'") as caught:
        introductions.wait(client.workers)
    assert client.starts == starts
    assert caught.value.exit_code == 3


def test_the_file_that_workers_look_for_stays_while_another_call_cleans_up(tmp_path):
    probe = Probe(tmp_path)
    (path,) = probe.paths()
    left = tmp_path / ".fleet.host-1-0123abcd"
    left.touch()
    remove_abandoned(tmp_path)
    assert [str(one) for one in tmp_path.iterdir()] == [path]
    probe.remove()
    probe.remove()
    assert list(tmp_path.iterdir()) == []
    assert Probe(None).paths() == Probe(tmp_path / "absent").paths() == []
