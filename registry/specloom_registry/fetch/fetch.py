"""Bring one plugin's files from its tag into the store."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, did_you_mean
from specloom_registry.base.faults import PluginIntegrityError, PluginUnavailableError
from specloom_registry.fetch import export, git
from specloom_registry.model.metadata import version_of
from specloom_registry.model.options import Options
from specloom_registry.model.source import Source, check_url
from specloom_registry.model.versions import Version
from specloom_registry.store import file_lock, tree

if TYPE_CHECKING:
    from specloom_registry.fetch.export import Exported
    from specloom_registry.store.store import Store

ABSENT = re.compile(r"couldn't find remote ref|not our ref|no such remote ref")
NO_ROOM = re.compile(r"No space left|Disk quota exceeded|File too large|short write", re.IGNORECASE)


@dataclass
class Fetching:
    """How plugins are fetched.

    Args:
        store: Where they are put.
        options: The manifest's mirrors and limits.
        offline: Whether nothing may be asked of another machine.
        allow_file: Whether a local repository may be named by its URL.
        patience: Seconds to wait for another process that fetches the same.
        notices: What the user should know of; it grows.
    """

    store: Store
    options: Options = field(default_factory=Options)
    offline: bool = False
    allow_file: bool = False
    patience: float = file_lock.PATIENCE
    notices: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)


def resolve(how: Fetching, name: str, source: Source, where: str) -> Exported:
    """Find out what a tag leads to, and put its files into the store.

    Raises:
        ConfigError: The tag is not there, or holds what no plugin may hold.
        PluginUnavailableError: No place that has the repository can be reached.
    """
    check_url(source.git, f"plugin {name!r}", where, allow_file=how.allow_file)
    with _one_at_a_time(how, name, source), how.store.stage() as stage:
        _fetch(how, name, source, where, stage / "git")
        found = _export(how, name, source, stage)
        if source.commit and source.commit != found.commit:
            raise PluginIntegrityError(
                f"E-COMMIT plugin {name!r}: tag {source.tag!r} leads to commit {found.commit}, "
                f"not to {source.commit}",
                where=where,
                fix="correct 'commit', or find out who moved the tag",
            )
        _publish(how, name, stage, found)
    return found


def obtain(how: Fetching, name: str, source: Source, locked: Mapping[str, Any], where: str) -> bool:
    """Put the files that a lock names into the store; whether they were not there.

    Raises:
        PluginUnavailableError: No place that has them can be reached.
        PluginIntegrityError: What the tag leads to now is something else.
    """
    if how.store.has(locked["tree"]):
        return False
    check_url(source.git, f"plugin {name!r}", where, allow_file=how.allow_file)
    with _one_at_a_time(how, name, source):
        if how.store.has(locked["tree"]):
            return False
        with how.store.stage() as stage:
            commit = _fetch_locked(how, name, source, locked, where, stage / "git")
            found = _export(how, name, source, stage, commit)
            if found.tree != locked["tree"]:
                raise PluginIntegrityError(
                    f"E-HASH plugin {name!r}: commit {found.commit[:12]} holds {found.tree[:15]}, "
                    f"but {locked['tree'][:15]} is locked; nothing was changed",
                    where=where,
                    fix="fetch it from another mirror, and find out who changed it",
                )
            _publish(how, name, stage, found)
    return True


def _publish(how: Fetching, name: str, stage: Path, found: Exported) -> None:
    place = how.store.tree(found.tree)
    with how.store.writing():
        how.store.publish(stage / "tree", place)
    how.store.remember(found.tree, files=found.hashes, signature=tree.signature(place))
    how.fetched.append(name)


@contextmanager
def _one_at_a_time(how: Fetching, name: str, source: Source) -> Iterator[None]:
    key = hashlib.sha256("\0".join([source.git, source.tag, source.subdir]).encode()).hexdigest()
    file = how.store.folder("locks") / f"{key[:32]}.lock"
    with file_lock.locked(file, name, timeout=how.patience):
        yield


def _export(how: Fetching, name: str, source: Source, stage: Path, commit: str = "") -> Exported:
    owner, limits = f"plugin {name!r}", how.options.limits
    (stage / "tree").mkdir()
    return export.export(stage / "git", source, stage / "tree", owner, limits, commit)


def _fetch_locked(
    how: Fetching, name: str, source: Source, locked: Mapping[str, Any], where: str, folder: Path
) -> str:
    """Fetch what is locked; the commit to read, or empty for what the tag leads to."""
    was = locked["source"]
    try:
        _fetch(how, name, source, where, folder)
        with git.objects(folder) as objects:
            tag_object = objects.read(f"refs/tags/{source.tag}")[0]
            try:
                now = objects.read(f"refs/tags/{source.tag}^{{commit}}")[0]
            except KeyError:
                now = ""
        told = f"locked {was['commit'][:12]}, remote now {now[:12] or 'no commit'}"
    except ConfigError:  # the tag is no longer there
        tag_object, now, told = "", "", "it is no longer there"
    if now == was["commit"]:
        if tag_object != was["tag_object"]:
            how.notices.append(f"W-TAG-AGAIN {name} {source.tag}: made again on the same commit")
        return ""
    try:
        _fetch(how, name, source, where, folder, was["commit"])
    except (ConfigError, PluginUnavailableError) as e:
        raise PluginIntegrityError(
            f"E-TAG-MOVED plugin {name!r}: tag {source.tag!r}: {told}, and the locked commit "
            "cannot be had; nothing was changed",
            where=where,
            fix=f"sync from a mirror or a vendor folder, or accept what is there now: "
            f"specloom plugins update {name} --accept-moved-tag",
        ) from e
    how.notices.append(
        f"W-TAG-MOVED {name} {source.tag}: {told}; using the locked commit. "
        f"To accept it: specloom plugins update {name} --accept-moved-tag"
    )
    return str(was["commit"])


def _fetch(
    how: Fetching, name: str, source: Source, where: str, folder: Path, commit: str = ""
) -> None:
    """Fetch from the first place that has it."""
    reasons, fix = list[str](), ""
    if how.offline:
        raise PluginUnavailableError(
            f"E-OFFLINE plugin {name!r}: {source.tag!r} is not in the store, and nothing may be "
            "fetched",
            where=where,
            fix="run it again without --offline, or with --from a vendor folder",
        )
    absent = ""
    for url in how.options.places(source.git):
        try:
            return git.fetch(folder, url, source.tag, commit)
        except git.GitError as e:
            if NO_ROOM.search(e.what):
                with how.store.writing():
                    raise OSError(28, "No space left on device") from e
            if ABSENT.search(e.what):
                absent = absent or url
            reasons.append(f"{url}: {e.what.removeprefix('E-GIT ')}")
            fix = fix if fix not in ("", git.NO_ADVICE) else e.fix
    if absent and not commit:
        raise _no_tag(name, source, where, absent)
    lines = "".join(f"\n    {reason}" for reason in reasons)
    what = f"E-UNAVAILABLE plugin {name!r}: {commit or source.tag} cannot be fetched{lines}"
    raise PluginUnavailableError(what, where=where, fix=fix)


def _no_tag(name: str, source: Source, where: str, url: str) -> ConfigError:
    found = git.tags(url)
    by_version = sorted(found, key=lambda tag: _order(tag, name, source), reverse=True)
    there = f"tags there: {', '.join(by_version[:8])}" if found else "it has no tags"
    near = did_you_mean(source.tag, found) if found else ""
    fix = near if near.startswith("did") else "name one of them; branches are not accepted"
    what = f"E-TAG-MISSING plugin {name!r}: no tag {source.tag!r} at {url}; {there}"
    return ConfigError(what, where=where, fix=fix)


def _order(tag: str, name: str, source: Source) -> Any:
    text = version_of(tag, name, source.tag_pattern)
    return (0, tag) if text is None else (1, Version(text).key)
