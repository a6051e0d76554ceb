"""T6 to T14, T29, T43: what tags may do, in real repositories."""

import os
import shutil

import pytest
from registry_world import ORIGIN, Repo, open_up, plugin_files

from specloom_registry import resolve_plugins

URL = f"{ORIGIN}rx.git"


def source(world):
    return world.locked()["plugins"]["rx"]["source"]


def empty_store(world):

    shutil.rmtree(open_up(world.store))


def test_a_missing_tag_is_told_with_those_there(world):
    repo = world.repo("rx", version="0.2.9")
    repo.tag("v0.2.8")
    repo.tag("v0.2.10")
    repo.git("branch", "v0.3.0")
    world.wants("rx@v0.3.0")
    done = world.run("lock", code=2)
    assert done.error.what == (
        f"E-TAG-MISSING plugin 'rx': no tag 'v0.3.0' at {repo.url}; "
        "tags there: v0.2.10, v0.2.9, v0.2.8"
    )
    assert done.error.where == f"{world.manifest}:3"
    assert done.error.fix == "did you mean 'v0.2.10'?"
    assert not world.lock.exists()


def test_a_repository_without_tags_says_so(world):
    repo = world.repo("rx")
    repo.git("tag", "-d", "v1.0.0")
    world.wants("rx@v1.0.0")
    done = world.run("lock", code=2)
    assert done.error.what == (
        f"E-TAG-MISSING plugin 'rx': no tag 'v1.0.0' at {repo.url}; it has no tags"
    )
    assert done.error.fix == "name one of them; branches are not accepted"


@pytest.mark.parametrize("annotated", [False, True])
def test_branches_named_like_the_tag_or_its_commit_are_never_asked(world, annotated):
    repo = world.repo("rx")
    repo.tag("v1.0.0", annotated=annotated, force=True)
    tagged = repo.git("rev-parse", "v1.0.0^{commit}")
    repo.commit(plugin_files("rx", "1.0.0", says="branch"))
    for name in ("v1.0.0", tagged):
        repo.git("update-ref", f"refs/heads/{name}", "HEAD")
    world.wants("rx@v1.0.0")
    world.run("lock")
    assert source(world)["commit"] == tagged
    assert (source(world)["tag_object"] == tagged) is not annotated
    assert "'one'" in (world.tree() / "acme_rx/__init__.py").read_text()


def test_a_tag_named_like_a_commit_is_a_tag(world):
    repo = world.repo("rx")
    first = repo.git("rev-parse", "HEAD")
    second = repo.commit(plugin_files("rx", says="two"), tag=first)
    world.wants(f"rx@{first}")
    world.run("lock")
    assert source(world)["commit"] == second


def test_a_tag_of_a_tag_leads_to_its_commit(world):
    repo = world.repo("rx")
    repo.tag("inner", annotated=True)
    repo.tag("v1.0.0", annotated=True, force=True, at="inner")
    world.wants("rx@v1.0.0")
    world.run("lock")
    assert source(world)["commit"] == repo.git("rev-parse", "HEAD")
    assert source(world)["tag_object"] == repo.git("rev-parse", "refs/tags/v1.0.0")


@pytest.mark.parametrize(
    ("what", "kind"), [("HEAD^{tree}", "tree"), ("HEAD:pyproject.toml", "blob")]
)
@pytest.mark.parametrize("annotated", [False, True])
def test_a_tag_of_something_else_is_refused(world, what, kind, annotated):
    world.repo("rx").tag("v2", annotated=annotated, at=what)
    world.wants("rx@v2")
    done = world.run("lock", code=2)
    assert done.error.what == (
        f"E-TAG-KIND plugin 'rx': tag 'v2' leads to a {kind}, not to a commit"
    )
    assert done.error.fix == "name a tag of a commit"
    assert (world.trees(), world.leftovers()) == ([], [])


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
        "the locked commit cannot be had; nothing was changed"
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
    assert done.stderr == "warning: W-TAG-AGAIN rx v1.0.0: made again on the same commit\n"


def test_a_deleted_tag_still_gives_its_commit(world):
    repo = world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    repo.git("tag", "-d", "v1.0.0")
    assert world.run("sync").stderr == ""
    empty_store(world)
    assert "rx v1.0.0: it is no longer there; using the locked commit" in world.run("sync").stderr
    assert world.trees()


def test_a_repository_that_is_gone_is_told_place_by_place(world):
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
def test_a_repository_of_somebody_else_is_told_in_the_user_s_words(world, monkeypatch):
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
    from specloom_registry import lockfile

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


