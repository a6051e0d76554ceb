"""Tags of a plugin by version: the newest, and the newest that this kernel can use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import specloom
from specloom_registry.base import faults
from specloom_registry.fetch import export, git
from specloom_registry.model import requirements
from specloom_registry.model.metadata import PYTHON, version_of
from specloom_registry.model.source import Source
from specloom_registry.model.versions import Version, allows, newest

if TYPE_CHECKING:
    from specloom_registry.fetch.fetch import Fetching

MOST_LOOKED_AT = 20


def versions(how: Fetching, name: str, source: Source) -> dict[str, str]:
    """The tags that spell versions, from the first place that answers.

    Raises:
        GitError: None does.
    """
    *mirrors, origin = how.options.places(source.git)
    for url in mirrors:
        try:
            return _spelled(git.tags(url), name, source)
        except git.GitError:
            continue
    return _spelled(git.tags(origin), name, source)


def newest_that_fits(how: Fetching, name: str, source: Source) -> str:
    """The newest tag whose plugin wants this kernel and this Python; empty if there is none."""
    try:
        known = versions(how, name, source)
    except git.GitError:
        return ""
    for _ in range(min(len(known), MOST_LOOKED_AT)):
        tag = newest(known)
        if tag is None:
            break
        if known.pop(tag) and _fits(how, _at(source, tag)):
            return tag
    return ""


def newest_tag(how: Fetching, name: str, source: Source) -> str:
    """The tag of the newest version; empty if no tag spells a version.

    Raises:
        GitError: No place that has the repository can be reached.
    """
    return newest(versions(how, name, source)) or ""


def _spelled(tags: dict[str, tuple[str, str]], name: str, source: Source) -> dict[str, str]:
    found = {tag: version_of(tag, name, source.tag_pattern) for tag in tags}
    return {tag: version for tag, version in found.items() if version and Version(version)}


def _at(source: Source, tag: str) -> Source:
    return Source(source.git, tag, "", source.subdir, source.tag_pattern)


def _fits(how: Fetching, source: Source) -> bool:
    with how.store.stage() as stage:
        for url in how.options.places(source.git):
            try:
                git.fetch(stage / "git", url, source.tag)
                break
            except git.GitError:
                continue
        else:
            return False
        data = export.read_file(stage / "git", source, "pyproject.toml")
    try:
        project = faults.parse_toml((data or b"").decode())["project"]
        wanted = map(requirements.parse, project.get("dependencies", []))
        good = all(one.met_by(specloom.__version__) for one in wanted if one.name == "specloom")
        return good and allows(project.get("requires-python", ""), PYTHON)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
