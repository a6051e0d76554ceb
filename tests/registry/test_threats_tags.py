"""T6 to T8, T29, T43: what tags may be, and what they say, in real repositories."""

import shutil

import pytest
from registry_world import ORIGIN, Repo, open_up, plugin_files

URL = f"{ORIGIN}rx.git"


def source(world):
    return world.locked()["plugins"]["rx"]["source"]


def empty_store(world):

    shutil.rmtree(open_up(world.store))


def test_a_missing_tag_is_reported_with_those_there(world):
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
def test_branches_named_like_the_tag_or_its_commit_are_never_fetched(world, annotated):
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
            "name the tag of the version you mean, or request a new tag from its author",
        ),
        (
            "rx-v2",
            "1.0",
            "E-VERSION plugin 'rx': tag 'rx-v2' says 2, but its pyproject.toml says 1.0",
            "name the tag of the version you mean, or request a new tag from its author",
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


def test_an_older_tag_is_never_taken_without_the_option(world):
    repo = world.repo("rx", version="2.0.0")
    repo.commit(plugin_files("rx", "1.0.0"), tag="v1.0.0")
    world.wants("rx@v2.0.0")
    world.run("lock")
    repo.git("tag", "-d", "v2.0.0")
    assert world.run("update").stdout == "nothing changed\n"
    done = world.run("update", "rx", "--to", "v1.0.0", code=2)
    assert done.error.what == "E-DOWNGRADE plugin 'rx': v1.0.0 is older than v2.0.0"
    assert done.error.fix == "allow it with --downgrade, if you mean it"
    world.run("update", "rx", "--to", "v1.0.0", "--downgrade")
    assert source(world)["tag"] == "v1.0.0"