def test_a_damaged_repository_is_told(world):
    repo = world.repo("rx")
    blob = repo.git("rev-parse", "HEAD:pyproject.toml")
    file = repo.path / ".git/objects" / blob[:2] / blob[2:]
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:10])
    world.wants("rx@v1.0.0")
    done = world.run("lock", code=4)
    assert done.error.what.startswith("E-UNAVAILABLE plugin 'rx': v1.0.0 cannot be fetched\n")
    assert (world.trees(), world.leftovers()) == ([], [])


def test_a_commit_can_be_pinned_too(world):
    commit = world.repo("rx").git("rev-parse", "HEAD")
    line = f"rx: {{git: {URL}, tag: v1.0.0, commit: {{}}}}"
    world.write(line.replace("{}", "0" * 39 + "a"))
    done = world.run("lock", code=3)
    assert done.error.what == (
        f"E-COMMIT plugin 'rx': tag 'v1.0.0' leads to commit {commit}, not to {'0' * 39}a"
    )
    assert done.error.fix == "correct 'commit', or find out who moved the tag"
    world.write(line.replace("{}", commit))
    world.run("lock")


@pytest.mark.parametrize(
    ("tag", "version", "what", "fix"),
    [
        (
            "v1.2.0",
            "1.1.9",
            "E-VERSION plugin 'rx': tag 'v1.2.0' says 1.2.0, but its pyproject.toml says 1.1.9",
            "name the tag of the version you mean, or ask its author to tag again",
        ),
        (
            "rx-v2",
            "1.0",
            "E-VERSION plugin 'rx': tag 'rx-v2' says 2, but its pyproject.toml says 1.0",
            "name the tag of the version you mean, or ask its author to tag again",
        ),
        (
            "v1",
            "",
            "E-VERSION plugin 'rx': at tag 'v1' its pyproject.toml has no version",
            "write version under [project] there: it is read, never computed",
        ),
    ],
)
def test_a_tag_must_say_the_version(world, tag, version, what, fix):
    repo = Repo(world.origins / "rx.git")
    repo.commit(plugin_files("rx", version), tag=tag)
    world.wants(f"rx@{tag}")
    done = world.run("lock", code=2)
    assert (done.error.what, done.error.where) == (what, f"{world.manifest}:3")
    assert done.error.fix == fix
    assert not world.lock.exists()


@pytest.mark.parametrize("tag", ["v1.0", "1.0.0", "release/one"])
def test_versions_are_compared_and_other_tags_say_none(world, tag):
    repo = world.repo("rx")
    repo.tag(tag)
    world.wants(f"rx@{tag}")
    world.run("lock")


def test_a_plugin_in_a_folder_of_a_large_repository(world):
    repo = Repo(world.origins / "all.git")
    repo.commit({"README.md": "all"})
    repo.commit(plugin_files("rx"), under="plugins/rx")
    repo.commit(plugin_files("lab"), under="plugins/lab", tag="rx-v1.0.0")
    line = "rx: {{git: {}all.git, tag: rx-v1.0.0, subdir: {}, tag-pattern: 'rx-v{{version}}'}}"
    world.write(line.format(ORIGIN, "plugins/rx"))
    world.run("lock")
    assert sorted(one.name for one in world.tree().iterdir()) == ["acme_rx", "pyproject.toml"]
    world.write(line.format(ORIGIN, "plugins/nowhere"))
    done = world.run("lock", code=2)
    assert done.error.what == (
        "E-SUBDIR plugin 'rx': tag 'rx-v1.0.0' has no folder 'plugins/nowhere'"
    )
    repo.tag("v9")
    world.write(line.format(ORIGIN, "plugins/rx").replace("tag: rx-v1.0.0", "tag: v9"))
    done = world.run("lock", code=2)
    assert done.error.what == "E-TAG plugin 'rx': tag 'v9' is not of the form 'rx-v{version}'"


def test_an_older_tag_is_never_taken_unasked(world):
    repo = world.repo("rx", version="2.0.0")
    repo.commit(plugin_files("rx", "1.0.0"), tag="v1.0.0")
    world.wants("rx@v2.0.0")
    world.run("lock")
    repo.git("tag", "-d", "v2.0.0")
    assert world.run("update").stdout == "nothing changed\n"
    done = world.run("update", "rx", "--to", "v1.0.0", code=2)
    assert done.error.what == "E-DOWNGRADE plugin 'rx': v1.0.0 is older than v2.0.0"
    assert done.error.fix == "say so with --downgrade, if you mean it"
    world.run("update", "rx", "--to", "v1.0.0", "--downgrade")
    assert source(world)["tag"] == "v1.0.0"
