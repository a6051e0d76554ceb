"""Each distribution has one name and version everywhere; the manifest names every plugin."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import packages
import pytest

import specloom
from specloom_registry.model import manifest

ROOT = Path(__file__).parents[1]
IGNORED = shutil.ignore_patterns("__pycache__", "tests")


def test_names_versions_and_licences_agree():
    assert list(packages.packages(ROOT)) == []


def test_the_manifest_names_every_plugin_of_the_repository():
    folders = {folder.name: ROOT / folder for folder, _ in packages.plugin_packages(ROOT)}
    named = manifest.read(ROOT / "configs/plugins.yaml").entries
    assert {entry.name: entry.package.folder for entry in named if entry.package} == folders


@pytest.fixture
def copy(tmp_path):
    for file in ("LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / file, tmp_path)
    others = re.compile(r'^    "specloom-(?!metrics>).*\n', re.MULTILINE)
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    (tmp_path / "pyproject.toml").write_text(others.sub("", project), "utf-8")
    shutil.copytree(ROOT / "kernel", tmp_path / "kernel", ignore=IGNORED)
    shutil.copytree(ROOT / "plugins/metrics", tmp_path / "plugins/metrics", ignore=IGNORED)
    (tmp_path / "plugins/metrics/tests").mkdir()
    assert list(packages.packages(tmp_path)) == []
    return tmp_path


PROJECT = "plugins/metrics/pyproject.toml"
HERE = specloom.__version__
CHANGES = [
    ("pyproject.toml", f'"{HERE}"', '"9.0.0"', "specloom.__version__ is not 9.0.0"),
    ("CHANGELOG.md", f"## {HERE}", "## 9.0.0", "the top heading of its CHANGELOG is 9.0.0"),
    ("pyproject.toml", "Apache-2.0", "MIT", 'must say license = "Apache-2.0"'),
    (PROJECT, 'metrics = "spec', 'metric = "spec', "its entry points are {'metric': 'specloom_"),
    (PROJECT, '"specloom-metrics"', '"metrics"', "its distribution is 'metrics'"),
    (PROJECT, 'packages = ["specloom_metrics"]', "packages = []", "its wheel holds []"),
    (
        PROJECT,
        f'"{HERE}"',
        '"9.0.0"',
        f"its version is 9.0.0, the top heading of its CHANGELOG is {HERE}",
    ),
    (PROJECT, "Apache-2.0", "MIT", 'must say license = "Apache-2.0"'),
    (PROJECT, ">=3.11,<3.12", ">=3.9", 'must say requires-python = ">=3.11,<3.12"'),
    ("plugins/metrics/CHANGELOG.md", f"## {HERE}", "## 9.0.0", "CHANGELOG is 9.0.0"),
    ("plugins/metrics/CHANGELOG.md", "## ", "# ", "CHANGELOG is absent"),
    (
        "pyproject.toml",
        '    "specloom-metrics>=',
        '    "specloom-metrics>=0,',
        "its extra 'all' has no 'specloom-metrics>=",
    ),
    (
        "pyproject.toml",
        "all = [",
        'all = ["specloom-rx>=0",',
        "its extra 'all' has 'specloom-rx>=0', which no plugin is",
    ),
    ("plugins/metrics/LICENSE", "Apache", "Other", "its LICENSE is not that of the repository"),
]


@pytest.mark.parametrize(("file", "old", "new", "reported"), CHANGES)
def test_a_disagreement_is_seen(copy, file, old, new, reported):
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new))
    assert any(reported in problem for problem in packages.packages(copy))


@pytest.mark.parametrize(
    "file", ["LICENSE", "README.md", "CHANGELOG.md", "specloom_metrics/py.typed"]
)
def test_a_missing_file_is_seen(copy, file):
    (copy / "plugins/metrics" / file).unlink()
    assert any(file.rpartition("/")[2] in problem for problem in packages.packages(copy))


def test_a_renamed_folder_is_seen(copy):
    (copy / "plugins/metrics").rename(copy / "plugins/measures")
    reported = "\n".join(packages.packages(copy))
    assert "should be {'measures': 'specloom_measures'}" in reported
    assert "there is no specloom_measures/__init__.py" in reported


def test_a_conftest_of_a_plugin_is_seen(copy):
    (copy / "plugins/metrics/tests/conftest.py").touch()
    (reported,) = packages.packages(copy)
    assert reported == "plugins/metrics: tests/conftest.py is in the way of other plugins' tests"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_tag_with_another_version_is_seen(copy):
    def git(*arguments):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        command = ["git", "-C", str(copy), *identity, *arguments]
        subprocess.run(command, check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "one")
    git("tag", f"metrics-v{HERE}")
    git("tag", "v9-note")
    assert list(packages.packages(copy)) == []
    git("tag", "metrics-v9.0.0")
    git("tag", "specloom-v9.0.0")
    assert list(packages.packages(copy)) == [
        f"its version is {HERE}, but HEAD is tagged specloom-v9.0.0",
        f"plugins/metrics: its version is {HERE}, but HEAD is tagged metrics-v9.0.0",
    ]


def test_what_is_not_released_stands_above_the_version(copy):
    file = copy / "plugins/metrics/CHANGELOG.md"
    file.write_text(f"# Changelog\n\n## Unreleased\n- More.\n\n## {HERE}\n- Some.\n")
    assert list(packages.packages(copy)) == []
    assert packages.heading(file) == "Unreleased"
    assert packages.section(file, "Unreleased") == "- More."
    assert packages.section(file, "9.0.0") == ""


def test_no_public_name_is_that_of_a_module_beside_it():
    """Once such a module is imported, the package's attribute is the module, not what it offers."""
    packages = [*ROOT.glob("plugins/*/specloom_*"), ROOT / "kernel/specloom"]
    checked = 0
    for package in packages:
        tree = ast.parse((package / "__init__.py").read_text("utf-8"))
        for statement in tree.body:
            if not isinstance(statement, ast.Assign):
                continue
            if ast.unparse(statement.targets[0]) != "__all__":
                continue
            for name in ast.literal_eval(statement.value):
                assert not (package / f"{name}.py").exists(), f"{package.name}.{name}"
                assert not (package / name).is_dir(), f"{package.name}.{name}"
                checked += 1
    assert checked > 100
