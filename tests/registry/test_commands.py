"""The commands that change a project, and those that answer questions about it."""

import json
import re

import pytest
from registry_world import ORIGIN, Repo, plugin_files

from specloom_registry.model import edit, index
from specloom_registry.project import additions

URL = f"{ORIGIN}rx.git"


def add_version(world, version, name="rx", **about):
    world.repo_of(name).commit(plugin_files(name, version, **about), tag=f"v{version}")


def test_add_begins_a_manifest_and_takes_the_newest_version(world):
    repo = world.repo("rx", version="1.9.0")
    add_version(world, "1.10.0")
    add_version(world, "2.0.0b1")
    done = world.run("add", "rx", "--git", repo.url, "--allow-file")
    assert world.manifest.read_text() == (
        f"schema: 1\ninstalled: true\nplugins:\n  rx: {{git: {repo.url}, tag: v1.10.0}}\n"
    )
    assert done.stdout.startswith("rx: new -> 1.10.0 (v1.10.0 ")
    assert world.tree().is_dir()


def test_add_and_update_keep_comments_and_order(world):
    world.repo("rx")
    world.repo("lab")
    add_version(world, "1.1.0", "lab", node="Thrice")
    text = (
        "# top\nschema: 1\n\nplugins:   # ours\n  # the lab's\n"
        f'  lab:\n    tag: "v1.0.0"  # pinned\n    git: {ORIGIN}lab.git\n    # why\n\n'
        f'# mirrors\nmirrors: [{{match: "{ORIGIN}", use: "file://{world.origins}/"}}]\n'
    )
    world.manifest.write_text(text)
    world.run("add", "rx", "--git", URL, "--tag", "v1.0.0")
    added = text.replace(
        f"    git: {ORIGIN}lab.git\n",
        f"    git: {ORIGIN}lab.git\n  rx: {{git: {URL}, tag: v1.0.0}}\n",
    )
    assert world.manifest.read_text().replace('"', "") == added.replace('"', "")
    done = world.run("update")
    assert world.manifest.read_text().replace('"', "") == added.replace(
        "v1.0.0  # pinned", "v1.1.0  # pinned"
    ).replace('tag: "v1.0.0"  # p', "tag: v1.1.0  # p").replace('"', "")
    assert re.fullmatch(
        r"lab: 1\.0\.0 \(v1\.0\.0 \w{12}\) -> 1\.1\.0 \(v1\.1\.0 \w{12}\)\n"
        r"  nodes gone: Twice\n  nodes new: Thrice\n.*plugins\.lock\n",
        done.stdout,
    )
    world.run("remove", "rx")
    assert "rx" not in world.manifest.read_text()
    assert list(world.locked()["plugins"]) == ["lab"]
    world.run("remove", "lab")
    assert "plugins: {}   # ours" in world.manifest.read_text()


def test_a_failed_add_changes_nothing(world):
    world.repo("rx", needs=["acme-nowhere"])
    world.repo("lab")
    world.wants("lab@v1.0.0", head="installer: {no-index: true}\n")
    world.run("lock")
    before = (world.manifest.read_bytes(), world.lock.read_bytes())
    world.run("add", "rx", "--git", URL, "--tag", "v1.0.0", code=4)
    world.run("add", "rx", "--git", URL, "--tag", "v9", code=2)
    assert (world.manifest.read_bytes(), world.lock.read_bytes()) == before


