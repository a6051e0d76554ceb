"""Bring one plugin's files from its tag into the store."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import ConfigError, did_you_mean
from specloom_registry.base.faults import PluginIntegrityError, PluginUnavailableError
from specloom_registry.fetch import export, git
from specloom_registry.model.metadata import version_from_tag
from specloom_registry.model.options import Options
from specloom_registry.model.source import Source, check_url
from specloom_registry.model.versions import parse_version
from specloom_registry.store import file_lock, tree

if TYPE_CHECKING:
    from specloom_registry.fetch.export import Exported
    from specloom_registry.store.store import Store

MISSING_REF = re.compile(r"couldn't find remote ref|not our ref|no such remote ref")
DISK_FULL = re.compile(
    r"No space left|Disk quota exceeded|File too large|short write", re.IGNORECASE
)


@dataclass
class SharedRepository:
    """A bare repository for the tags that several plugins have of one URL.

    Args:
        folder: Its folder.
        tags: The tags.
        guard: Held while something is fetched into it.
        fetched: The tags that are there; None before they are fetched.
    """

    folder: Path
    tags: tuple[str, ...]
    guard: threading.Lock = field(default_factory=threading.Lock)
    fetched: tuple[str, ...] | None = None


@dataclass
class FetchContext:
    """How plugins are fetched.

    Args:
        store: Where they are put.
        options: The manifest's mirrors and limits.
        offline: Whether the network may not be used.
        allow_file: Whether a local repository may be named by its URL.
        frozen: Whether a locked commit must be the one that its tag leads to.
        lock_timeout: Seconds to wait for another process that fetches the same.
        notices: Warnings for the user; the list grows.
        fetched: The plugins that were fetched; the list grows.
        shared: By URL, the repositories of which several plugins are fetched together.
    """

    store: Store
    options: Options = field(default_factory=Options)
    offline: bool = False
    allow_file: bool = False
    frozen: bool = False
    lock_timeout: float = file_lock.TIMEOUT
    notices: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    shared: dict[str, SharedRepository] = field(default_factory=dict)


@contextmanager
def shared_repositories(context: FetchContext, sources: Iterable[Source]) -> Iterator[None]:
    """Fetch each repository once, and not for each of its plugins, while inside.

    Args:
        context: How plugins are fetched.
        sources: Where those come from that may be fetched.
    """
    tags = defaultdict[str, list[str]](list)
    for source in sources:
        if source.git:
            tags[source.git].append(source.tag)
    with ExitStack() as stages:
        for url, of_url in tags.items():
            if len(of_url) > 1:
                stage = stages.enter_context(context.store.stage())
                names = tuple(dict.fromkeys(of_url))
                context.shared[url] = SharedRepository(stage / "git", names)
        try:
            yield
        finally:
            context.shared.clear()


def fetch_tag(context: FetchContext, name: str, source: Source, where: str) -> Exported:
    """Put the files of a tag into the store; return what the tag leads to.

    Raises:
        ConfigError: There is no such tag, or it holds what no plugin may hold.
        PluginUnavailableError: No URL of the repository can be reached.
    """
    check_url(source.git, f"plugin {name!r}", where, allow_file=context.allow_file)
    with _exclusive(context, name, source), context.store.stage() as stage:
        folder = _repository(context, source, stage)
        _fetch(context, name, source, where, folder)
        with git.objects(folder) as objects:
            found = _export(context, name, source, stage, objects)
        if source.commit and source.commit != found.commit:
            raise PluginIntegrityError(
                f"E-COMMIT plugin {name!r}: tag {source.tag!r} leads to commit {found.commit}, "
                f"not to {source.commit}",
                where=where,
                fix="correct 'commit', or find out who moved the tag",
            )
        _publish(context, name, stage, found)
    return found


def fetch_locked(
    context: FetchContext, name: str, source: Source, record: Mapping[str, Any], where: str
) -> bool:
    """Put the files that a lock names into the store; return whether they were missing there.

    Raises:
        PluginUnavailableError: No URL that has them can be reached.
        PluginIntegrityError: The tag leads to something else now.
    """
    if context.store.has_tree(record["tree"]):
        return False
    check_url(source.git, f"plugin {name!r}", where, allow_file=context.allow_file)
    with _exclusive(context, name, source):
        if context.store.has_tree(record["tree"]):
            return False
        with context.store.stage() as stage:
            found = _export_locked(context, name, source, record["source"], where, stage)
            if found.tree != record["tree"]:
                raise PluginIntegrityError(
                    f"E-HASH plugin {name!r}: commit {found.commit[:12]} holds {found.tree[:15]}, "
                    f"but {record['tree'][:15]} is locked; nothing was changed",
                    where=where,
                    fix="fetch it from another mirror, and find out who changed it",
                )
            _publish(context, name, stage, found)
    return True


def _publish(context: FetchContext, name: str, stage: Path, found: Exported) -> None:
    folder = context.store.tree_folder(found.tree)
    with context.store.disk_errors():
        context.store.publish(stage / "tree", folder)
    context.store.remember(found.tree, files=found.hashes, signature=tree.signature(folder))
    context.fetched.append(name)


@contextmanager
def _exclusive(context: FetchContext, name: str, source: Source) -> Iterator[None]:
    """Keep other processes from fetching the same tag."""
    key = hashlib.sha256("\0".join([source.git, source.tag, source.subdir]).encode()).hexdigest()
    file = context.store.folder("locks") / f"{key[:32]}.lock"
    with file_lock.locked(file, name, timeout=context.lock_timeout):
        yield


def _repository(context: FetchContext, source: Source, stage: Path) -> Path:
    """Return the bare repository to fetch into: the shared one of the URL, or one of its own."""
    shared = context.shared.get(source.git)
    if shared is None:
        return stage / "git"
    return shared.folder


def _export(
    context: FetchContext,
    name: str,
    source: Source,
    stage: Path,
    objects: git.Objects,
    commit: str = "",
) -> Exported:
    target = stage / "tree"
    target.mkdir()
    owner = f"plugin {name!r}"
    return export.export(objects, source, target, owner, context.options.limits, commit)


def _export_locked(
    context: FetchContext,
    name: str,
    source: Source,
    locked: Mapping[str, Any],
    where: str,
    stage: Path,
) -> Exported:
    """Fetch the commit that is locked and write its files, whatever its tag leads to now."""
    folder = _repository(context, source, stage)
    change = "it is no longer there"
    if _fetch_if_there(context, name, source, where, folder):
        with git.objects(folder) as objects:
            tag_object, commit = _read_tag(objects, source.tag)
            if commit == locked["commit"]:
                if tag_object != locked["tag_object"]:
                    context.notices.append(
                        f"W-TAG-AGAIN {name} {source.tag}: was created again on the same commit"
                    )
                return _export(context, name, source, stage, objects)
        change = f"locked {locked['commit'][:12]}, remote now {commit[:12] or 'no commit'}"
    _fetch_commit_of_moved_tag(context, name, source, locked, where, folder, change)
    with git.objects(folder) as objects:
        return _export(context, name, source, stage, objects, locked["commit"])


def _fetch_if_there(
    context: FetchContext, name: str, source: Source, where: str, folder: Path
) -> bool:
    """Fetch a tag; return whether there is one."""
    try:
        _fetch(context, name, source, where, folder)
    except ConfigError:
        return False
    return True


def _read_tag(objects: git.Objects, tag: str) -> tuple[str, str]:
    """Return the object of a tag, and the commit it leads to; empty if that is something else."""
    tag_object, _, _ = objects.read(f"refs/tags/{tag}")
    try:
        commit, _, _ = objects.read(f"refs/tags/{tag}^{{commit}}")
    except KeyError:
        commit = ""
    return tag_object, commit


def _fetch_commit_of_moved_tag(
    context: FetchContext,
    name: str,
    source: Source,
    locked: Mapping[str, Any],
    where: str,
    folder: Path,
    change: str,
) -> None:
    """Fetch the commit that is locked, which the tag does not lead to any more.

    Raises:
        PluginIntegrityError: It is not available, or must be that of the tag.
    """
    if context.frozen:
        raise PluginIntegrityError(
            f"E-TAG-MOVED plugin {name!r}: tag {source.tag!r} does not hold the locked commit: "
            f"{change}; nothing was changed",
            where=where,
            fix="find out who changed the lock or moved the tag; then lock it again: "
            f"specloom plugins update {name} --accept-moved-tag",
        )
    try:
        _fetch(context, name, source, where, folder, locked["commit"])
    except (ConfigError, PluginUnavailableError) as e:
        raise PluginIntegrityError(
            f"E-TAG-MOVED plugin {name!r}: tag {source.tag!r}: {change}, and the locked commit "
            "is not available; nothing was changed",
            where=where,
            fix=f"sync from a mirror or a vendor folder, or accept what is there now: "
            f"specloom plugins update {name} --accept-moved-tag",
        ) from e
    context.notices.append(
        f"W-TAG-MOVED {name} {source.tag}: {change}; using the locked commit. "
        f"To accept it: specloom plugins update {name} --accept-moved-tag"
    )


def _fetch(
    context: FetchContext, name: str, source: Source, where: str, folder: Path, commit: str = ""
) -> None:
    """Fetch a tag, or a commit, from the first URL that has it."""
    if context.offline:
        raise PluginUnavailableError(
            f"E-OFFLINE plugin {name!r}: {source.tag!r} is not in the store, and the network may "
            "not be used",
            where=where,
            fix="run it again without --offline, or with --from a vendor folder",
        )
    shared = context.shared.get(source.git)
    if shared is None:
        _fetch_one(context, name, source, where, folder, commit)
        return
    with shared.guard:
        if shared.fetched is None:
            shared.fetched = _fetch_shared(context, source.git, shared)
        if commit or source.tag not in shared.fetched:
            _fetch_one(context, name, source, where, folder, commit)


def _fetch_shared(context: FetchContext, address: str, shared: SharedRepository) -> tuple[str, ...]:
    """Fetch all tags of a shared repository; return those that are there now: all, or none.

    Where this fails, each is fetched by itself, and what is wrong with one is reported.
    """
    for url in context.options.urls(address):
        try:
            git.fetch_tags(shared.folder, url, shared.tags)
        except git.GitError:
            continue
        return shared.tags
    return ()


def _fetch_one(
    context: FetchContext, name: str, source: Source, where: str, folder: Path, commit: str
) -> None:
    """Fetch a tag, or a commit, from the first URL that has it."""
    reasons = list[str]()
    fix = git.NO_ADVICE
    url_without_tag = ""
    for url in context.options.urls(source.git):
        try:
            return git.fetch(folder, url, source.tag, commit)
        except git.GitError as e:
            if DISK_FULL.search(e.what):
                with context.store.disk_errors():
                    raise OSError(28, "No space left on device") from e
            if MISSING_REF.search(e.what) and not url_without_tag:
                url_without_tag = url
            reasons.append(f"{url}: {e.what.removeprefix('E-GIT ')}")
            if fix == git.NO_ADVICE:
                fix = e.fix
    if url_without_tag and not commit:
        raise _missing_tag(name, source, where, url_without_tag)
    lines = "".join(f"\n    {reason}" for reason in reasons)
    what = f"E-UNAVAILABLE plugin {name!r}: {commit or source.tag} cannot be fetched{lines}"
    raise PluginUnavailableError(what, where=where, fix=fix)


def _missing_tag(name: str, source: Source, where: str, url: str) -> ConfigError:
    found = git.tags(url)
    fix = "name one of them; branches are not accepted"
    listed = "it has no tags"
    if found:
        newest_first = sorted(found, key=lambda tag: _sort_key(tag, name, source), reverse=True)
        listed = f"tags there: {', '.join(newest_first[:8])}"
        suggestion = did_you_mean(source.tag, found)
        if suggestion.startswith("did you mean"):
            fix = suggestion
    what = f"E-TAG-MISSING plugin {name!r}: no tag {source.tag!r} at {url}; {listed}"
    return ConfigError(what, where=where, fix=fix)


def _sort_key(tag: str, name: str, source: Source) -> Any:
    """Return what sorts tags by version, those without one first."""
    version = version_from_tag(tag, name, source.tag_pattern)
    if version is None:
        return (0, tag)
    return (1, parse_version(version))
