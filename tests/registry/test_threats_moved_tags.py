"""T9 to T14, T46: tags that move or vanish, and repositories that are gone or damaged."""

import os
import shutil

import pytest
from registry_world import ORIGIN, open_up, plugin_files

from specloom_registry import resolve_plugins

URL = f"{ORIGIN}rx.git"


def source(world):
    return world.locked()["plugins"]["rx"]["source"]


def empty_store(world):

    shutil.rmtree(open_up(world.store))


@pytest.fixture
def moved(world):
    """A locked project whose tag was moved since; the commit before and after."""
    repo = world.repo("rx")
    before = repo.git("rev-parse", "HEAD")
    world.wants("rx@v1.0.0")
    world.run("lock")
    after = repo.commit(plugin_files("rx", says="two"))
    repo.tag("v1.0.0", force=True)
    return repo, before, after


def test_a_moved_tag_changes_nothing_while_the_store_has_the_tree(world, moved):
    _, before, after = moved
    text = world.lock.read_bytes()
    assert resolve_plugins(world.manifest) == {"rx": "acme_rx"}
    assert world.run("sync").stderr == ""
    assert world.run("lock").stdout == "nothing changed\n"
    done = world.run("lock", "--fresh", code=3)
    assert done.error.what == (
        f"E-TAG-MOVED plugin 'rx': tag 'v1.0.0': locked {before[:12]}, remote now {after[:12]}; "
        "nothing was changed"
    )
    assert done.error.fix == (
        "find out who moved it, then accept it: specloom plugins update rx --accept-moved-tag"
    )
    assert world.lock.read_bytes() == text
    done = world.run("verify", "--remote", code=1)
    assert done.stdout == (
        f"rx 1.0.0: W-TAG-MOVED tag v1.0.0: locked {before[:12]}, remote now {after[:12]}\n"
    )
    assert "W-TAG-MOVED" in world.run("outdated").stdout


def test_with_an_empty_store_the_locked_commit_is_used(world, moved):
    _, before, after = moved
    empty_store(world)
    done = world.run("sync")
    assert done.stderr == (
        f"warning: W-TAG-MOVED rx v1.0.0: locked {before[:12]}, remote now {after[:12]}; using "
        "the locked commit. To accept it: specloom plugins update rx --accept-moved-tag\n"
    )
    assert "'one'" in (world.tree() / "acme_rx/__init__.py").read_text()


def test_a_moved_tag_whose_commit_is_gone_is_an_error(world, moved):
    repo, before, _ = moved
    repo.git("checkout", "--quiet", "--orphan", "new")
    repo.commit()
    repo.git("tag", "-f", "v1.0.0")
    repo.git("branch", "-D", "main")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")
    now = repo.git("rev-parse", "HEAD")
    text = world.lock.read_bytes()
    empty_store(world)
    done = world.run("sync", code=3)
    assert done.error.what == (
        f"E-TAG-MOVED plugin 'rx': tag 'v1.0.0': locked {before[:12]}, remote now {now[:12]}, and "
        "the locked commit is not available; nothing was changed"
    )
    assert done.error.fix == (
        "sync from a mirror or a vendor folder, or accept what is there now: "
        "specloom plugins update rx --accept-moved-tag"
    )
    assert (world.trees(), world.leftovers(), world.lock.read_bytes()) == ([], [], text)
    world.run("update", "rx", "--accept-moved-tag")
    assert source(world)["commit"] == now


def test_a_moved_tag_is_taken_when_the_user_accepts_it(world, moved):
    _, before, after = moved
    done = world.run("update", "rx", "--accept-moved-tag")
    assert done.stdout == (
        f"rx: 1.0.0 (v1.0.0 {before[:12]}) -> 1.0.0 (v1.0.0 {after[:12]})\n{world.lock}\n"
    )


def test_a_tag_made_again_on_its_commit_is_a_note(world):
    repo = world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    repo.tag("v1.0.0", annotated=True, force=True)
    empty_store(world)
    done = world.run("sync")
    assert done.stderr == "warning: W-TAG-AGAIN rx v1.0.0: was created again on the same commit\n"


def test_a_deleted_tag_still_gives_its_commit(world):
    repo = world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    repo.git("tag", "-d", "v1.0.0")
    assert world.run("sync").stderr == ""
    empty_store(world)
    assert "rx v1.0.0: it is no longer there; using the locked commit" in world.run("sync").stderr
    assert world.trees()


def test_a_repository_that_is_gone_is_reported_place_by_place(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    shutil.rmtree(world.origins)
    assert world.run("sync").stdout == "fetched: nothing\n"
    assert resolve_plugins(world.manifest)
    empty_store(world)
    done = world.run("sync", code=4)
    first, *places = done.error.what.splitlines()
    assert first == "E-UNAVAILABLE plugin 'rx': v1.0.0 cannot be fetched"
    assert places[0].startswith(
        f"    file://{world.origins}/rx.git: fatal: '{world.origins}/rx.git' "
    )
    assert places[1].startswith(f"    {URL}: fatal: unable to access '{URL}/': Failed to connect")
    assert (done.error.fix, len(places)) == ("check the network", 2)


def test_a_second_mirror_stands_in_for_the_first(world):
    world.repo("rx")
    world.write(
        f"rx: {{git: {URL}, tag: v1.0.0}}",
        head=f'mirrors: [{{match: "{ORIGIN}", use: "file:///nowhere/"}}, '
        f'{{match: "{ORIGIN}", use: "file://{world.origins}/"}}]\n',
        mirrored=False,
    )
    world.run("lock")
    assert world.trees()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_of_another_user_is_reported_in_the_user_s_words(world, monkeypatch):
    repo = world.repo("rx")
    for one in (repo.path, *repo.path.rglob("*")):
        os.chown(one, 65534, 65534)
    monkeypatch.delenv("SUDO_UID", raising=False)
    world.wants("rx@v1.0.0")
    done = world.run("lock", code=4)
    assert "detected dubious ownership in repository" in done.error.what
    assert done.error.fix == ("trust it: git config --global --add safe.directory <the repository>")


def test_force_pushed_branches_do_not_matter(world):
    repo = world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    repo.git("checkout", "--quiet", "--orphan", "new")
    repo.commit(plugin_files("rx", says="forced"))
    repo.git("branch", "-M", "new", "main")
    empty_store(world)
    assert world.run("sync").stderr == ""


def test_other_bytes_under_the_locked_commit_are_refused(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    text = world.lock.read_text()
    tree = world.locked()["plugins"]["rx"]["tree"]
    from specloom_registry.model import lockfile

    lock = lockfile.read(world.lock)
    lock.plugins["rx"]["tree"] = "h1-" + "0" * 64
    world.lock.write_text(lock.text())
    empty_store(world)
    done = world.run("sync", code=3)
    commit = source(world)["commit"]
    assert done.error.what == (
        f"E-HASH plugin 'rx': commit {commit[:12]} holds {tree[:15]}, but h1-000000000000 is "
        "locked; nothing was changed"
    )
    assert (world.trees(), world.leftovers()) == ([], [])
    world.lock.write_text(text)
    world.run("sync")


def test_a_damaged_repository_is_reported(world):
    repo = world.repo("rx")
    blob = repo.git("rev-parse", "HEAD:pyproject.toml")
    file = repo.path / ".git/objects" / blob[:2] / blob[2:]
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:10])
    world.wants("rx@v1.0.0")
    done = world.run("lock", code=4)
    assert done.error.what.startswith("E-UNAVAILABLE plugin 'rx': v1.0.0 cannot be fetched\n")
    assert (world.trees(), world.leftovers()) == ([], [])