def test_dry_runs_change_nothing(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    done = world.run("lock", "--dry-run")
    assert done.stdout.endswith("nothing was written\n")
    assert not world.lock.exists()
    world.run("lock")
    add_version(world, "1.1.0")
    text = world.manifest.read_text()
    assert "1.1.0" in world.run("update", "--dry-run").stdout
    world.run("remove", "rx", "--dry-run")
    assert world.manifest.read_text() == text


def test_add_refuses_what_is_there_and_what_the_index_lacks(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    done = world.run("add", "rx", "--git", URL, code=2)
    assert done.error.what == f"E-NAME {world.manifest} names 'rx' already"
    assert done.error.fix == "change it: specloom plugins update rx"
    done = world.run("add", "no-such-plugin", code=2)
    assert done.error.what == "E-INDEX the index has no plugin 'no-such-plugin'"
    world.repo("lab").git("tag", "-d", "v1.0.0")
    done = world.run("add", "lab", "--git", f"{ORIGIN}lab.git", code=2)
    assert done.error.what == (
        f"E-TAG plugin 'lab': no tag of {ORIGIN}lab.git spells a compatible version"
    )
    done = world.run("add", "lab", "--git", f"{ORIGIN}lab.git", "--offline", code=4)
    assert done.error.what == f"E-OFFLINE the tags of {ORIGIN}lab.git cannot be listed"


@pytest.fixture
def monorepo(world):
    """A repository with rx and what it needs in folders, as the index has them."""
    repo = Repo(world.origins / "all.git")
    needs = ["specloom-statistics>=0.1,<0.2"]
    repo.commit(plugin_files("rx", "0.1.0", needs=needs), under="plugins/rx", tag="rx-v0.1.0")
    files = plugin_files("statistics", "0.1.0")
    repo.commit(files, under="plugins/statistics", tag="statistics-v0.1.0")
    return repo


def test_add_takes_a_plugin_of_the_index_by_its_name(world, monorepo, monkeypatch):
    monkeypatch.delenv("SPECLOOM_INDEX", raising=False)
    world.write("", head=f"index: {ORIGIN}all.git\n")
    world.run("add", "rx")
    assert world.locked()["plugins"]["rx"]["source"]["subdir"] == "plugins/rx"
    assert world.locked()["plugins"].keys() == {"rx", "statistics"}
    assert f"git: {ORIGIN}all.git, tag: rx-v0.1.0" in world.manifest.read_text().replace('"', "")
    done = world.run("add", "pcaa", code=2)
    assert done.error.fix == "did you mean 'pca'?"


def test_the_variable_is_stronger_than_the_manifest(world, monorepo, monkeypatch):
    monkeypatch.setenv("SPECLOOM_INDEX", f"{ORIGIN}all.git")
    world.write("", head=f"index: {ORIGIN}another.git\n")
    world.run("add", "statistics")
    world.run("add", "rx")
    for name in ("rx", "statistics"):
        assert world.locked()["plugins"][name]["source"]["git"] == f"{ORIGIN}all.git"


def test_what_is_installed_is_not_added_where_it_counts(world, monorepo, monkeypatch):
    monkeypatch.setenv("SPECLOOM_INDEX", f"{ORIGIN}all.git")
    monkeypatch.setattr(
        "specloom_registry.packages.environment.installed_plugins", lambda: {"statistics": "0.1.0"}
    )
    world.write("", head="installed: true\n")
    world.run("add", "rx")
    assert world.locked()["plugins"].keys() == {"rx"}


def test_needs_are_found_through_other_plugins(monkeypatch):
    known = {"a": {"needs": ["b"]}, "b": {"needs": ["c", "a"]}, "c": {}, "d": {"needs": ["e"]}}
    monkeypatch.setattr(index, "read", lambda: known)
    assert index.find_needed(["a"]) == {"a", "b", "c"}
    assert index.find_needed(["c", "unknown"]) == set()


def test_an_index_without_a_repository_is_reported(world, monkeypatch):
    monkeypatch.delenv("SPECLOOM_INDEX", raising=False)
    world.write("", mirrored=False)
    before = world.manifest.read_text()
    done = world.run("add", "rx", code=2)
    assert done.error.what == (
        "E-INDEX the index has the plugin 'rx', but its repository is not configured"
    )
    assert done.error.fix == (
        "set SPECLOOM_INDEX, or 'index:' in plugins.yaml, to the URL of the repository of "
        "specloom, or use --git URL --subdir plugins/rx --tag-pattern 'rx-v{version}'"
    )
    assert world.manifest.read_text() == before


def test_a_wrong_url_of_the_index_is_refused(world, monkeypatch):
    monkeypatch.setenv("SPECLOOM_INDEX", f"file://{world.origins}/all.git")
    world.write("")
    done = world.run("add", "rx", code=2)
    assert (done.error.where, done.error.fix) == (
        "SPECLOOM_INDEX",
        "name the plugin's folder with 'path:', or allow it with --allow-file",
    )
    world.write("", head="index: ext::sh\n")
    done = world.run("add", "rx", code=2)
    assert done.error.what == (
        "E-URL the index: source url 'ext::sh' is of a kind that is not allowed"
    )
    world.write("", head="index: [1]\n")
    done = world.run("add", "rx", code=2)
    assert done.error.what == "E-OPTION 'index' is [1], which is not a string"
    assert done.error.fix == "write the URL of a repository"


def test_remove_refuses_to_break_run_files(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    run = world.project / "sub/run.yaml"
    run.parent.mkdir()
    run.write_text("nodes:\n  # type: rx.No\n  a: {type: rx.Twice}\n")
    done = world.run("remove", "rx", code=2)
    assert done.error.what == f"E-USED plugin 'rx' is used at {run}:3"
    assert done.error.fix == "change these files first, or use --force"
    world.run("remove", "rx", "--force")
    done = world.run("remove", "rx", code=2)
    assert done.error.what == f"E-NAME {world.manifest} names no plugin 'rx'"


def test_update_is_for_tags(world):
    world.write("lab: {path: .}", mirrored=False)
    for name, text in plugin_files("lab").items():
        (world.project / name).parent.mkdir(exist_ok=True)
        (world.project / name).write_text(text)
    done = world.run("update", "lab", code=2)
    assert done.error.what == "E-SOURCE plugin 'lab' is a folder"
    world.repo("rx")
    world.repo("rz")
    world.wants("rx@v1.0.0", "rz@v1.0.0")
    assert world.run("update", "--to", "v2", code=2).error.what == "--to is for one plugin"


def test_info_and_why_show_where_things_come_from(world):
    commit = world.repo("rx", needs=["click>=1"]).git("rev-parse", "HEAD")
    world.wants("rx@v1.0.0")
    world.run("lock")
    whole = f"plugin rx 1.0.0 of {URL} at v1.0.0 ({commit[:12]})"
    assert world.run("why", "Twice").stdout == f"node rx.Twice <- {whole}\n"
    assert world.run("why", "rx.Twice").stdout == f"node rx.Twice <- {whole}\n"
    assert world.run("why", "Click").stdout == "package click <- rx 1.0.0 (>=1)\n"
    assert world.run("why", "rx").stdout == f"{whole}, named by {world.manifest}:3\n"
    done = world.run("why", "nothing", code=2)
    assert done.error.what == f"E-NAME nothing in {world.manifest} needs or offers 'nothing'"
    found = json.loads(world.run("info", "rx", "--json").stdout)
    assert (found["present"], found["source"]["commit"]) == (True, commit)
    assert world.run("info", "rxs", code=2).error.fix == "did you mean 'rx'?"


def test_list_shows_plugins_from_tags(world):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    assert "is not in plugins.lock" in world.run("list").stderr
    world.run("lock")
    (row,) = json.loads(world.run("list", "--json").stdout)
    assert row == {
        "name": "rx",
        "version": "1.0.0",
        "module": "acme_rx",
        "path": str(world.tree()),
        "error": "",
        "source": "v1.0.0",
    }


def test_without_a_manifest_there_is_a_beginning(world):
    done = world.run("sync", code=2)
    assert done.error.what == f"there is no {world.manifest}"
    assert done.error.fix == (
        "create one: specloom plugins add NAME --path FOLDER, or --git URL --tag TAG"
    )


def test_offline_uses_no_network(world, monkeypatch):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    monkeypatch.setattr("specloom_registry.fetch.git._git", None)
    for command in ("lock", "sync", "verify"):
        world.run(command, "--offline")
    world.run("verify", "--remote", "--offline")
    done = world.run("outdated", "--offline", code=4)
    assert done.error.what == "E-OFFLINE the tags of repositories cannot be listed"
    world.wants("rx@v1.1.0")
    done = world.run("lock", "--offline", code=4)
    assert done.error.what.startswith("E-OFFLINE plugin 'rx': 'v1.1.0' is not in the store")


EDITS = [
    ("plugins: {a: {path: x}}\nschema: 1\n", "written in one line"),
    ('{"schema": 1, "plugins": {}}\n', "JSON"),
]


@pytest.mark.parametrize(("text", "why"), EDITS)
def test_a_text_that_cannot_be_changed_by_lines_is_left_alone(text, why):
    with pytest.raises(Exception) as caught:  # noqa: PT011  # its fields are looked at
        edit.add(text, "rx", {"git": "https://example.org/x", "tag": "v1"})
    assert caught.value.what == ("E-EDIT 'rx' cannot be added in plugins.yaml as it is written"), (
        why
    )
    assert caught.value.fix == (
        "write each plugin on lines of its own, or edit the file and run: specloom plugins lock"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("plugins: {}\nschema: 1\n", "plugins:\n  rx: {path: a}\nschema: 1\n"),
        ("schema: 1\nplugins: {} # none\n", "schema: 1\nplugins: # none\n  rx: {path: a}\n"),
        (
            "schema: 1\nplugins:\n    a: {path: b}",
            "schema: 1\nplugins:\n    a: {path: b}\n    rx: {path: a}\n",
        ),
        (
            "schema: 1\nplugins:\n  a: {path: b}\n  # c\n\nx-y: 1\n",
            "schema: 1\nplugins:\n  a: {path: b}\n  rx: {path: a}\n  # c\n\nx-y: 1\n",
        ),
    ],
)
def test_lines_are_added_where_they_belong(before, after):
    assert edit.add(before, "rx", {"path": "a"}) == after


def test_tags_are_compared_by_versions():
    from specloom_registry.model.source import Source

    assert additions._is_older("rx", "v1.9", Source("u", "v1.10"))
    assert not additions._is_older("rx", "release", Source("u", "v1.10"))
