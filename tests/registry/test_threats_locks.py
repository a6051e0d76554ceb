"""T27, T28, T37, T38: what is wrong with a lock, and what has changed since it was made."""

import json
import warnings

import pytest
from registry_world import ORIGIN, plugin_files

from specloom import SpecloomError
from specloom_registry import resolve_plugins
from specloom_registry.base.faults import RegistryWarning
from specloom_registry.importing import activate
from specloom_registry.model.metadata import digest


@pytest.fixture
def locked(world):
    world.repo("rx")
    world.repo("lab")
    world.wants("rx@v1.0.0")
    world.run("lock")
    return world


def refused(world, what, where, fix, code):
    with pytest.raises(SpecloomError) as caught:
        resolve_plugins(world.manifest)
    found = caught.value
    assert (found.what, found.where, found.fix, found.exit_code) == (what, where, fix, code)


AGAIN = "run: specloom plugins lock"


def test_conflict_markers_are_found_and_fixed_by_locking_again(locked):
    good = locked.lock.read_text()
    lines = good.splitlines(keepends=True)
    both = ["<<<<<<< ours\n", lines[3], "=======\n", lines[3], ">>>>>>> theirs\n"]
    locked.lock.write_text("".join([*lines[:3], *both, *lines[4:]]))
    fix = f"resolve the conflict with either side, then {AGAIN}"
    refused(locked, "E-LOCK has conflict markers", f"{locked.lock}:4", fix, 2)
    locked.run("lock")
    assert locked.lock.read_text() == good


def test_a_lock_changed_by_hand_is_reported(locked):
    text = locked.lock.read_text()
    locked.lock.write_text(text.replace('"1.0.0"', '"1.0.1"'))
    what = "E-LOCK was changed by hand: its digest is not that of its contents"
    refused(locked, what, str(locked.lock), f"restore it, or {AGAIN}", 3)


def test_a_lock_cut_short_is_reported(locked):
    locked.lock.write_text(locked.lock.read_text()[:80])
    what = "E-LOCK is not JSON: Unterminated string starting at"
    refused(locked, what, f"{locked.lock}:2", f"restore it, or {AGAIN}", 2)


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": "1"}'])
def test_another_file_is_no_lock(locked, text):
    locked.lock.write_text(text)
    refused(locked, "E-LOCK is not a lock file", str(locked.lock), AGAIN, 2)


def test_a_lock_of_a_newer_specloom_is_reported(locked):
    locked.lock.write_text('{"schema": 2}')
    what = "E-LOCK was written by a newer specloom (schema 2, this one reads 1)"
    refused(locked, what, str(locked.lock), "upgrade specloom", 2)


def test_fields_that_are_not_known_yet_do_no_harm(locked):
    value = locked.locked()
    del value["digest"]
    value["plugins"]["rx"]["colour"] = "red"
    locked.lock.write_text(json.dumps({**value, "digest": digest(value)}))
    assert resolve_plugins(locked.manifest) == {"rx": "acme_rx"}
    locked.run("lock")
    assert locked.locked()["plugins"]["rx"]["colour"] == "red"


def test_no_lock_at_all_is_reported_for_plugins_from_git(locked):
    locked.lock.unlink()
    what = "E-LOCK plugin 'rx' comes from Git, but there is no plugins.lock"
    refused(locked, what, f"{locked.manifest}:3", AGAIN, 2)
    assert locked.run("sync", code=2).error.what == f"E-LOCK {locked.lock} is missing"


STALE = [
    (("rx@v1.1.0",), "plugin 'rx': its tag is 'v1.1.0', but 'v1.0.0' in plugins.lock", ":3"),
    (("rx@v1.0.0", "lab@v1.0.0"), "plugin 'lab' is not in plugins.lock", ":4"),
    ((), "plugin 'rx' is in plugins.lock alone", ""),
]


@pytest.mark.parametrize(("wanted", "what", "line"), STALE)
def test_a_stale_lock_is_reported_by_plugin_and_field(locked, wanted, what, line):
    resolve_plugins(locked.manifest)
    locked.wants(*wanted)
    where = f"{locked.manifest}{line}" if line else str(locked.lock)
    refused(locked, f"E-LOCK-STALE {what}", where, AGAIN, 2)
    assert locked.run("sync", code=2).error.what == f"E-LOCK-STALE {what}"
    assert locked.run("verify", code=2).error.what == f"E-LOCK-STALE {what}"


def test_each_change_is_reported(locked):
    url = f"{ORIGIN}rx.git"
    locked.write(f"rx: {{git: {url}, tag: v2.0.0, subdir: a}}\nlab: {{git: {url}, tag: v1.0.0}}")
    with pytest.raises(SpecloomError) as caught:
        resolve_plugins(locked.manifest)
    assert [error.what for error in caught.value.errors] == [
        "E-LOCK-STALE plugin 'rx': its subdir is 'a', but None in plugins.lock",
        "E-LOCK-STALE plugin 'rx': its tag is 'v2.0.0', but 'v1.0.0' in plugins.lock",
        "E-LOCK-STALE plugin 'lab' is not in plugins.lock",
    ]


