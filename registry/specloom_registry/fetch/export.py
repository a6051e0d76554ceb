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

FORBIDDEN_MODES = {
    b"120000": ("E-SYMLINK", "symbolic link", "replace the link by the file, and tag again"),
    b"160000": (
        "E-SUBMODULE",
        "submodule",
        "vendor it, or publish it as a dependency, and tag again",
    ),
}
FOLDER_MODE = b"40000"
RAISE_LIMIT = "raise the limit under 'limits:' in plugins.yaml, if you trust the plugin"
MAX_ENTRY = 300  # bytes of a file or folder in a tree
MAX_FILE = 1 << 20  # bytes of a file that is read alone
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
    objects: git.Objects, source: Source, into: Path, owner: str, limits: Limits, commit: str = ""
) -> Exported:
    """Write the files of a tag, or of ``commit``, into a new folder.

    Raises:
        ConfigError: The tag holds something that no plugin may hold.
        PluginIntegrityError: The repository does not hold what its names say.
    """
    name = commit or f"refs/tags/{source.tag}"
    try:
        tag_object, found, git_tree = _resolve_commit(objects, name, owner, source.tag)
        folder = _plugin_folder(objects, git_tree, source, owner)
        blobs = list(_walk(objects, folder, owner, limits))
        tree.check_names((path for path, _ in blobs), owner)
        blobs = [(path, blob) for path, blob in blobs if not tree.is_ignored(path)]
        hashes, size = _write(objects, blobs, into, owner, limits)
    except KeyError as e:
        what = f"E-GIT {owner}: the repository sent no whole object {e}"
        raise PluginIntegrityError(what, fix="fetch it again, or use a mirror") from e
    return Exported(
        tag_object=tag_object,
        commit=found,
        git_tree=git_tree,
        tree=tree.tree_hash(hashes),
        hashes=hashes,
        bytes=size,
    )


def read_file(repository: Path, source: Source, path: str) -> bytes | None:
    """Return one file of a fetched tag; None if it is absent or larger than 1 MiB."""
    parts = [part for part in (source.subdir, path) if part]
    with git.objects(repository) as objects:
        try:
            _, _, data = objects.read(f"refs/tags/{source.tag}:{'/'.join(parts)}", MAX_FILE)
        except (KeyError, OverflowError):
            return None
    return data


def _resolve_commit(objects: git.Objects, name: str, owner: str, tag: str) -> tuple[str, str, str]:
    """Return the object that a name has, the commit it leads to, and that commit's tree."""
    first, kind, data = objects.read(name)
    sha = first
    while kind == "tag":
        header = data.split(b"\n\n")[0]
        fields = dict(line.split(b" ", 1) for line in header.splitlines())
        sha, kind, data = objects.read(fields[b"object"].decode())
    if kind != "commit":
        raise ConfigError(
            f"E-TAG-KIND {owner}: tag {tag!r} leads to a {kind}, not to a commit",
            fix="name a tag of a commit",
        )
    tree_line = data.split(b"\n", 1)[0]
    return first, sha, tree_line.split()[1].decode()


def _plugin_folder(objects: git.Objects, git_tree: str, source: Source, owner: str) -> str:
    """Return the tree of the plugin's folder within a commit's tree."""
    if not source.subdir:
        return git_tree
    try:
        sha, kind, _ = objects.read(f"{git_tree}:{source.subdir}")
    except KeyError:
        kind = ""
    if kind != "tree":
        raise ConfigError(
            f"E-SUBDIR {owner}: tag {source.tag!r} has no folder {source.subdir!r}",
            fix="correct 'subdir', or name a tag that has the folder",
        )
    return sha


def _walk(objects: git.Objects, sha: str, owner: str, limits: Limits) -> Iterator[tuple[str, str]]:
    """Yield every file below a tree: its path and its blob.

    What is over a limit is found on the way: a few objects can name each other so that they make
    more paths than can be listed, or deeper ones than can be named.

    Raises:
        ConfigError: There are too many files and folders, too long a path, or a link.
    """
    pending = [(sha, "")]
    counts = {True: 0, False: 0}  # of folders, and of files
    while pending:
        name, prefix = pending.pop()
        try:
            _, _, data = objects.read(name, limits.files * MAX_ENTRY)
        except OverflowError:
            raise _count_error(owner, limits) from None
        for mode, part, child in _tree_entries(data):
            path = prefix + part
            is_folder = mode == FOLDER_MODE
            counts[is_folder] += 1
            if counts[is_folder] > limits.files:
                raise _count_error(owner, limits)
            if len(path) > tree.LONGEST_PATH:
                tree.check_names([path], owner)
            if mode in FORBIDDEN_MODES:
                code, kind, fix = FORBIDDEN_MODES[mode]
                what = f"{code} {owner}: the {kind} {path!r} is not supported"
                raise ConfigError(what, fix=fix)
            if is_folder:
                pending.append((child, f"{path}/"))
            else:
                yield path, child


def _tree_entries(data: bytes) -> Iterator[tuple[bytes, str, str]]:
    """Yield mode, name and object of each entry of a tree: ``mode name NUL`` and 20 bytes."""
    position = 0
    while position < len(data):
        end = data.index(b"\0", position)
        mode, _, name = data[position:end].partition(b" ")
        position = end + 21
        yield mode, name.decode(errors="surrogateescape"), data[end + 1 : position].hex()


def _write(
    objects: git.Objects, blobs: list[tuple[str, str]], into: Path, owner: str, limits: Limits
) -> tuple[dict[str, str], int]:
    """Write the files; return their hashes and their size together."""
    hashes = dict[str, str]()
    size = 0
    folders = {into}
    for path, blob in blobs:
        try:
            _, _, data = objects.read(blob, limits.bytes - size)
        except OverflowError:
            raise _limit_error("its files", f"bytes: {limits.bytes}", owner) from None
        size += len(data)
        if data.startswith(LFS):
            raise ConfigError(
                f"E-LFS {owner}: {path!r} is a pointer to a file that Git LFS holds",
                fix="commit the file itself, or let the plugin fetch it by its hash",
            )
        file = into / path
        if file.parent not in folders:
            file.parent.mkdir(parents=True, exist_ok=True)
            folders.add(file.parent)
        file.write_bytes(data)
        hashes[path] = hashlib.sha256(data).hexdigest()
    return hashes, size


def _count_error(owner: str, limits: Limits) -> ConfigError:
    return ConfigError(
        f"E-LIMIT {owner}: it has more files or folders than the limit (files: {limits.files})",
        fix=RAISE_LIMIT,
    )


def _limit_error(what: str, limit: str, owner: str) -> ConfigError:
    return ConfigError(
        f"E-LIMIT {owner}: {what} are over the limit ({limit})",
        fix=RAISE_LIMIT,
    )
