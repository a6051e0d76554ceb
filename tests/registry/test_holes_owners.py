"""Files of other users: a manifest above, a lock, a plugin's folder, a store."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from registry_world import open_up, plugin_files

from specloom import SpecloomError
from specloom.plugins import find_manifest
from specloom_registry import resolve_plugins

OTHER = 65534
RESTORE = """
import json, sys
from pathlib import Path
from specloom_registry.provenance.restore import restore_project

fetched = restore_project(json.loads(sys.argv[1]), Path("again"), allow_file=True)
print(f"fetched: {fetched}")
"""
pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)


@pytest.fixture
def locked(world, monkeypatch):
    """A project with a plugin from a tag and one in a folder outside, whose owners count."""
    monkeypatch.delenv("SPECLOOM_SAFE_DIRECTORY", raising=False)
    monkeypatch.delenv("SUDO_UID", raising=False)
    world.repo("rx")
    for name, text in plugin_files("lab").items():
        file = world.root / "lab" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    world.wants("rx@v1.0.0")
    text = world.manifest.read_text().replace("plugins:", "plugins:\n  lab: {path: ../lab}")
    world.manifest.write_text(text)
    world.run("lock")
    return world


def name_of(uid):
    import pwd

    return f"{pwd.getpwuid(uid).pw_name}, uid {uid}"


def give_away(path):
    os.chown(path, OTHER, OTHER, follow_symlinks=False)


TARGETS = {
    "the manifest": lambda world: world.manifest,
    "the lock": lambda world: world.lock,
    "the folder of plugin 'lab'": lambda world: world.root / "lab",
    "the store": lambda world: world.store,
}


@pytest.mark.parametrize("subject", TARGETS)
def test_what_belongs_to_another_user_is_refused_until_it_is_trusted(locked, monkeypatch, subject):
    path = TARGETS[subject](locked)
    give_away(path)
    folder = path if path.is_dir() else path.parent
    with pytest.raises(SpecloomError) as caught:
        resolve_plugins(locked.manifest)
    for error in (caught.value, locked.run("verify", code=3).error):
        assert error.what == f"E-OWNER {subject} belongs to another user ({name_of(OTHER)})"
        assert error.where == (f"{locked.manifest}:3" if "lab" in subject else str(path))
        fix = f"look at it, and if you trust it: export SPECLOOM_SAFE_DIRECTORY={folder}"
        assert (error.fix, error.exit_code) == (fix, 3)
    for value in ("*", str(locked.root), f"/nowhere{os.pathsep}{folder}"):
        monkeypatch.setenv("SPECLOOM_SAFE_DIRECTORY", value)
        assert resolve_plugins(locked.manifest) == {"lab": "acme_lab", "rx": "acme_rx"}
    monkeypatch.setenv("SPECLOOM_SAFE_DIRECTORY", f"{folder}x")
    with pytest.raises(SpecloomError, match="E-OWNER"):
        resolve_plugins(locked.manifest)


def test_a_link_of_another_user_is_refused(locked):
    real = locked.manifest.rename(locked.root / "real.yaml")
    locked.manifest.symlink_to(real)
    give_away(locked.manifest)
    with pytest.raises(SpecloomError, match="E-OWNER the manifest belongs to another user"):
        resolve_plugins(locked.manifest)


def test_under_sudo_the_user_who_started_it_counts(locked, monkeypatch):
    give_away(locked.manifest)
    monkeypatch.setenv("SUDO_UID", str(OTHER))
    assert resolve_plugins(locked.manifest)
    monkeypatch.setenv("SUDO_UID", "65533")
    with pytest.raises(SpecloomError, match="E-OWNER"):
        resolve_plugins(locked.manifest)


def test_an_ordinary_user_trusts_root_and_not_others_and_sudo_uid_is_not_believed():
    with tempfile.TemporaryDirectory() as place:  # those of pytest are closed to other users
        Path(place).chmod(0o755)
        files = [Path(place, "of_root"), Path(place, "of_another")]
        for file in files:
            file.touch()
        os.chown(files[1], 65533, 65533)
        program = (
            "import os, sys; from specloom_registry.base import ownership as o;"
            "from pathlib import Path; os.setuid(65532);"
            "print(*(o.other_owner(Path(file)) for file in sys.argv[1:]), sep=', ')"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, files)],
            capture_output=True,
            text=True,
            env=os.environ | {"SUDO_UID": "65533"},
            check=False,
        )
    assert done.stdout == "None, uid 65533\n", done.stderr


def test_the_search_for_a_manifest_ends_at_home(tmp_path, monkeypatch):
    (tmp_path / "plugins.yaml").write_text("schema: 1\nplugins: {}\n")
    home = tmp_path / "home"
    (home / "work").mkdir(parents=True)
    assert find_manifest(home / "work/run.yaml") == tmp_path / "plugins.yaml"
    monkeypatch.setenv("HOME", str(home))
    assert find_manifest(home / "work/run.yaml") is None
    (home / "plugins.yaml").write_text("schema: 1\nplugins: {}\n")
    assert find_manifest(home / "work/run.yaml") == home / "plugins.yaml"


def test_another_user_s_manifest_above_stops_a_command(locked):
    run = locked.project / "a/b"
    run.mkdir(parents=True)
    give_away(locked.manifest)
    done = subprocess.run(
        [sys.executable, "-m", "specloom", "nodes"],
        cwd=run,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "E-OWNER the manifest belongs to another user" in done.stderr


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o1777])
@pytest.mark.parametrize("folder", [".", "trees", "state"])
def test_a_store_that_others_may_write_is_refused(locked, monkeypatch, folder, mode):
    path = locked.store / folder
    path.chmod(mode)
    with pytest.raises(SpecloomError) as caught:
        resolve_plugins(locked.manifest)
    error = caught.value
    assert error.what == f"E-OWNER the store may be written by other users (mode {mode:o})"
    assert error.where == str(path)
    assert error.fix == f"chmod go-w {path}, and fill it again if you do not trust what is in it"
    assert error.exit_code == 3
    path.chmod(0o755)
    assert resolve_plugins(locked.manifest)


def test_a_store_that_another_group_may_write_is_refused(locked):
    os.chown(locked.store, 0, OTHER)
    locked.store.chmod(0o775)
    with pytest.raises(SpecloomError, match="E-OWNER the store may be written by other users"):
        resolve_plugins(locked.manifest)
    os.chown(locked.store, 0, os.getegid())
    assert resolve_plugins(locked.manifest)


def test_a_new_store_is_private_whatever_the_umask(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    before = os.umask(0)
    try:
        world.run("lock")
        world.run("verify")
    finally:
        os.umask(before)
    modes = {one.name: one.stat().st_mode & 0o777 for one in world.store.iterdir() if one.is_dir()}
    assert modes["trees"] == modes["state"] == world.store.stat().st_mode & 0o777 == 0o755
    assert not any(mode & 0o022 for mode in modes.values())


def test_a_complete_store_that_may_not_be_written_is_enough_for_reproduce(locked):
    from test_threats_store import without_power

    record = {
        "manifest": str(locked.manifest),
        "manifest_text": locked.manifest.read_text(),
        "lock": locked.locked(),
    }
    for place, _, _ in os.walk(locked.store):
        Path(place).chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", RESTORE, json.dumps(record)],
        capture_output=True,
        text=True,
        cwd=locked.project,
        preexec_fn=without_power,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "fetched: []\n"), done.stderr
    again = json.loads((locked.project / "again/plugins.lock").read_text())
    assert again["plugins"].keys() == {"lab", "rx"}


def test_a_complete_store_that_may_not_be_written_is_enough_for_sync(locked):
    from test_threats_store import cli

    shutil.rmtree(locked.store / "roots")
    for place, _, _ in os.walk(locked.store):
        Path(place).chmod(0o555)
    done = cli(locked, "plugins", "sync", "--no-probe")
    assert (done.returncode, done.stdout) == (0, "fetched: nothing\n"), done.stderr
    open_up(locked.store)
    shutil.rmtree(locked.tree())
    for place in (locked.store, *(one for one in locked.store.iterdir() if one.is_dir())):
        place.chmod(0o555)
    done = cli(locked, "plugins", "sync", "--no-probe")
    assert done.returncode == 4
    assert "E-DISK" in done.stderr
