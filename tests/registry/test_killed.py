"""kill -9 at any moment, and several at once: whole trees or none, and mended by trying again."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from registry_world import plugin_files

from specloom_registry.store import tree
from specloom_registry.store.store import Store

PLUGINS = [f"p{i}" for i in range(4)]


@pytest.fixture
def many(world):
    for name in PLUGINS:
        files = {f"acme_{name}/part{i}.py": f"x = {i}\n" * 50 for i in range(20)}
        repo = world.repo(name)
        repo.commit({**plugin_files(name), **files})
        repo.tag("v1.0.0", force=True)
    world.wants(*(f"{name}@v1.0.0" for name in PLUGINS))
    return world


def start(world, *arguments, **options):
    """Start a command as a shell would in the foreground: interrupts reach it."""
    return subprocess.Popen(
        [sys.executable, "-m", "specloom", "plugins", *arguments],
        cwd=world.project,
        env=os.environ | options,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        start_new_session=True,
    )


def whole(world):
    """Every published tree is what its name says; a lock, if any, names only such."""
    for one in world.trees():
        assert tree.tree_hash(tree.file_hashes(world.store / "trees" / one)) == one
        assert not any(
            tree.IGNORED.fullmatch(p) for p, _ in tree.all_files(world.store / "trees" / one)
        )
    if world.lock.exists():
        for record in json.loads(world.lock.read_text())["plugins"].values():
            assert record["tree"] in world.trees()


def kill_at_random_moments(world, times):
    started = time.perf_counter()
    begin = start(world, "lock", "--no-probe")
    begin.communicate()
    assert begin.returncode == 0
    longest = time.perf_counter() - started
    good, dice = world.lock.read_bytes(), random.Random(7)
    clean = Store()
    for _ in range(times):
        for one in world.trees()[:: dice.choice((1, 2))]:
            clean.quarantine(one)
        command = dice.choice((("lock", "--fresh", "--no-probe"), ("sync", "--no-probe")))
        if command[0] == "lock" and dice.random() < 0.5:
            world.lock.unlink(missing_ok=True)
        elif command[0] == "sync":
            world.lock.write_bytes(good)
        running = start(world, *command)
        time.sleep(dice.uniform(0, longest))
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        if command[0] == "lock" and world.lock.exists():
            assert world.lock.read_bytes() == good
    again = start(world, "lock", "--fresh", "--no-probe")
    assert again.communicate()[0]
    again = start(world, "sync", "--repair", "--no-probe")
    out, err = again.communicate()
    assert (again.returncode, err) == (0, b""), out
    whole(world)
    assert world.lock.read_bytes() == good
    assert world.leftovers() == []
    assert not list(world.project.glob(".*"))


def sync_at_once(world, times, processes):
    world.run("lock")
    for _ in range(times):
        for one in world.trees():
            Store().quarantine(one)
        running = [start(world, "sync", "--json", "--no-probe") for _ in range(processes)]
        answers = [one.communicate() for one in running]
        assert [one.returncode for one in running] == [0] * processes, answers
        fetched = [json.loads(out)["fetched"] for out, _ in answers]
        assert sorted(name for names in fetched for name in names) == PLUGINS
        whole(world)
        assert world.leftovers() == []


def test_kills_leave_whole_trees(many):
    kill_at_random_moments(many, 3)


def test_syncs_at_once_fetch_each_tree_once(many):
    sync_at_once(many, 2, 4)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_many_kills_leave_whole_trees(many):
    kill_at_random_moments(many, 50)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_many_syncs_at_once_fetch_each_tree_once(many):
    sync_at_once(many, 20, 4)


def test_an_interrupt_ends_it_and_leaves_nothing(many):
    running = start(many, "lock", "--no-probe")
    time.sleep(0.6)
    running.send_signal(signal.SIGINT)
    running.communicate()
    assert running.returncode in (0, 130, -signal.SIGINT)  # the last: before it had started
    assert many.leftovers() == []
    whole(many)


def test_a_waiter_says_whom_it_waits_for_and_gives_up(tmp_path):
    from specloom_registry.base.faults import PluginUnavailableError
    from specloom_registry.store import file_lock

    file, said = tmp_path / "a.lock", []
    with (
        file_lock.locked(file, "rx"),
        pytest.raises(PluginUnavailableError) as caught,
        file_lock.locked(file, "lab", timeout=1.2, notify=said.append),
    ):
        pass
    assert said == [f"waiting for pid {os.getpid()} (rx)"]
    assert caught.value.what == f"E-BUSY pid {os.getpid()} (rx) holds {file} for more than 1.2 s"
    assert caught.value.fix == "wait until it is done, or end it, and try again"
    with file_lock.locked(file, "lab", timeout=0):
        pass


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path):
    from specloom_registry.base.faults import PluginUnavailableError
    from specloom_registry.store import file_lock

    (tmp_path / "a.lock").symlink_to(tmp_path / "victim")
    with (
        pytest.raises(PluginUnavailableError, match="Too many levels of symbolic links"),
        file_lock.locked(tmp_path / "a.lock", "rx"),
    ):
        pass
    assert not (tmp_path / "victim").exists()
