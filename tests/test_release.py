"""Releases are tagged, listed and refused as tools/release.py says; in repositories made for it."""

import shutil
import subprocess
from pathlib import Path

import packages
import pytest
import release
import yaml

from specloom_registry.model.metadata import version_from_tag
from specloom_registry.model.source import check_tag

ROOT = Path(__file__).parents[1]
IDENTITY = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "t",
    "GIT_AUTHOR_EMAIL": "t@example.org",
    "GIT_COMMITTER_NAME": "t",
    "GIT_COMMITTER_EMAIL": "t@example.org",
}
PROJECT = """\
[project]
name = "{name}"
version = "0.1.0"
dependencies = {needs}
"""
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


class Repository:
    """A repository with the main distribution and two plugins, of which one needs the other."""

    def __init__(self, root):
        self.root = root
        self.write("pyproject.toml", PROJECT.format(name="specloom", needs=[]))
        self.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n- All.\n\n## 0.1.0\n- First.\n")
        self.write("kernel/specloom/__init__.py", '__version__ = "0.1.0"\n')
        self.plugin("rx", ["specloom>=0.1,<0.2"])
        self.plugin("mrmr", ["specloom>=0.1,<0.2", "specloom-rx>=0.1,<0.2", "numpy>=1.26"])
        self.write("README.md", "Write `specloom>=0.1,<0.2`.\n")
        self.write("docs/develop/plugins.md", "It needs `specloom-rx>=0.1,<0.2`.\n")
        self.write("CITATION.cff", "title: specloom\nversion: 0.1.0\n")
        self.write("registry/index.yaml", "schema: 1\nplugins: {}\n")
        self.git("init", "--quiet", "--template=")
        release.write_index(root)
        self.commit()

    def plugin(self, name, needs):
        project = PROJECT.format(name=f"specloom-{name}", needs=needs)
        self.write(f"plugins/{name}/pyproject.toml", project)
        self.write(f"plugins/{name}/CHANGELOG.md", "# Changelog\n\n## 0.1.0\n- # 1: first.\n")
        self.write(f"plugins/{name}/specloom_{name}/__init__.py", "")

    def write(self, name, text):
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def read(self, name):
        return (self.root / name).read_text()

    def replace(self, name, old, new):
        text = self.read(name)
        assert old in text
        self.write(name, text.replace(old, new))

    def git(self, *arguments):
        done = subprocess.run(
            ["git", "-C", str(self.root), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "one")

    def tags(self):
        return self.git("tag", "--list").split()

    def bumped(self, version="0.2.0"):
        release.bump(self.root, version)
        self.commit()
        return self


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    return Repository(tmp_path)


def run(repository, *arguments):
    return release.main(["--root", str(repository.root), *arguments])


def refused(repository, capsys, *arguments):
    before = repository.tags()
    assert run(repository, *arguments) == 1
    assert repository.tags() == before
    return capsys.readouterr().err


def test_a_bump_sets_every_version_range_and_changelog(repository, capsys):
    assert run(repository, "bump", "0.2.0") == 0
    assert capsys.readouterr().out.splitlines() == [
        *(
            f"changed {name}"
            for name in (
                "CHANGELOG.md",
                "CITATION.cff",
                "README.md",
                "docs/develop/plugins.md",
                "kernel/specloom/__init__.py",
                "plugins/mrmr/CHANGELOG.md",
                "plugins/mrmr/pyproject.toml",
                "plugins/rx/CHANGELOG.md",
                "plugins/rx/pyproject.toml",
                "pyproject.toml",
                "registry/index.yaml",
            )
        ),
        "next: make setup lock, make test, commit, make release",
    ]
    assert {one.version for one in release.distributions(repository.root)} == {"0.2.0"}
    _, mrmr, _ = release.distributions(repository.root)
    assert mrmr.requirements == ("specloom>=0.2,<0.3", "specloom-rx>=0.2,<0.3", "numpy>=1.26")
    assert repository.read("CHANGELOG.md").startswith("# Changelog\n\n## 0.2.0\n- All.\n\n## 0.1.0")
    changelog = repository.read("plugins/rx/CHANGELOG.md")
    assert changelog.startswith("# Changelog\n\n## 0.2.0\n- Needs specloom 0.2.\n\n## 0.1.0\n")
    assert repository.read("README.md") == "Write `specloom>=0.2,<0.3`.\n"
    assert "version: 0.2.0" in repository.read("CITATION.cff")
    assert release.bump(repository.root, "0.2.0") == []


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("0.2", "'0.2' is no version such as 0.2.0"),
        ("v0.2.0", "'v0.2.0' is no version such as 0.2.0"),
        ("0.0.9", "rx: version 0.0.9 is older than its 0.1.0"),
    ],
)
def test_a_wrong_version_is_refused(repository, capsys, version, message):
    assert f"error: {message}\n" in refused(repository, capsys, "bump", version)
    assert repository.git("status", "--porcelain") == ""


