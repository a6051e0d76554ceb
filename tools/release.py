"""Releases: raise versions, write the index of plugins, tag one distribution or all of them.

    python tools/release.py bump 0.2.0        versions, ranges and changelogs; then commit
    python tools/release.py index             registry/index.yaml from the tags; then commit
    python tools/release.py tag --all         annotated tags such as rx-v0.2.0
    python tools/release.py tag rx --dry-run  what would be tagged, and what forbids it

A tag is never moved or replaced. The main distribution is tagged ``specloom-v0.2.0``: a plain
``v0.2.0`` would be read as a version of each plugin of this repository.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packages import heading, section
from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version
from source_tree import plugin_packages

ROOT = Path(__file__).parents[1]
MAIN = "specloom"
PREFIX = f"{MAIN}-"
SPEED_UPS = frozenset({"native"})
"""Extras whose plugins only make others faster; who adds one of these does not need them."""
MAIN_PARTS = ("kernel", "registry", "pyproject.toml")
INDEX = Path("registry/index.yaml")
INDEX_HEAD = """\
# Plugins that `specloom plugins add NAME` knows without a URL. Their repository is that of
# SPECLOOM_INDEX or of 'index' in a manifest, else that of 'git' here: add it below 'schema' where
# the repository is published. Versions are those that have a tag, the newest last; needs are the
# plugins that are added as well; commands are what `specloom NAME` has from the plugin.
# Written by tools/release.py.
schema: 1
"""
UNRELEASED = "Unreleased"
RANGE = re.compile(r"(specloom(?:-[a-z0-9-]+)?)>=\d+\.\d+,<\d+\.\d+")
VERSION_LINE = re.compile(r'^version = "[^"]*"$', re.MULTILINE)
MODULE_VERSION = re.compile(r'^__version__ = "[^"]*"$', re.MULTILINE)
CITED_VERSION = re.compile(r"^version: .*$", re.MULTILINE)


class ReleaseError(Exception):
    """What forbids a release, a line for each reason."""


@dataclass(frozen=True)
class Distribution:
    """The main distribution or a plugin, as its pyproject.toml has it.

    Args:
        name: ``specloom``, or the plugin's name.
        folder: Its folder, relative to the repository.
        version: Its version.
        requirements: What it needs, such as ``specloom-rx>=0.1,<0.2``.
        speed_ups: The plugins among them that only make it faster.
    """

    name: str
    folder: Path
    version: str
    requirements: tuple[str, ...]
    speed_ups: frozenset[str] = frozenset()

    @property
    def tag(self) -> str:
        """The tag of this version."""
        return f"{self.name}-v{self.version}"

    @property
    def needed_plugins(self) -> list[str]:
        """The plugins that it needs, by name, without those that only make it faster."""
        names = [Requirement(text).name for text in self.requirements]
        needed = {name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)}
        return sorted(needed - self.speed_ups)

    @property
    def parts(self) -> tuple[str, ...]:
        """The files and folders that belong to it, relative to the repository."""
        if self.name == MAIN:
            return MAIN_PARTS
        return (self.folder.as_posix(),)


def distributions(root: Path) -> list[Distribution]:
    """The main distribution and the plugins of a repository."""
    folders = [Path(), *(folder for folder, _ in plugin_packages(root))]
    return [_distribution(root, folder) for folder in folders]


def _distribution(root: Path, folder: Path) -> Distribution:
    text = (root / folder / "pyproject.toml").read_text("utf-8")
    project: dict[str, Any] = tomllib.loads(text)["project"]
    requirements = list(project.get("dependencies", []))
    speed_ups = frozenset(SPEED_UPS & project.get("optional-dependencies", {}).keys())
    for extra in project.get("optional-dependencies", {}).values():
        requirements.extend(extra)
    return Distribution(
        folder.name or MAIN, folder, project["version"], tuple(requirements), speed_ups
    )


def choose(root: Path, names: Sequence[str]) -> list[Distribution]:
    """The distributions of some names or tags; all where there are none.

    Raises:
        ReleaseError: There is no such distribution, or a tag names another version than it has.
    """
    known = {one.name: one for one in distributions(root)}
    if not names:
        return list(known.values())
    found = []
    reasons = []
    for wanted in names:
        name, version = split_tag(wanted)
        if name not in known:
            reasons.append(f"there is no plugin {name!r}: use one of {', '.join(sorted(known))}")
        elif version not in ("", known[name].version):
            reasons.append(f"{wanted}: the version in its pyproject.toml is {known[name].version}")
        else:
            found.append(known[name])
    _refuse(reasons)
    return found


def split_tag(text: str) -> tuple[str, str]:
    """Name and version of a tag; a name alone has no version.

    >>> split_tag("rx-v0.2.0"), split_tag("rx")
    (('rx', '0.2.0'), ('rx', ''))
    """
    name, separator, version = text.rpartition("-v")
    if separator and _is_version(version):
        return name, version
    return text, ""


def problems(root: Path, chosen: Iterable[Distribution]) -> Iterator[str]:
    """Why distributions cannot be tagged as they are."""
    if git(root, "status", "--porcelain"):
        yield "the tree has changes that are not committed: commit or remove them"
    versions = {_package(one): one.version for one in distributions(root)}
    tags = released(root)
    for one in chosen:
        yield from _own_problems(root, one)
        yield from _range_problems(one, versions)
        yield from _tag_problems(root, one, tags.get(one.name, []))
    if (root / INDEX).read_text("utf-8") != index_text(root):
        yield f"{INDEX.as_posix()} is not made of the tags: run 'tools/release.py index', commit it"


def _own_problems(root: Path, one: Distribution) -> Iterator[str]:
    changelog = root / one.folder / "CHANGELOG.md"
    top = heading(changelog)
    if top != one.version:
        where = changelog.relative_to(root).as_posix()
        disagreement = f"the top heading of {where} is {top or 'missing'}"
        yield f"{one.name}: version {one.version}, but {disagreement}"
    elif not section(changelog, one.version):
        yield f"{one.name}: the section {one.version} of its CHANGELOG is empty"
    if one.name == MAIN:
        init = (root / "kernel/specloom/__init__.py").read_text("utf-8")
        if f'__version__ = "{one.version}"' not in init:
            yield f"{MAIN}: specloom.__version__ is not {one.version}"


def _range_problems(one: Distribution, versions: dict[str, str]) -> Iterator[str]:
    for text in one.requirements:
        needed = Requirement(text)
        version = versions.get(needed.name)
        if version is not None and not needed.specifier.contains(version, prereleases=True):
            yield f"{one.name}: it needs {text}, but {needed.name} is {version} here"


def _tag_problems(root: Path, one: Distribution, known: list[str]) -> Iterator[str]:
    if one.version in known:
        yield from _existing_tag_problems(root, one)
    elif known and Version(known[-1]) > Version(one.version):
        yield f"{one.name}: version {one.version} is older than {known[-1]}, which has a tag"


def _existing_tag_problems(root: Path, one: Distribution) -> Iterator[str]:
    if git(root, "cat-file", "-t", f"refs/tags/{one.tag}") != "tag":
        yield f"{one.name}: the tag {one.tag} exists and is not annotated"
    place = (one.folder / "pyproject.toml").as_posix()
    project = tomllib.loads(git(root, "show", f"{one.tag}:{place}"))["project"]
    if project["version"] != one.version:
        yield f"{one.name}: at the tag {one.tag} its version is {project['version']}"
    elif git(root, "diff", "--name-only", one.tag, "HEAD", "--", *one.parts):
        yield f"{one.name}: it has changed since its tag {one.tag}: raise its version"


def tag(root: Path, names: Sequence[str], *, dry_run: bool = False) -> list[str]:
    """Tag distributions at HEAD; what is tagged and unchanged since is skipped.

    Returns:
        The new tags.

    Raises:
        ReleaseError: Something forbids it; nothing is tagged then.
    """
    chosen = choose(root, names)
    _refuse(problems(root, chosen))
    known = released(root)
    new = [one for one in chosen if one.version not in known.get(one.name, [])]
    if not dry_run:
        for one in new:
            changes = section(root / one.folder / "CHANGELOG.md", one.version)
            message = f"{one.name} {one.version}\n\n{changes}\n"
            git(root, "tag", "-a", one.tag, "--cleanup=whitespace", "-F", "-", text=message)
    return [one.tag for one in new]


def released(root: Path) -> dict[str, list[str]]:
    """The versions of each distribution that have a tag, the newest last."""
    names = {one.name for one in distributions(root)}
    found: dict[str, list[str]] = {}
    for one in git(root, "tag", "--list").splitlines():
        name, version = split_tag(one)
        if name in names and version:
            found.setdefault(name, []).append(version)
    return {name: sorted(versions, key=Version) for name, versions in found.items()}


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def index_text(root: Path) -> str:
    """The index as it is after all plugins of HEAD have been tagged."""
    tags = released(root)
    lines = []
    url = _published_url(root)
    if url:
        lines.append(f"git: {url}")
    lines.append("plugins:")
    for one in distributions(root):
        if one.name == MAIN:
            continue
        versions = tags.get(one.name, [])
        if one.version not in versions:
            versions = sorted([*versions, one.version], key=Version)
        listed = ", ".join(f'"{version}"' for version in versions)
        lines += [
            f"  {one.name}:",
            f"    folder: {one.folder.as_posix()}",
            f'    tag-pattern: "{one.name}-v{{version}}"',
            f"    versions: [{listed}]",
        ]
        if one.needed_plugins:
            lines.append(f"    needs: [{', '.join(one.needed_plugins)}]")
        commands = _commands(root / one.folder)
        if commands:
            lines.append(f"    commands: [{', '.join(commands)}]")
    return INDEX_HEAD + "".join(f"{line}\n" for line in lines)


def _commands(folder: Path) -> list[str]:
    """The commands of a plugin, as its descriptor has them."""
    names = list[str]()
    for file in folder.glob("specloom_*/nodes.json"):
        offers = json.loads(file.read_text("utf-8"))
        names += [name for name, offer in offers.items() if offer["kind"] == "commands"]
    return sorted(names)


def _published_url(root: Path) -> str:
    """The repository's URL, as the index has it; empty where it is not published."""
    file = root / INDEX
    known: dict[str, str] = {}
    if file.is_file():
        known = yaml.safe_load(file.read_text("utf-8"))
    return known.get("git", "")


