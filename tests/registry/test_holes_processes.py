"""Processes that a plugin starts when it is imported: none outlives the probe."""

import os
import time
from pathlib import Path

import pytest

DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({file!r}, "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not os.path.exists({file!r}):
    time.sleep(0.01)
"""
NOHUP = """
import os, subprocess, time
started = subprocess.Popen(["sleep", "600"], start_new_session=True)
open({file!r}, "w").write(str(started.pid))
"""
ENDS = {
    "": ("", 0),
    "by an error": ("raise ValueError('no')", 2),
    "by a signal": ("os.kill(os.getpid(), 9)", 2),
    "never": ("time.sleep(600)", 2),
}


def is_running(pid):
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("start", [DAEMON, NOHUP])
def test_a_process_that_a_plugin_leaves_behind_is_ended(world, monkeypatch, start, end):
    from specloom_registry.importing import probe

    ending, code = ENDS[end]
    if end == "never":
        monkeypatch.setattr(probe.probe, "__kwdefaults__", {"timeout": 3.0})
    file = world.root / "pid"
    world.repo("rx", init=f"{start.format(file=str(file))}\n{ending}\n")
    world.wants("rx@v1.0.0")
    done = world.run("lock", probe=True, code=code)
    pid = int(file.read_text())
    assert pid != os.getpid()
    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(pid)
    messages = {
        "by an error": "E-IMPORT plugin 'rx' raises ValueError: no (from acme_rx/__init__.py:",
        "by a signal": "E-IMPORT plugin 'rx' is killed by SIGKILL when it is imported",
        "never": "E-IMPORT plugin 'rx' hangs: it is not imported within 3 s",
    }
    if end:
        assert done.error.what.startswith(messages[end])


def test_an_error_longer_than_a_pipe_holds_is_reported(world):
    world.repo("rx", init="raise ValueError('x' * 1_000_000)")
    world.wants("rx@v1.0.0")
    done = world.run("lock", probe=True, code=2)
    assert done.error.what.startswith("E-IMPORT plugin 'rx' raises ValueError: xxx")
    assert len(done.error.what) < 3000