def test_a_bump_without_a_changelog_is_refused(repository, capsys):
    repository.replace("CHANGELOG.md", "## Unreleased\n- All.\n\n", "")
    message = "CHANGELOG.md has no section '## Unreleased': write there what has changed"
    assert message in refused(repository, capsys, "bump", "0.2.0")


def test_all_are_tagged_annotated_and_the_registry_reads_the_tags(repository, capsys):
    repository.bumped()
    assert run(repository, "tag", "--all") == 0
    assert repository.tags() == ["mrmr-v0.2.0", "rx-v0.2.0", "specloom-v0.2.0"]
    assert "tagged rx-v0.2.0\n" in capsys.readouterr().out
    for one in repository.tags():
        assert repository.git("cat-file", "-t", one) == "tag"
        check_tag(one, "test", "")
    message = repository.git("tag", "--list", "--format=%(contents)", "rx-v0.2.0")
    assert message == "rx 0.2.0\n\n- Needs specloom 0.2."
    known = yaml.safe_load(repository.read("registry/index.yaml"))["plugins"]
    assert version_from_tag("rx-v0.2.0", "rx", known["rx"]["tag-pattern"]) == "0.2.0"
    assert version_from_tag("specloom-v0.2.0", "rx") is None  # it is no version of a plugin
    assert run(repository, "index", "--check") == 0
    assert list(packages.tags(repository.root, "rx", "0.2.0")) == []


def test_one_plugin_is_tagged_by_name_or_by_tag(repository):
    assert run(repository, "tag", "rx") == 0
    assert run(repository, "tag", "mrmr-v0.1.0") == 0
    assert repository.tags() == ["mrmr-v0.1.0", "rx-v0.1.0"]
    message = repository.git("tag", "--list", "--format=%(contents)", "rx-v0.1.0")
    assert message == "rx 0.1.0\n\n- # 1: first."


def test_a_dry_run_tags_nothing_and_refuses_the_same(repository, capsys):
    repository.bumped()
    assert run(repository, "tag", "--all", "--dry-run") == 0
    assert "would tag rx-v0.2.0\n" in capsys.readouterr().out
    assert repository.tags() == []
    repository.write("new.txt", "")
    assert "not committed" in refused(repository, capsys, "tag", "--all", "--dry-run")


def test_what_is_tagged_and_unchanged_is_skipped(repository, capsys):
    repository.bumped()
    run(repository, "tag", "--all")
    repository.write("docs/page.md", "a page of no distribution\n")
    repository.commit()
    capsys.readouterr()
    assert run(repository, "tag", "--all") == 0
    assert capsys.readouterr().out == "nothing to tag: every version has its tag\n"


def test_the_index_has_every_tag_the_newest_last(repository):
    for version in ("0.2.0", "0.10.0"):
        repository.replace("CHANGELOG.md", "# Changelog\n", "# Changelog\n\n## Unreleased\n- X.\n")
        repository.bumped(version)
        run(repository, "tag", "--all")
    known = yaml.safe_load(repository.read("registry/index.yaml"))["plugins"]
    assert known["rx"] == {
        "folder": "plugins/rx",
        "tag-pattern": "rx-v{version}",
        "versions": ["0.2.0", "0.10.0"],
    }


def test_the_index_has_the_commands_of_plugins(repository):
    repository.write(
        "plugins/rx/specloom_rx/nodes.json",
        '{"RX": {"kind": "nodes"}, "show": {"kind": "commands"}, "fit": {"kind": "commands"}}',
    )
    release.write_index(repository.root)
    known = yaml.safe_load(repository.read("registry/index.yaml"))["plugins"]
    assert known["rx"]["commands"] == ["fit", "show"]
    assert "commands" not in known["mrmr"]


def test_the_index_keeps_the_url_of_the_published_repository(repository):
    assert "git" not in yaml.safe_load(repository.read("registry/index.yaml"))
    repository.replace(
        "registry/index.yaml", "schema: 1\n", "schema: 1\ngit: https://localhost/x.git\n"
    )
    before = repository.read("registry/index.yaml")
    assert not release.write_index(repository.root)
    assert repository.read("registry/index.yaml") == before
    assert yaml.safe_load(before)["git"] == "https://localhost/x.git"
    assert set(yaml.safe_load(before)["plugins"]) == {"mrmr", "rx"}


