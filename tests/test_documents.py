"""The documents for contributors agree with the repository: links, rooms, commands, versions."""

import re
import shlex
import tomllib
from pathlib import Path

import architecture
import pytest
import release
import yaml

import specloom

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "plugins/*.md", "plugins/*/*.md")
    for path in ROOT.glob(pattern)
)
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")


def cells(section):
    """What stands in code in the first column of the tables of a section of ARCHITECTURE.md."""
    text = ARCHITECTURE.split(f"### {section}\n")[1].split("\n#")[0]
    rows = re.findall(r"^\| (`[^|]+`) \|", text, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([\w-]+)`", row)]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    path = ROOT / name
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert target.startswith("https://") or (path.parent / target).exists(), target


# Changelogs name what was once there, and the author's page the files of a new plugin.
@pytest.mark.parametrize("name", [one for one in NAMES if not one.endswith("CHANGELOG.md")])
def test_a_path_that_is_named_exists(name):
    text = (ROOT / name).read_text("utf-8")
    folders = "configs|plugins|examples|docs|tools|kernel|registry|benchmarks"
    if name != "plugins/README.md":
        folders += "|tests"
    for path in re.findall(rf"`((?:{folders})/[\w./-]+)`", text):
        assert (ROOT / path).exists() or (ROOT / name).parent.joinpath(path).exists(), path


def folders(package):
    return {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}


def test_the_map_names_every_room_in_order_and_every_plugin():
    for section, package, order in (
        ("Kernel", architecture.KERNEL, architecture.KERNEL_ROOMS),
        ("Registry", architecture.REGISTRY, architecture.REGISTRY_ROOMS),
    ):
        rooms = folders(package)
        assert cells(section) == [room for room in order if room in rooms]
    plugins = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")}
    assert plugins <= set(cells("Plugins"))


def test_the_pages_for_developers_are_listed():
    index = (ROOT / "docs/develop/README.md").read_text("utf-8")
    for path in (ROOT / "docs/develop").glob("*.md"):
        assert path.name == "README.md" or f"]({path.name})" in index, path.name
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/develop/README.md"):
        assert f"]({name})" in readme


def test_the_hooks_and_protocols_by_type_are_those_of_the_contract():
    index = (ROOT / "docs/develop/README.md").read_text("utf-8")
    folder = ROOT / "kernel/specloom/contract"
    contract = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    rows = [line.split("|") for line in index.splitlines() if "`register_" in line]
    assert len(rows) > 8
    for row in rows:
        for protocol in re.findall(r"`([A-Z]\w+)`", row[2]):
            assert f"class {protocol}(" in contract, protocol
        (hook,) = re.findall(r"`(register_\w+)`", row[3])
        assert f"def {hook}(" in contract, hook


def test_the_commands_of_releasing_are_those_of_the_tool():
    text = (ROOT / "docs/develop/releasing.md").read_text("utf-8")
    commands = re.findall(r"python tools/release.py ([^`\n]+)", text)
    assert len(commands) >= 4
    for command in commands:
        assert release.parser().parse_args(shlex.split(command)).command
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for line in re.findall(r"\$ make ([a-z ]+)", text):
        for target in line.split():
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_changelog_lists_every_old_name():
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    for old, new in specloom.OLD_NAMES.items():
        assert f"| `{old}` | `{new}` |" in changelog


def test_the_citation_is_that_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_hooks_before_a_commit_are_local_and_use_the_environment():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    (repository,) = hooks["repos"]
    assert repository["repo"] == "local"
    assert [hook["id"] for hook in repository["hooks"]] == ["ruff", "ruff-format", "mypy"]
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith((".venv/bin/", "make "))


def test_editors_and_ruff_agree():
    text = (ROOT / ".editorconfig").read_text("utf-8")
    python = text.split("[*.py]\n")[1].split("\n[")[0]
    assert f"max_line_length = {PROJECT['tool']['ruff']['line-length']}" in python


@pytest.mark.parametrize("path", sorted(ROOT.glob(".github/ISSUE_TEMPLATE/*.yml")), ids=str)
def test_a_form_for_issues_is_whole(path):
    form = yaml.safe_load(path.read_text("utf-8"))
    if path.stem == "config":
        assert form == {"blank_issues_enabled": True}
        return
    assert {"name", "description", "body"} <= form.keys()
    fields = [one for one in form["body"] if one["type"] != "markdown"]
    assert len({one["id"] for one in fields}) == len(fields)
    assert all(one["attributes"]["label"] for one in fields)
    assert any(one.get("validations", {}).get("required") for one in fields)
