"""What a run's record says of its plugins."""

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
    graph = SimpleNamespace(types={"a": "rx.Twice"})
    run = SimpleNamespace(
        document=document,
        graph=graph,
        phases=[],
        record={},
        metadata={},
        plugins=plugins,
        fold=True,
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


def changed(folder):
    return list(git_status.WorkingCopies().status(folder).changed)


def commit(folder):
    return git_status.WorkingCopies().status(folder).commit


def test_the_commit_is_that_of_git(repo, tmp_path):
    head = repo.git("rev-parse", "HEAD")
    assert commit(repo.path / "a") == head
    repo.git("pack-refs", "--all")
    assert commit(repo.path) == head
    repo.git("worktree", "add", "--quiet", str(tmp_path / "other"), "-b", "other")
    assert commit(tmp_path / "other") == head
    assert changed(tmp_path / "other") == []
    repo.git("checkout", "--quiet", "--detach")
    assert commit(repo.path) == head
    assert git_status.WorkingCopies().status(tmp_path) is None


def test_a_repository_without_a_commit_has_none(tmp_path):
    repo = Repo(tmp_path / "new")
    assert git_status.WorkingCopies().status(repo.path) == git_status.GitStatus("", ())


def test_changes_are_those_of_git(repo):
    assert changed(repo.path) == []
    (repo.path / "b").write_text("3")
    assert changed(repo.path) == []
    (repo.path / "new").write_text("3")
    assert changed(repo.path) == []
    (repo.path / "b").write_text("4")
    (repo.path / "a/two").unlink()
    assert changed(repo.path) == ["a/two", "b"]
    assert changed(repo.path / "a") == ["a/two"]
    repo.git("update-index", "--index-version", "4")
    assert changed(repo.path) == ["a/two", "b"]
    repo.git("add", "--all")
    assert changed(repo.path) == ["a/two", "b", "new"]


def test_names_with_blanks_and_links_are_read(repo):
    repo.commit({"a b/\u00fc c": "1"})
    (repo.path / "link").symlink_to("b")
    repo.commit()
    assert changed(repo.path) == []
    (repo.path / "a b/\u00fc c").write_text("2")
    assert changed(repo.path) == ["a b/\u00fc c"]


def test_unmerged_files_are_changed(repo):
    repo.git("checkout", "--quiet", "-b", "other")
    repo.commit({"b": "theirs"})
    repo.git("checkout", "--quiet", "main")
    repo.commit({"b": "ours"})
    with pytest.raises(AssertionError):
        repo.git("merge", "other")
    assert changed(repo.path) == ["b"]


def test_git_runs_no_program_of_the_repository(repo, tmp_path):
    repo.git("config", "core.fsmonitor", f"touch {tmp_path / 'ran'}; false")
    before = (repo.path / ".git/index").read_bytes()
    (repo.path / "b").touch()
    assert changed(repo.path) == []
    assert not (tmp_path / "ran").exists()
    assert (repo.path / ".git/index").read_bytes() == before


def test_each_working_copy_is_read_once(repo, monkeypatch):
    copies = git_status.WorkingCopies()
    assert copies.status(repo.path).changed == ()
    (repo.path / "b").write_text("4")
    assert copies.status(repo.path / "a").changed == ()
    assert changed(repo.path) == ["b"]
    monkeypatch.setenv("PATH", "/nowhere")
    assert git_status.WorkingCopies().status(repo.path) is None
