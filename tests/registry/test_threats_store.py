"""T20, T23, T44, T48: the store's files, its disk, and what else goes on with it."""

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from registry_world import ORIGIN, open_up

from specloom import SpecloomError
from specloom_registry import resolve_plugins
from specloom_registry.fetch import export
from specloom_registry.store.store import Store

PROGRAM = (
    "from pathlib import Path; from specloom_registry import resolve_plugins;"
    "resolve_plugins(Path('plugins.yaml')); import acme_rx; print(acme_rx.SAYS, flush=True)"
)


@pytest.fixture
def locked(world):
    world.repo("rx")
    world.repo("lab")
    world.wants("rx@v1.0.0", "lab@v1.0.0")
    world.run("lock")
    return world


def edit(tree):
    (tree / "acme_rx/nodes.py").write_text("x = 1")


def add(tree):
    (tree / "acme_rx/more.py").write_text("x = 1")


def take(tree):
    (tree / "acme_rx/nodes.py").unlink()


CHANGES = [
    (edit, "acme_rx/nodes.py differs"),
    (add, "acme_rx/more.py was added"),
    (take, "acme_rx/nodes.py is missing"),
    (lambda tree: (edit(tree), add(tree)), "acme_rx/nodes.py differs, acme_rx/more.py was added"),
    (
        lambda tree: (edit(tree), (tree / "pyproject.toml").write_text("")),
        "acme_rx/nodes.py and 1 more differ",
    ),
]


@pytest.mark.parametrize(("change", "reported"), CHANGES)
def test_a_changed_tree_is_reported_and_repaired_and_others_work(locked, change, reported):
    tree = locked.tree()
    change(open_up(tree))
    modules = resolve_plugins(locked.manifest)
    with pytest.raises(SpecloomError) as caught:
        __import__(modules["rx"])
    found = caught.value.what.rpartition("(")[2]
    what = f"E-STORE plugin 'rx': {reported} in {tree} ({found}"
    assert (caught.value.what, caught.value.exit_code) == (what, 3)
    assert caught.value.fix == "run: specloom plugins sync --repair"
    __import__(modules["lab"])
    done = locked.run("verify", code=1)
    assert done.stdout == (
        f"rx 1.0.0: {what}\n  fix: run: specloom plugins sync --repair\nlab 1.0.0: good\n"
    )
    assert locked.run("sync", code=3).error.what == what
    done = locked.run("sync", "--repair")
    aside = done.stdout.splitlines()[1].removeprefix("repaired rx: the old files are in ")
    assert done.stdout.startswith("fetched: rx\n")
    assert os.path.isdir(aside)  # noqa: PTH112  # what was wrong is kept
    assert locked.run("verify", "--full").stdout == "rx 1.0.0: good\nlab 1.0.0: good\n"


def test_a_change_that_hides_from_sizes_and_times_is_seen_by_a_full_look(locked, monkeypatch):
    file = open_up(locked.tree()) / "acme_rx/nodes.py"
    Store().remember(locked.tree().name, signature="")
    locked.run("sync")
    about = file.stat()
    file.write_bytes(file.read_bytes().replace(b"* 2", b"* 3"))
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert locked.run("sync").stdout == "fetched: nothing\n"
    assert "acme_rx/nodes.py differs" in locked.run("verify", code=1).stdout
    monkeypatch.setenv("SPECLOOM_VERIFY", "full")
    resolve_plugins(locked.manifest)
    with pytest.raises(SpecloomError, match="E-STORE plugin 'rx'"):
        __import__("acme_rx")


def test_modes_and_times_alone_are_no_harm(locked):
    file = open_up(locked.tree()) / "acme_rx/nodes.py"
    os.utime(file, (1, 1))
    assert locked.run("verify").stdout == "rx 1.0.0: good\nlab 1.0.0: good\n"


def test_a_tree_that_is_not_there_is_reported_with_the_command_that_brings_it(locked):
    shutil.rmtree(open_up(locked.tree()))
    modules = resolve_plugins(locked.manifest)
    with pytest.raises(SpecloomError) as caught:
        __import__(modules["rx"])
    assert caught.value.what == (
        f"E-STORE-MISSING plugin 'rx': its files are not in the store {locked.store}"
    )
    assert (caught.value.fix, caught.value.exit_code) == ("run: specloom plugins sync", 4)
    assert locked.run("sync").stdout == "fetched: rx\n"


def test_without_a_state_the_bytes_decide(locked):
    shutil.rmtree(locked.store / "state")
    assert locked.run("verify").stdout == "rx 1.0.0: good\nlab 1.0.0: good\n"
    resolve_plugins(locked.manifest)
    __import__("acme_rx")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("when", ["write", "publish"])