def write_index(root: Path) -> bool:
    """Write the index; whether it has changed."""
    text = index_text(root)
    changed = (root / INDEX).read_text("utf-8") != text
    (root / INDEX).write_text(text, "utf-8")
    return changed


def bump(root: Path, version: str) -> list[str]:
    """Set the version of every distribution, and what repeats it.

    Returns:
        The files that have changed.

    Raises:
        ReleaseError: It is no version, or an older one than those here.
    """
    _refuse(_bump_problems(root, version))
    changed = [*_bump_projects(root, version), *_bump_texts(root, version)]
    for one in distributions(root):
        file = root / one.folder / "CHANGELOG.md"
        text = file.read_text("utf-8")
        changed += _rewrite(root, file, with_heading(text, version, one.name))
    if write_index(root):
        changed.append(INDEX.as_posix())
    return sorted(set(changed))


def _bump_problems(root: Path, version: str) -> Iterator[str]:
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        yield f"{version!r} is no version such as 0.2.0"
        return
    for one in distributions(root):
        if Version(one.version) > Version(version):
            yield f"{one.name}: version {version} is older than its {one.version}"
    changelog = root / "CHANGELOG.md"
    if heading(changelog) not in (UNRELEASED, version):
        yield f"CHANGELOG.md has no section '## {UNRELEASED}': write there what has changed"