def test_comments_do_not_make_a_lock_stale(locked):
    locked.manifest.write_text("# new\n" + locked.manifest.read_text())
    assert resolve_plugins(locked.manifest)


def test_lock_check_answers_and_changes_nothing(locked):
    before = locked.lock.read_bytes()
    assert locked.run("lock", "--check").exit_code == 0
    locked.wants("rx@v1.0.0", "lab@v1.0.0")
    done = locked.run("lock", "--check", code=1)
    assert done.stderr.endswith(f"\n{locked.lock} is out of date\n  fix: {AGAIN}\n")
    assert locked.lock.read_bytes() == before


@pytest.fixture
def local(world):
    """A project with a plugin in a folder outside, locked."""
    folder = world.root / "lab"
    for name, text in plugin_files("lab").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    world.write("lab: {path: ../lab}")
    world.run("lock")
    return world


def test_an_edited_local_plugin_runs_with_a_warning_and_frozen_it_does_not(local, monkeypatch):
    file = local.root / "lab/acme_lab/__init__.py"
    before = local.locked()["plugins"]["lab"]["tree"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolve_plugins(local.manifest)
        __import__("acme_lab")
    file.write_text(file.read_text().replace("'one'", "'another'"))
    del __import__("sys").modules["acme_lab"]
    resolve_plugins(local.manifest)
    with pytest.warns(RegistryWarning) as caught:
        assert (
            __import__("acme_lab").SAYS == "another"
        )  # of another length, so that no compiled one is taken
    (warning,) = caught
    message = str(warning.message)
    after = message.partition("-> ")[2][:11]
    assert message == (
        f"W-LOCAL-CHANGED lab: {before[:11]}.. -> {after}.. (edited after it was locked)"
    )
    assert (warning.filename, warning.lineno) == (str(local.manifest), 3)
    assert activate.active[local.manifest.resolve()].notices == [message]
    monkeypatch.setenv("SPECLOOM_FROZEN", "1")
    del __import__("sys").modules["acme_lab"]
    with pytest.raises(SpecloomError) as caught:
        __import__("acme_lab")
    assert caught.value.what == f"E-LOCAL-CHANGED lab: {before[:11]}.. -> {after}.."
    assert (caught.value.fix, caught.value.exit_code) == (AGAIN, 3)
    assert local.run("sync", "--frozen", code=3).error.what.startswith("E-LOCAL-CHANGED lab: ")
    assert "changed after it was locked" in local.run("verify", code=1).stdout
    local.run("lock")
    assert local.run("sync", "--frozen").exit_code == 0


def test_a_folder_has_the_hash_of_the_tag_it_was_checked_out_from(local):
    repo = local.repo("rx")
    local.wants("rx@v1.0.0")
    local.run("lock")
    by_tag = local.locked()["plugins"]["rx"]["tree"]
    (repo.path / "acme_rx/__pycache__").mkdir()
    (repo.path / "acme_rx/__pycache__/x.pyc").write_bytes(b"x")
    local.write("rx: {path: ../origins/rx.git}")
    local.run("lock")
    assert local.locked()["plugins"]["rx"]["tree"] == by_tag


def test_a_plugin_of_the_same_repository_is_locked_without_a_hash(world):
    (world.project / ".git").mkdir()
    for name, text in plugin_files("lab").items():
        file = world.project / "plugins/lab" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    world.write("lab: {path: plugins/lab}", mirrored=False)
    world.run("lock")
    assert world.locked()["plugins"]["lab"] == {
        "package": {"name": "specloom-lab", "version": "1.0.0"},
        "source": {"path": "plugins/lab"},
    }
    assert resolve_plugins(world.manifest) == {"lab": "acme_lab"}
    file = world.project / "plugins/lab/pyproject.toml"
    file.write_text(file.read_text().replace("1.0.0", "1.1.0"))
    what = "E-LOCK-STALE plugin 'lab': its version is '1.1.0', but '1.0.0' in plugins.lock"
    refused(world, what, f"{world.manifest}:3", AGAIN, 2)


def test_a_local_plugin_that_is_gone_is_reported(local):
    (local.root / "lab").rename(local.root / "gone")
    what = (
        f"E-PATH-MISSING plugin 'lab': '../lab' does not exist (resolved from {local.manifest}'s "
        f"folder to {local.root}/lab)"
    )
    fix = "correct the path; it is relative to the manifest's folder"
    refused(local, what, f"{local.manifest}:3", fix, 2)