def test_a_full_disk_publishes_nothing(world, monkeypatch, code, when):
    world.repo("rx")
    world.wants("rx@v1.0.0")

    def full(*_, **__):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        if when == "write":
            patched.setattr(export.Path, "write_bytes", full)
        else:
            patched.setattr("specloom_registry.store.store._flush", full)
        done = world.run("lock", code=4)
    assert done.error.what == (
        f"E-DISK the store {world.store} cannot be written: the disk is full; nothing was changed"
    )
    assert done.error.fix == "make room, or set SPECLOOM_STORE to a folder on another disk"
    assert (world.trees(), world.leftovers(), world.lock.exists()) == ([], [], False)
    world.run("lock")


def test_a_really_full_disk_publishes_nothing(world):
    mount = world.root / "small"
    mount.mkdir()
    small = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(mount)]
    if subprocess.run(small, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        repo = world.repo("rx")
        repo.commit({"data": os.urandom(1_000_000)}, tag="v2.0.0")
        repo.git("tag", "-f", "v2.0.0")
        world.wants("rx@v1.0.0")
        env = {"SPECLOOM_STORE": str(mount / "store")}
        command = "plugins", "lock", "--no-probe"
        world.wants("rx@v2.0.0")
        done = cli(world, *command, **env)
        assert done.returncode == 4, done.stderr
        assert "E-DISK" in done.stderr
        assert not list((mount / "store").glob("trees/*"))
        assert not list((mount / "store").glob("tmp/*"))
        assert not world.lock.exists()
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def cli(world, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "specloom", *arguments],
        capture_output=True,
        text=True,
        cwd=world.project,
        env=os.environ | environment,
        preexec_fn=without_power,
        check=False,
    )


def without_power():
    """Let root, too, be refused by permissions, in the program that is started next."""
    if os.geteuid() == 0:
        drop_capability, dac_override, dac_read_search = 24, 1, 2
        for one in (dac_override, dac_read_search):
            ctypes.CDLL(None).prctl(drop_capability, one, 0, 0, 0)


def test_a_store_that_may_only_be_read_serves_and_takes_nothing_in(locked):
    shutil.rmtree(locked.store / "state")
    for place, _, names in os.walk(locked.store):
        for one in (Path(place), *(Path(place, name) for name in names)):
            one.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        cwd=locked.project,
        preexec_fn=without_power,
        check=False,
    )
    assert done.stdout == "one\n", done.stderr
    shutil.rmtree(open_up(locked.tree()))
    for place in (locked.store, *(one for one in locked.store.iterdir() if one.is_dir())):
        place.chmod(0o555)
    done = cli(locked, "plugins", "sync", "--no-probe")
    assert done.returncode == 4
    assert done.stderr == (
        f"error: E-DISK the store {locked.store} cannot be written: Permission denied; "
        "nothing was changed\n"
        "  fix: make room, or set SPECLOOM_STORE to a folder on another disk\n"
    )


def test_credentials_are_never_shown(world, tmp_path, monkeypatch):
    config = tmp_path / "gitconfig"
    config.write_text(
        '[url "https://me:CANARY@localhost:9/"]\n\tinsteadOf = https://localhost:9/acme/\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    world.write(f"rx: {{git: {ORIGIN}rx.git, tag: v1.0.0}}", mirrored=False)
    for command in ("lock", "outdated", "update"):
        done = world.run(command, code=2 if command == "outdated" else 4)
        assert "CANARY" not in done.output + str(done.error)


def test_gc_keeps_what_locks_name_and_waits_for_no_run(locked):
    before = locked.trees()
    locked.wants("rx@v1.0.0")
    locked.run("lock")
    pinned_tree = locked.locked()["plugins"]["rx"]["tree"]
    with subprocess.Popen(
        [sys.executable, "-c", f"{PROGRAM}; input()"],
        cwd=locked.project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as run:
        assert run.stdout.readline() == b"one\n"
        done = locked.run("gc", code=4)
        assert done.error.what == f"E-BUSY a run uses the store {locked.store}; nothing was deleted"
        assert done.error.fix == "wait until it is over"
        run.communicate(b"\n")
    assert locked.run("gc", "--dry-run").stdout.endswith(" bytes\n")
    assert locked.trees() == before
    locked.run("gc")
    assert locked.trees() == [pinned_tree]
    assert locked.leftovers() == []
    locked.lock.unlink()
    locked.run("gc")
    assert locked.trees() == []