def _bump_projects(root: Path, version: str) -> Iterator[str]:
    for one in distributions(root):
        file = root / one.folder / "pyproject.toml"
        text = VERSION_LINE.sub(f'version = "{version}"', file.read_text("utf-8"), count=1)
        yield from _rewrite(root, file, with_ranges(text, version))
    for package in ("kernel/specloom", "plugins/*/specloom_*"):
        for file in sorted(root.glob(f"{package}/__init__.py")):
            text = file.read_text("utf-8")
            yield from _rewrite(root, file, MODULE_VERSION.sub(f'__version__ = "{version}"', text))


def _bump_texts(root: Path, version: str) -> Iterator[str]:
    for pattern in ("*.md", "docs/**/*.md", "plugins/README.md"):
        for file in sorted(root.glob(pattern)):
            if file.name != "CHANGELOG.md":
                text = with_ranges(file.read_text("utf-8"), version)
                yield from _rewrite(root, file, text)
    citation = root / "CITATION.cff"
    if citation.is_file():
        text = CITED_VERSION.sub(f"version: {version}", citation.read_text("utf-8"), count=1)
        yield from _rewrite(root, citation, text)


def _rewrite(root: Path, file: Path, text: str) -> Iterator[str]:
    if file.read_text("utf-8") != text:
        file.write_text(text, "utf-8")
        yield file.relative_to(root).as_posix()