REFUSALS = {
    "a changelog of another version": (
        ("plugins/rx/CHANGELOG.md", "## 0.1.0", "## 0.1.1"),
        "rx: version 0.1.0, but the top heading of plugins/rx/CHANGELOG.md is 0.1.1",
    ),
    "a changelog that is not released": (
        ("plugins/rx/CHANGELOG.md", "## 0.1.0", "## Unreleased\n- More.\n\n## 0.1.0"),
        "rx: version 0.1.0, but the top heading of plugins/rx/CHANGELOG.md is Unreleased",
    ),
    "an empty changelog": (
        ("plugins/rx/CHANGELOG.md", "- # 1: first.\n", ""),
        "rx: the section 0.1.0 of its CHANGELOG is empty",
    ),
    "a range that excludes what is here": (
        ("plugins/mrmr/pyproject.toml", "specloom-rx>=0.1,<0.2", "specloom-rx>=0.2,<0.3"),
        "mrmr: it needs specloom-rx>=0.2,<0.3, but specloom-rx is 0.1.0 here",
    ),
    "a version that the module does not have": (
        ("kernel/specloom/__init__.py", "0.1.0", "0.1.1"),
        "specloom: specloom.__version__ is not 0.1.0",
    ),
    "an index that is not made of the tags": (
        ("registry/index.yaml", '["0.1.0"]', '["0.0.9", "0.1.0"]'),
        "registry/index.yaml is not made of the tags: run 'tools/release.py index', commit it",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSALS.values(), ids=REFUSALS)
def test_a_disagreement_is_refused(repository, capsys, change, message):
    repository.replace("CHANGELOG.md", "## Unreleased\n- All.\n\n", "")
    repository.commit()
    assert run(repository, "tag", "--all", "--dry-run") == 0
    repository.replace(*change)
    repository.commit()
    assert refused(repository, capsys, "tag", "--all") == f"error: {message}\n"


def test_a_tree_with_changes_is_refused(repository, capsys):
    repository.write("plugins/rx/specloom_rx/__init__.py", "new = 1\n")
    message = "error: the tree has changes that are not committed: commit or remove them\n"
    assert refused(repository, capsys, "tag", "rx") == message


def test_a_tag_that_disagrees_is_refused(repository, capsys):
    assert "rx-v0.2.0: the version in its pyproject.toml is 0.1.0" in refused(
        repository, capsys, "tag", "rx-v0.2.0"
    )
    assert "there is no plugin 'pca': use one of mrmr, rx, specloom" in refused(
        repository, capsys, "tag", "pca"
    )
    repository.git("tag", "rx-v0.1.0")
    assert "the tag rx-v0.1.0 exists and is not annotated" in refused(
        repository, capsys, "tag", "rx"
    )


def test_a_change_after_the_tag_is_refused(repository, capsys):
    run(repository, "tag", "rx")
    repository.write("plugins/rx/specloom_rx/__init__.py", "new = 1\n")
    repository.commit()
    message = "rx: it has changed since its tag rx-v0.1.0: raise its version"
    assert message in refused(repository, capsys, "tag", "rx")


def test_a_tag_of_another_version_on_the_commit_is_refused(repository, capsys):
    repository.git("tag", "-a", "rx-v0.3.0", "-m", "by hand")
    release.write_index(repository.root)
    repository.commit()
    message = "rx: version 0.1.0 is older than 0.3.0, which has a tag"
    assert message in refused(repository, capsys, "tag", "rx")
    repository.git("tag", "-d", "rx-v0.3.0")
    repository.git("tag", "-a", "mrmr-v0.1.0", "-m", "by hand")
    repository.bumped()
    repository.git("tag", "-a", "rx-v0.2.0", "HEAD~2", "-m", "by hand")
    message = "rx: at the tag rx-v0.2.0 its version is 0.1.0"
    assert message in refused(repository, capsys, "tag", "rx")


def test_where_git_fails_it_says_so(repository, capsys):
    shutil.rmtree(repository.root / ".git")
    assert run(repository, "index") == 1
    assert capsys.readouterr().err.startswith("error: git tag fails: fatal: ")


@pytest.mark.parametrize("arguments", [["tag"], ["tag", "--all", "rx"], []])
def test_a_command_line_without_a_choice_is_refused(arguments):
    with pytest.raises(SystemExit) as caught:
        release.main(arguments)
    assert caught.value.code == 2


@pytest.fixture
def copy(tmp_path):
    """What bears a version of this repository, with a repository of its own around it."""
    for name in ("pyproject.toml", "LICENSE", "CHANGELOG.md", "README.md", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", "*.json", ".venv")
    for name in ("kernel", "plugins", "registry", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    subprocess.run(["git", "-C", str(tmp_path), "init", "-q", "--template="], check=True)
    return tmp_path


def test_this_repository_can_be_bumped(copy):
    changelog = (copy / "CHANGELOG.md").read_text()
    if packages.heading(copy / "CHANGELOG.md") != release.UNRELEASED:
        title = packages.heading(copy / "CHANGELOG.md")
        changelog = changelog.replace(f"## {title}", f"## Unreleased\n- X.\n\n## {title}", 1)
        (copy / "CHANGELOG.md").write_text(changelog)
    release.bump(copy, "7.8.0")
    assert {one.version for one in release.distributions(copy)} == {"7.8.0"}
    assert list(packages.packages(copy)) == []
    for one in release.distributions(copy):
        assert list(release._own_problems(copy, one)) == []
        ours = [text for text in one.requirements if text.startswith("specloom")]
        assert all(text.endswith(">=7.8,<7.9") for text in ours), one.name


def test_the_index_of_this_repository_names_its_plugins():
    known = yaml.safe_load((ROOT / release.INDEX).read_text("utf-8"))["plugins"]
    plugins = [one for one in release.distributions(ROOT) if one.name != release.MAIN]
    assert list(known) == [one.name for one in plugins], "run: python tools/release.py index"
    assert all(one.version in known[one.name]["versions"] for one in plugins)
