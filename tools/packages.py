"""Rule 6: one name for everything of a plugin, and one version."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from source_tree import plugin_packages


def packages(root: Path) -> Iterator[str]:
    """What disagrees among folders, names, versions and licences of all distributions."""
    version = _project(root)["version"]
    init = (root / "kernel/specloom/__init__.py").read_text("utf-8")
    if re.findall(r'^__version__ = "(.*)"', init, re.MULTILINE) != [version]:
        yield f"specloom.__version__ is not {version}, the version in pyproject.toml"
    top = newest(root / "CHANGELOG.md")
    if top != version:
        yield f"its version is {version}, the top heading of its CHANGELOG is {top or 'absent'}"
    yield from _licence(root, root, _project(root))
    yield from tags(root, "specloom", version)
    yield from _extra_problems(root)
    for folder, package in plugin_packages(root):
        for problem in _plugin(root, root / folder, root / package):
            yield f"{folder.as_posix()}: {problem}"


def _extra_problems(root: Path) -> Iterator[str]:
    """What disagrees between the extra ``all`` and the plugins of the repository."""
    expected = set()
    for folder, _ in plugin_packages(root):
        major, minor = _project(root / folder)["version"].split(".")[:2]
        versions = f">={major}.{minor},<{major}.{int(minor) + 1}"
        expected.add(f"specloom-{folder.name}{versions}")
    extra = set(_project(root)["optional-dependencies"]["all"])
    for requirement in sorted(expected - extra):
        yield f"its extra 'all' has no {requirement!r}"
    for requirement in sorted(extra - expected):
        yield f"its extra 'all' has {requirement!r}, which no plugin is"


def _plugin(root: Path, folder: Path, package: Path) -> Iterator[str]:
    project = _project(folder)
    yield from _names(folder, package, project)
    yield from _files(folder, package)
    version = project["version"]
    top = newest(folder / "CHANGELOG.md")
    if top != version:
        yield f"its version is {version}, the top heading of its CHANGELOG is {top or 'absent'}"
    yield from _licence(root, folder, project)
    yield from tags(root, folder.name, version)


def _names(folder: Path, package: Path, project: dict[str, Any]) -> Iterator[str]:
    name, distribution = folder.name, f"specloom-{folder.name}"
    offered = project.get("entry-points", {}).get("specloom", {})
    if offered != {name: package.name}:
        yield f"its entry points are {offered}, should be {{{name!r}: {package.name!r}}}"
    if project["name"] != distribution:
        yield f"its distribution is {project['name']!r}, should be {distribution!r}"
    shipped = _tool(folder, "hatch", "build", "targets", "wheel").get("packages")
    if shipped != [package.name]:
        yield f"its wheel holds {shipped}, should hold [{package.name!r}]"


def _files(folder: Path, package: Path) -> Iterator[str]:
    for file in ("__init__.py", "py.typed"):
        if not (package / file).is_file():
            yield f"there is no {package.name}/{file}"
    for file in ("README.md", "CHANGELOG.md", "tests"):
        if not (folder / file).exists():
            yield f"there is no {file}"
    for stray in sorted((folder / "tests").rglob("*.py")):
        if stray.name in ("conftest.py", "__init__.py"):
            yield f"tests/{stray.name} is in the way of other plugins' tests"


def headings(changelog: Path) -> list[str]:
    """The versions of the headings, such as ``## 1.2.0``, in their order."""
    text = changelog.read_text("utf-8") if changelog.is_file() else ""
    return re.findall(r"^## \[?v?([^\s\]]+)", text, re.MULTILINE)


def heading(changelog: Path) -> str:
    """The top heading; empty where there is none."""
    found = headings(changelog)
    return found[0] if found else ""


def newest(changelog: Path) -> str:
    """The version of the top heading below ``## Unreleased``; empty where there is none."""
    found = [one for one in headings(changelog) if one != "Unreleased"]
    return found[0] if found else ""


def section(changelog: Path, version: str) -> str:
    """What stands below the heading of a version; empty where there is none."""
    text = changelog.read_text("utf-8")
    pattern = rf"^## \[?v?{re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)"
    found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    return found.group(1).strip() if found else ""


def tags(root: Path, name: str, version: str) -> Iterator[str]:
    """Tags of HEAD that name this distribution with another version."""
    done = subprocess.run(
        ["git", "-C", str(root), "tag", "--points-at", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    for tag in done.stdout.split():
        if tag.startswith(f"{name}-v") and tag != f"{name}-v{version}":
            yield f"its version is {version}, but HEAD is tagged {tag}"


def _licence(root: Path, folder: Path, project: dict[str, Any]) -> Iterator[str]:
    if project.get("license") != "Apache-2.0" or project.get("license-files") != ["LICENSE"]:
        yield 'its pyproject.toml must say license = "Apache-2.0", license-files = ["LICENSE"]'
    file = folder / "LICENSE"
    if not file.is_file() or file.read_bytes() != (root / "LICENSE").read_bytes():
        yield "its LICENSE is not that of the repository"
    if project.get("requires-python") != ">=3.11,<3.12":
        yield 'its pyproject.toml must say requires-python = ">=3.11,<3.12"'


def _project(folder: Path) -> dict[str, Any]:
    text = (folder / "pyproject.toml").read_text("utf-8")
    project: dict[str, Any] = tomllib.loads(text)["project"]
    return project


def _tool(folder: Path, *keys: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    for key in ("tool", *keys):
        found = found.get(key, {})
    return found
