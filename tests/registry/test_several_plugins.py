"""Several plugins in one command, other sources of plugins, and commands at the same time."""

import shutil
import subprocess
import sys

import pytest
from registry_world import ORIGIN, Repo, open_up, plugin_files

from specloom_registry.fetch import git
from specloom_registry.model import edit
from specloom_registry.project.additions import parse_plugin

NEEDS_BASE = {"needs": ["specloom-base>=1,<2"]}
NEEDS_NEW_BASE = {"version": "2.0.0", "needs": ["specloom-base>=2,<3"]}


def add_version(world, name, **about):
    files = plugin_files(name, **about)
    world.repo_of(name).commit(files, tag=f"v{about['version']}")


@pytest.fixture
def pair(world):
    """The plugin rx needs the plugin base; of each there is a version 2, which need each other."""
    world.repo("base")
    world.repo("rx", **NEEDS_BASE)
    add_version(world, "base", version="2.0.0")
    add_version(world, "rx", **NEEDS_NEW_BASE)
    return world


@pytest.mark.parametrize(
    ("text", "name", "source"),
    [
        ("rx", "rx", {}),
        ("rx@v1.0.0", "rx", {"tag": "v1.0.0"}),
        ("rx=../rx", "rx", {"path": "../rx"}),
        ("rx=https://h/rx.git", "rx", {"git": "https://h/rx.git"}),
        ("rx=https://h/rx.git@v1", "rx", {"git": "https://h/rx.git", "tag": "v1"}),
        ("rx=git@h:rx.git", "rx", {"git": "git@h:rx.git"}),
        ("rx=git@h:rx.git@v1", "rx", {"git": "git@h:rx.git", "tag": "v1"}),
        ("rx=ssh://git@h/rx.git", "rx", {"git": "ssh://git@h/rx.git"}),
        ("rx=ssh://git@h/rx.git@r/v1", "rx", {"git": "ssh://git@h/rx.git", "tag": "r/v1"}),
    ],
)
def test_a_plugin_is_named_with_place_and_tag(text, name, source):
    assert parse_plugin(text) == (name, source)


def test_two_plugins_are_added_together(pair):
    pair.write("")
    done = pair.run("add", f"rx={ORIGIN}rx.git@v1.0.0", code=2)
    assert "E-REQUIRES" in str(done.error)
    pair.run("add", f"rx={ORIGIN}rx.git@v1.0.0", f"base={ORIGIN}base.git@v1.0.0")
    assert list(pair.locked()["plugins"]) == ["base", "rx"]
    assert f"  rx: {{git: {ORIGIN}rx.git, tag: v1.0.0}}" in pair.manifest.read_text()


def test_several_plugins_of_one_repository_are_added_together(world):
    repo = Repo(world.origins / "all.git")
    for name in ("rx", "lab"):
        repo.commit(plugin_files(name), under=f"plugins/{name}", tag=f"{name}-v1.0.0")
    world.write("")
    world.run(
        *("add", "rx", "lab", "--git", f"{ORIGIN}all.git"),
        *("--subdir", "plugins/{name}", "--tag-pattern", "{name}-v{version}"),
    )
    sources = {name: one["source"] for name, one in world.locked()["plugins"].items()}
    assert {name: one["tag"] for name, one in sources.items()} == {
        "lab": "lab-v1.0.0",
        "rx": "rx-v1.0.0",
    }


def test_plugins_that_need_each_other_are_updated_and_downgraded_together(pair):
    pair.wants("rx@v1.0.0", "base@v1.0.0")
    pair.run("lock")
    done = pair.run("update", "rx@v2.0.0", code=2)
    assert "base" in str(done.error)
    pair.run("update", "rx@v2.0.0", "base@v2.0.0")
    versions = {n: one["package"]["version"] for n, one in pair.locked()["plugins"].items()}
    assert versions == {"rx": "2.0.0", "base": "2.0.0"}
    done = pair.run("update", "rx@v1.0.0", "base@v1.0.0", code=2)
    assert done.error.what == "E-DOWNGRADE plugin 'rx': v1.0.0 is older than v2.0.0"
    pair.run("update", "rx@v1.0.0", "base@v1.0.0", "--downgrade")
    versions = {n: one["package"]["version"] for n, one in pair.locked()["plugins"].items()}
    assert versions == {"rx": "1.0.0", "base": "1.0.0"}


