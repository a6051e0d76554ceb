"""What a run's record says of its plugins, found without starting Git."""

import shutil
from types import SimpleNamespace

import pytest
from registry_world import Repo, plugin_files

from specloom.plugins import Plugins
from specloom_registry import resolve_plugins
from specloom_registry.model import lockfile
from specloom_registry.packages import environment
from specloom_registry.provenance import git_status
from specloom_registry.provenance.observer import Provenance, origin


def test_a_plugin_from_a_tag_is_recorded_with_all_that_names_it(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    resolve_plugins(world.manifest)
    about = origin(world.manifest, {"rx": ""})
    record = world.locked()["plugins"]["rx"]
    source = {key: record["source"][key] for key in ("git", "tag", "commit")}
    assert about["plugins"] == {
        "rx": {"version": "1.0.0", **source, "tree": record["tree"], "dirty": False}
    }
    assert about["lock"]["digest"] == lockfile.lock_digest(world.lock)
    assert about["lock"] == world.locked()
    assert about["manifest_text"] == world.manifest.read_text()
    assert about["warnings"] == []


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_an_edited_local_plugin_is_recorded_as_dirty(world):
    write(world.root / "lab", plugin_files("lab"))
    world.write("lab: {path: ../lab}")
    world.run("lock")
    resolve_plugins(world.manifest)
    clean = origin(world.manifest, {"lab": ""})["plugins"]["lab"]
    assert clean == {
        "version": "1.0.0",
        "path": "../lab",
        "commit": "",
        "dirty": False,
        "tree": world.locked()["plugins"]["lab"]["tree"],
    }
    write(world.root / "lab", {"acme_lab/more.py": ""})
    assert origin(world.manifest, {"lab": ""})["plugins"]["lab"]["dirty"] is True


def test_a_plugin_of_the_own_repository_is_dirty_when_git_would_say_so(world):
    shutil.rmtree(world.project)
    repo = Repo(world.project)
    world.write("lab: {path: lab}", mirrored=False)
    repo.write(plugin_files("lab"), under="lab")
    world.run("lock")
    head = repo.commit()
    resolve_plugins(world.manifest)
    found = origin(world.manifest, {"lab": ""})["plugins"]["lab"]
    assert (found["commit"], found["dirty"]) == (head, False)
    write(world.project / "lab", {"acme_lab/nodes.py": "x = 1\n"})
    assert origin(world.manifest, {"lab": ""})["plugins"]["lab"]["dirty"] is True


def test_the_observer_completes_the_record(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    plugins = Plugins(resolve_plugins(world.manifest), world.manifest)
    document = SimpleNamespace(value={"data": {"type": "Synthetic"}})
    graph = SimpleNamespace(types={"a": "rx.Twice"}, document=document)
    run = SimpleNamespace(
        graph=graph, phases=[], record={}, metadata={}, plugins=plugins, fold=True
    )
    Provenance().run_started(run)
    assert run.record["plugins"]["rx"]["tag"] == "v1.0.0"
    assert run.record["packages"]["click"] == environment.installed()["click"]
    assert run.record["manifest"] == str(world.manifest)


@pytest.fixture
def repo(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.commit({"a/one": "1", "a/two": "2", "b": "3"})
    return repo


def test_the_commit_is_found_as_git_finds_it(repo, tmp_path):
    head = repo.git("rev-parse", "HEAD")
    assert git_status.commit(repo.path / "a") == head
    repo.git("pack-refs", "--all")
    assert git_status.commit(repo.path) == head
    repo.git("worktree", "add", "--quiet", str(tmp_path / "other"), "-b", "other")
    assert git_status.commit(tmp_path / "other") == head
    assert git_status.changed(tmp_path / "other") == []
    repo.git("checkout", "--quiet", "--detach")
    assert git_status.commit(repo.path) == head
    assert git_status.commit(tmp_path) == ""
    assert git_status.changed(tmp_path) is None


def test_changes_are_found_as_git_finds_them(repo):
    assert git_status.changed(repo.path) == []
    (repo.path / "b").write_text("3")
    assert git_status.changed(repo.path) == []
    (repo.path / "b").write_text("4")
    (repo.path / "a/two").unlink()
    assert git_status.changed(repo.path) == ["a/two", "b"]
    assert git_status.changed(repo.path / "a") == ["a/two"]
    repo.git("update-index", "--index-version", "4")
    assert git_status.changed(repo.path) is None
