"""A tag's files, read from a fetched repository and written by us, byte for byte as committed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from specloom.contract.errors import ConfigError
from specloom_registry.base.faults import PluginIntegrityError
from specloom_registry.fetch import git
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom_registry.model.options import Limits
    from specloom_registry.model.source import Source

MODES = {b"120000": "E-SYMLINK", b"160000": "E-SUBMODULE"}
LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Exported:
    """What a tag led to, and what was written."""

    tag_object: str
    commit: str
    git_tree: str
    tree: str
    hashes: Mapping[str, str]
    bytes: int


def export(
    repository: Path, source: Source, into: Path, owner: str, limits: Limits, commit: str = ""
) -> Exported:
    """Write the files of a tag, or of ``commit``, into a new folder.

    Raises:
        ConfigError: The tag holds something that no plugin may hold.
        PluginIntegrityError: The repository does not hold what its names say.
    """
    with git.objects(repository) as objects:
        name = commit or f"refs/tags/{source.tag}"
        try:
            tag_object, found, top = _commit(objects, name, owner, source.tag)
            entries = list(_entries(objects, _folder(objects, top, source, owner), owner))
            tree.check_names((path for path, _ in entries), owner)
            kept = [e for e in entries if not any(map(tree.LEFT_BEHIND.fullmatch, e[0].split("/")))]
            if len(kept) > limits.files:
                _too_large(f"{len(kept)} files", f"files: {limits.files}", owner)
            hashes, total = _write(objects, kept, into, owner, limits)
        except KeyError as e:
            what = f"E-GIT {owner}: the repository sent no whole object {e}"
            raise PluginIntegrityError(what, fix="fetch it again, or use a mirror") from e
    return Exported(tag_object, found, top, tree.tree_hash(hashes), hashes, total)


def read_file(repository: Path, source: Source, path: str) -> bytes | None:
    """One file of a fetched tag; None if it is not there."""
    with git.objects(repository) as objects:
        prefix = f"{source.subdir}/" if source.subdir else ""
        try:
            return objects.read(f"refs/tags/{source.tag}:{prefix}{path}", 1 << 20)[2]
        except (KeyError, OverflowError):
            return None


def _commit(objects: git.Objects, name: str, owner: str, asked: str) -> tuple[str, str, str]:
    """The object that a name has, the commit it leads to, and that commit's tree."""
    first, kind, data = objects.read(name)
    sha = first
    while kind == "tag":
        fields = dict(line.split(b" ", 1) for line in data.split(b"\n\n")[0].splitlines())
        sha, kind, data = objects.read(fields[b"object"].decode())
    if kind != "commit":
        raise ConfigError(
            f"E-TAG-KIND {owner}: tag {asked!r} leads to a {kind}, not to a commit",
            fix="name a tag of a commit",
        )
    return first, sha, data.split(b"\n", 1)[0].split()[1].decode()


def _folder(objects: git.Objects, top: str, source: Source, owner: str) -> str:
    if not source.subdir:
        return top
    try:
        sha, kind, _ = objects.read(f"{top}:{source.subdir}")
    except KeyError:
        kind = ""
    if kind != "tree":
        raise ConfigError(
            f"E-SUBDIR {owner}: tag {source.tag!r} has no folder {source.subdir!r}",
            fix="correct 'subdir', or name a tag that has the folder",
        )
    return sha


def _entries(objects: git.Objects, sha: str, owner: str) -> Iterator[tuple[str, str]]:
    """Every file below a tree: its path and its blob."""
    waiting = [(sha, "")]
    while waiting:
        name, above = waiting.pop()
        _, _, data = objects.read(name)
        position = 0
        while position < len(data):
            end = data.index(b"\0", position)
            mode, _, raw = data[position:end].partition(b" ")
            path = above + raw.decode(errors="surrogateescape")
            blob = data[end + 1 : end + 21].hex()
            position = end + 21
            if code := MODES.get(mode):
                _not_plain(code, path, owner)
            if mode == b"40000":
                waiting.append((blob, f"{path}/"))
            else:
                yield path, blob


def _not_plain(code: str, path: str, owner: str) -> None:
    kind, fix = {
        "E-SYMLINK": ("symbolic link", "replace the link by the file, and tag again"),
        "E-SUBMODULE": ("submodule", "vendor it, or publish it as a dependency, and tag again"),
    }[code]
    raise ConfigError(f"{code} {owner}: the {kind} {path!r} is not supported", fix=fix)


def _write(
    objects: git.Objects, entries: list[tuple[str, str]], into: Path, owner: str, limits: Limits
) -> tuple[dict[str, str], int]:
    hashes, total = dict[str, str](), 0
    made = {into}
    for path, blob in entries:
        try:
            _, _, data = objects.read(blob, limits.bytes - total)
        except OverflowError:
            _too_large("its files", f"bytes: {limits.bytes}", owner)
        total += len(data)
        if data.startswith(LFS):
            raise ConfigError(
                f"E-LFS {owner}: {path!r} is a pointer to a file that Git LFS holds",
                fix="commit the file itself, or let the plugin fetch it by its hash",
            )
        file = into / path
        if file.parent not in made:
            file.parent.mkdir(parents=True, exist_ok=True)
            made.add(file.parent)
        file.write_bytes(data)
        hashes[path] = hashlib.sha256(data).hexdigest()
    return hashes, total


def _too_large(what: str, limit: str, owner: str) -> None:
    raise ConfigError(
        f"E-LIMIT {owner}: {what} are over the limit ({limit})",
        fix="raise the limit under 'limits:' in plugins.yaml, if you trust the plugin",
    )