def test_a_plugin_is_moved_to_another_repository_folder_and_back_to_a_folder(world):
    world.repo("rx")
    repo = Repo(world.origins / "all.git")
    repo.commit(plugin_files("rx", "1.1.0"), under="plugins/rx", tag="rx-v1.1.0")
    repo.commit(plugin_files("rx", "1.1.0"), under="other/rx", tag="rx-v1.1.0b")
    world.wants("rx@v1.0.0")
    world.run("lock")
    all_git = ("--git", f"{ORIGIN}all.git", "--tag-pattern", "rx-v{version}")
    world.run("change", "rx", *all_git, "--tag", "rx-v1.1.0", "--subdir", "plugins/rx")
    assert world.locked()["plugins"]["rx"]["source"]["subdir"] == "plugins/rx"
    assert world.locked()["plugins"]["rx"]["package"]["version"] == "1.1.0"
    done = world.run("change", "rx", "--subdir", "nowhere", code=2)
    assert "nowhere" in str(done.error)
    one = f"{ORIGIN}rx.git"
    world.run("change", "rx", "--git", one, "--tag", "v1.0.0", "--subdir", "", "--tag-pattern", "")
    assert f"  rx: {{git: {one}, tag: v1.0.0}}\n" in world.manifest.read_text()
    for path, text in plugin_files("rx", "3.0.0").items():
        file = world.root / "lab" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    world.run("change", "rx", "--path", "../lab")
    assert world.locked()["plugins"]["rx"]["source"] == {"path": "../lab"}
    done = world.run("change", "rx", code=2)
    assert "name what changes" in done.output
    done = world.run("change", "rz", "--tag", "v1", code=2)
    assert done.error.what == f"E-NAME {world.manifest} names no plugin 'rz'"


def test_another_source_keeps_comments():
    text = (
        "plugins:\n  # ours\n  rx:\n    git: a  # there\n    # pinned\n    tag: v1\n"
        "  lab: {path: .}\n"
    )
    changed = edit.replace(text, "rx", {"git": "b", "tag": "v1"})
    assert changed == text.replace("git: a", "git: b")
    changed = edit.replace(text, "rx", {"path": "../rx"})
    assert changed == (
        "plugins:\n  # ours\n  # there\n  # pinned\n  rx: {path: ../rx}\n  lab: {path: .}\n"
    )


def test_further_keys_of_a_changed_plugin_stay(world):
    more = '[project.optional-dependencies]\ngpu = ["click"]\n'
    repo = world.repo("rx", more=more)
    commit = repo.git("rev-parse", "HEAD")
    repo.commit(plugin_files("rx", "1.1.0", more=more), tag="v1.1.0")
    git = f"git: {ORIGIN}rx.git"
    further = 'extras: [gpu], x-why: {who: [me, 3], "on": yes}'
    world.write(f"rx: {{{git}, tag: v1.0.0, commit: {commit}, {further}}}")
    world.run("lock")
    done = world.run("change", "rx", "--tag-pattern", "v{version}")
    rewritten = 'extras: ["gpu"], x-why: {"who": ["me", 3], "on": "yes"}'
    pinned = f'tag: v1.0.0, tag-pattern: "v{{version}}", commit: {commit}'
    assert f"  rx: {{{git}, {pinned}, {rewritten}}}\n" in world.manifest.read_text()
    assert "warning" not in done.stderr
    done = world.run("change", "rx", "--tag", "v1.1.0")
    pinned = 'tag: v1.1.0, tag-pattern: "v{version}"'
    assert f"  rx: {{{git}, {pinned}, {rewritten}}}\n" in world.manifest.read_text()
    assert done.stderr == (
        f"warning: the commit {commit[:12]} of rx was removed: it was of the old source\n"
    )
    assert world.locked()["plugins"]["rx"]["package"]["version"] == "1.1.0"
    assert world.locked()["manifest"]["rx"]["extras"] == ["gpu"]


def test_a_tag_is_changed_in_its_line_where_a_plugin_has_further_keys():
    text = "plugins:\n  rx:\n    git: a\n    tag: v1  # old\n    extras: [gpu]\n    x-b: 1\n"
    changed = edit.replace(text, "rx", {"git": "a", "tag": "v2"})
    assert changed == text.replace("tag: v1", "tag: v2")


def test_six_adds_at_the_same_time_lose_nothing(world):
    names = ["base", "one", "two", "three", "four", "five", "six"]
    for name in names:
        world.repo(name)
    world.wants("base@v1.0.0")
    world.run("lock")
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "specloom", "plugins", "add", "--no-probe"),
                f"{name}={ORIGIN}{name}.git@v1.0.0",
            ],
            cwd=world.project,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in names[1:]
    ]
    for process in running:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    assert sorted(world.locked()["plugins"]) == sorted(names)
    assert [name for name in names if f"  {name}: {{git: " in world.manifest.read_text()] == names
    world.run("lock", "--check")


def test_six_adds_that_make_the_first_manifest_lose_nothing(world):
    names = ["one", "two", "three", "four", "five", "six"]
    for name in names:
        world.repo(name)
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "specloom", "plugins", "add", "--no-probe"),
                *("--allow-file", f"{name}=file://{world.origins}/{name}.git@v1.0.0"),
            ],
            cwd=world.project,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in names
    ]
    for process in running:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    assert sorted(world.locked()["plugins"]) == sorted(names)