def with_ranges(text: str, version: str) -> str:
    """A text with the ranges of our own distributions moved to the minor version of ``version``.

    >>> with_ranges("specloom-rx>=0.1,<0.2", "0.2.0")
    'specloom-rx>=0.2,<0.3'
    """
    major, minor = version.split(".")[:2]
    return RANGE.sub(rf"\1>={major}.{minor},<{major}.{int(minor) + 1}", text)


def with_heading(text: str, version: str, name: str) -> str:
    """A changelog whose top section is that of ``version``."""
    top = re.search(r"^## .*$", text, re.MULTILINE)
    if top is None:
        raise ReleaseError(f"{name}: its CHANGELOG has no section")
    title = top.group().removeprefix("## ")
    if title == version:
        return text
    if title == UNRELEASED:
        return text.replace(f"## {UNRELEASED}", f"## {version}", 1)
    minor = version.rpartition(".")[0]
    added = f"## {version}\n- Needs specloom {minor}.\n\n"
    return text[: top.start()] + added + text[top.start() :]


def git(root: Path, *arguments: str, text: str | None = None) -> str:
    """What git prints.

    Raises:
        ReleaseError: It fails.
    """
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ReleaseError(f"git {arguments[0]} fails: {done.stderr.strip()}")
    return done.stdout.strip()


def _package(one: Distribution) -> str:
    return MAIN if one.name == MAIN else f"{MAIN}-{one.name}"


def _refuse(reasons: Iterable[str]) -> None:
    found = list(reasons)
    if found:
        raise ReleaseError("\n".join(found))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    made.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    commands = made.add_subparsers(dest="command", required=True)
    tagging = commands.add_parser("tag", help="Tag distributions at HEAD.")
    tagging.add_argument("names", nargs="*", metavar="NAME", help="rx, or rx-v0.2.0, or specloom.")
    tagging.add_argument("--all", action="store_true", help="Every distribution.")
    tagging.add_argument("--dry-run", action="store_true", help="Make no tag, show them only.")
    indexing = commands.add_parser("index", help="Write registry/index.yaml from the tags.")
    indexing.add_argument("--check", action="store_true", help="Write nothing; 1 if it differs.")
    bumping = commands.add_parser("bump", help="Set the version of every distribution.")
    bumping.add_argument("version", metavar="VERSION")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0, or 1 where a release is refused."""
    command_line = parser()
    chosen = command_line.parse_args(arguments)
    try:
        if chosen.command == "tag":
            if chosen.all == bool(chosen.names):
                command_line.error("name distributions, or give --all")
            return _run_tag(chosen)
        if chosen.command == "index":
            return _run_index(chosen)
        return _run_bump(chosen)
    except ReleaseError as e:
        for line in str(e).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 1


def _run_tag(chosen: argparse.Namespace) -> int:
    made = tag(chosen.root, chosen.names, dry_run=chosen.dry_run)
    for one in made:
        print(f"{'would tag' if chosen.dry_run else 'tagged'} {one}")
    if not made:
        print("nothing to tag: every version has its tag")
    elif not chosen.dry_run:
        print("publish them with: git push --follow-tags")
    return 0


def _run_index(chosen: argparse.Namespace) -> int:
    file = chosen.root / INDEX
    if chosen.check:
        same = file.read_text("utf-8") == index_text(chosen.root)
        print(f"{INDEX.as_posix()}: {'as the tags are' if same else 'differs from the tags'}")
        return int(not same)
    write_index(chosen.root)
    print(f"wrote {INDEX.as_posix()}")
    return 0


def _run_bump(chosen: argparse.Namespace) -> int:
    for file in bump(chosen.root, chosen.version):
        print(f"changed {file}")
    print("next: make setup lock, make test, commit, make release")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
