"""Two clients of one scheduler never have a task of the same key: one would get the other's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from specloom import Share
from specloom_dask import task_keys
from specloom_dask.introductions import Introductions, Wanted
from specloom_dask.job_session import JobSession
from specloom_dask.task_keys import new_key


def test_keys_of_other_processes_and_tasks_are_others():
    command = "from specloom_dask.task_keys import new_key; print(new_key('do'))"
    other = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    keys = [new_key("do"), new_key("do"), new_key("merge"), other.stdout.decode().strip()]
    tags = [key.rpartition("-")[0] for key in keys]
    assert len({*keys}) == 4
    assert tags[0] == tags[1] == f"specloom-do-{task_keys._tag}"
    assert tags[3].startswith("specloom-do-")
    assert tags[3] != tags[0]


class Client:
    """Remembers the keys of tasks."""

    def __init__(self):
        self.keys = []

    def submit(self, *arguments, key, **options):
        self.keys.append(key)


@pytest.fixture
def client():
    return Client()


def test_all_tasks_of_a_job_have_such_keys(client):
    session = JobSession(client, {"key": "0123"}, None, Wanted())
    session._submit_reported(Share(0, ()))
    session._submit_merge([])
    session._submit_part(b"")
    Introductions(client, {}, None, Wanted())._request("tcp://127.0.0.1:1")
    job, *others = client.keys
    assert job == "specloom-job-0123", "clients with the same job share it"
    verbs = ["do", "report", "merge", "part", "handshake"]
    assert [key.split("-")[1] for key in others] == verbs
    assert all(f"-{task_keys._tag}-" in key for key in others)