def test_old_run_folders_do_not_stop_remove(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    folder = world.project / "runs/one"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "pipeline.yaml").write_text("nodes:\n  a: {type: rx.Twice}\n")
    world.run("remove", "rx")
    assert world.manifest.read_text().startswith("schema: 1\nplugins: {}\n")


def test_a_manifest_of_many_plugins_without_a_lock_is_one_message(world):
    world.wants(*(f"p{number}@v1.0.0" for number in range(17)))
    (world.project / "run.yaml").write_text("specloom: 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "specloom", "check", "run.yaml"],
        cwd=world.project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert "E-LOCK plugin 'p0' and 16 more come from Git, but there is no plugins.lock" in (
        done.stderr
    )


@pytest.mark.parametrize("command", [("why", "p1"), ("vendor", "there")])
def test_a_lock_that_lacks_many_plugins_is_one_message(world, command):
    world.write("")
    world.run("lock")
    world.wants(*(f"p{number}@v1.0.0" for number in range(17)))
    done = world.run(*command, code=2)
    assert str(done.error) == (
        f"{world.manifest}:3: E-LOCK-STALE plugin 'p0' and 16 more are not in plugins.lock\n"
        "  fix: run: specloom plugins lock"
    )


def test_why_a_package_is_there_is_one_line(world):
    for name in ("rx", "lab", "base"):
        world.repo(name, needs=["click>=8"])
    world.wants("rx@v1.0.0", "lab@v1.0.0", "base@v1.0.0")
    world.run("lock")
    done = world.run("why", "click")
    assert done.stdout == "package click <- base 1.0.0 (>=8), lab 1.0.0 (>=8), rx 1.0.0 (>=8)\n"


def test_a_folder_that_is_not_there_is_named_with_where_it_was_looked_for(world):
    world.write("rx: {path: ../../plugins/rx}", mirrored=False)
    done = world.run("lock", code=2)
    assert str(done.error) == (
        f"{world.manifest}:3: E-PATH-MISSING plugin 'rx': '../../plugins/rx' does not exist "
        f"(resolved from {world.manifest}'s folder to {world.root.parent}/plugins/rx)\n"
        "  fix: correct the path; it is relative to the manifest's folder"
    )


def test_the_folders_of_several_plugins_that_are_not_there_are_one_error(world):
    """As of a manifest that was copied elsewhere without them."""
    lines = [f"{name}: {{path: ../{name}}}" for name in ("rx", "lab", "base")]
    world.write("\n".join(lines), mirrored=False)
    done = world.run("lock", code=2)
    assert str(done.error) == (
        f"{world.manifest}:3: E-PATH-MISSING plugin 'rx': '../rx' does not exist (resolved from "
        f"{world.manifest}'s folder to {world.root}/rx); nor are the folders of 2 more "
        "plugins there: lab (../lab), base (../base)\n"
        "  fix: copy the folders along, or correct the paths: they are relative to "
        f"{world.project}"
    )


@pytest.fixture
def fetches(monkeypatch):
    """The URLs of every fetch of Git."""
    found = []
    real = git._fetch

    def counted(folder, url, refspecs):
        found.append(url)
        real(folder, url, refspecs)

    monkeypatch.setattr(git, "_fetch", counted)
    return found


def several_in_one(world):
    repo = Repo(world.origins / "all.git")
    for name in ("rx", "lab", "base"):
        repo.commit(plugin_files(name), under=f"plugins/{name}", tag=f"{name}-v1.0.0")
    return "\n".join(
        f"{name}: {{git: {ORIGIN}all.git, tag: {name}-v1.0.0, subdir: plugins/{name}, "
        f'tag-pattern: "{name}-v{{version}}"}}'
        for name in ("rx", "lab", "base")
    )


def test_a_repository_of_several_plugins_is_fetched_once(world, fetches):
    world.write(several_in_one(world))
    world.run("lock")
    assert fetches == [f"file://{world.origins}/all.git"]
    before = world.trees()
    assert len(before) == 3
    open_up(world.store)
    shutil.rmtree(world.store)
    fetches.clear()
    world.run("sync")
    assert len(fetches) == 1
    assert world.trees() == before
    assert world.leftovers() == []


def test_a_wrong_tag_among_several_is_reported_by_itself(world, fetches):
    world.write(several_in_one(world).replace("tag: lab-v1.0.0", "tag: lab-v1.9.0"))
    done = world.run("lock", code=2)
    assert done.error.what.startswith("E-TAG-MISSING plugin 'lab': no tag 'lab-v1.9.0' at ")
    assert world.leftovers() == []
