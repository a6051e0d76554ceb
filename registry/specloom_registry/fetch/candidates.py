"""Tags of a plugin by version: the newest, and the newest that this kernel can use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import specloom
from specloom_registry.base import faults
from specloom_registry.fetch import export, git
from specloom_registry.model import requirements
from specloom_registry.model.metadata import PYTHON_VERSION, version_from_tag
from specloom_registry.model.versions import allows, newest

if TYPE_CHECKING:
    from specloom_registry.fetch.fetch import FetchContext
    from specloom_registry.model.source import Source

MAX_TAGS_TRIED = 20


def tag_versions(context: FetchContext, name: str, source: Source) -> dict[str, str]:
    """Return the version of each tag that spells one, from the first URL that answers.

    Raises:
        GitError: None does.
    """
    *mirrors, origin = context.options.urls(source.git)
    for url in mirrors:
        try:
            return _versions_of(git.tags(url), name, source)
        except git.GitError:
            continue
    return _versions_of(git.tags(origin), name, source)


def newest_compatible_tag(context: FetchContext, name: str, source: Source) -> str:
    """Return the newest tag that this kernel and this Python can use; empty if there is none."""
    try:
        versions = tag_versions(context, name, source)
    except git.GitError:
        return ""
    for _ in range(MAX_TAGS_TRIED):
        tag = newest(versions)
        if tag is None:
            break
        if _is_compatible(context, replace(source, tag=tag, commit="")):
            return tag
        del versions[tag]
    return ""


def newest_tag(context: FetchContext, name: str, source: Source) -> str:
    """Return the tag of the newest version; empty if no tag spells a version.

    Raises:
        GitError: No URL of the repository can be reached.
    """
    return newest(tag_versions(context, name, source)) or ""


def _versions_of(tags: Iterable[str], name: str, source: Source) -> dict[str, str]:
    found = {}
    for tag in tags:
        version = version_from_tag(tag, name, source.tag_pattern)
        if version is not None:
            found[tag] = version
    return found


def _is_compatible(context: FetchContext, source: Source) -> bool:
    """Check whether a tag's ``pyproject.toml`` allows this kernel and this Python."""
    data = _fetch_pyproject(context, source)
    if data is None:
        return False
    try:
        return _allows_this(faults.parse_toml(data.decode())["project"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _fetch_pyproject(context: FetchContext, source: Source) -> bytes | None:
    with context.store.stage() as stage:
        for url in context.options.urls(source.git):
            try:
                git.fetch(stage / "git", url, source.tag)
            except git.GitError:
                continue
            return export.read_file(stage / "git", source, "pyproject.toml")
    return None


def _allows_this(project: dict[str, Any]) -> bool:
    for text in project.get("dependencies", []):
        requirement = requirements.parse(text)
        if requirement.name == "specloom" and not requirement.allows(specloom.__version__):
            return False
    return allows(project.get("requires-python", ""), PYTHON_VERSION)
