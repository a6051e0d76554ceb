"""The store: plugins' files under the hash of what they hold, shared by every project.

Only a rename publishes, so that a kill at any moment leaves whole trees or none. What is published
is read-only and never changed; what is found damaged is moved aside, never deleted.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from specloom import process_tag
from specloom_registry.base.faults import PluginIntegrityError, PluginUnavailableError, parse_json
from specloom_registry.base.ownership import check_not_writable, check_owner
from specloom_registry.base.paths import is_folder
from specloom_registry.store import file_lock, tree

TRUSTED_FOLDERS = ("trees", "overlays", "packages", "wheels", "state")
PRIVATE = 0o755  # whatever the umask: others may read the store, and not write it
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Store:
    """One store, created when something is first put in.

    Args:
        root: Its folder; by default ``$SPECLOOM_STORE``, else one in the user's cache.

    Raises:
        PluginIntegrityError: It belongs to another user, or others may write it.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()
        for folder in (self.root, *(self.root / kind for kind in TRUSTED_FOLDERS)):
            check_owner(folder, "the store")
            check_not_writable(folder, "the store")

    def tree_folder(self, name: str) -> Path:
        """Return the folder of a tree."""
        return self.root / "trees" / name

    def has_tree(self, name: str) -> bool:
        """Check whether a tree is in the store."""
        return is_folder(self.tree_folder(name))

    def folder(self, name: str) -> Path:
        """Return a folder of the store, created if need be.

        Raises:
            PluginUnavailableError: It cannot be created.
        """
        with self.disk_errors():
            self.root.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            (self.root / name).mkdir(mode=PRIVATE, exist_ok=True)
        return self.root / name

    @contextmanager
    def without_gc(self) -> Iterator[None]:
        """Keep gc out: what is being put in stands in no lock yet."""
        handle = None
        while handle is None and self.root.is_dir():
            handle = file_lock.acquire(self.root / "use.lock", shared=True)
            if handle is None:
                time.sleep(0.05)
                if not os.access(self.root, os.W_OK):
                    break
        try:
            yield
        finally:
            if handle is not None:
                os.close(handle)

    @contextmanager
    def disk_errors(self) -> Iterator[None]:
        """Report a full or unwritable disk as an error of the user.

        Raises:
            PluginUnavailableError: The disk is full, or may not be written.
        """
        try:
            yield
        except OSError as e:
            reason = e.strerror or str(e)
            if e.errno in DISK_FULL:
                reason = "the disk is full"
            raise PluginUnavailableError(
                f"E-DISK the store {self.root} cannot be written: {reason}; nothing was changed",
                fix="make room, or set SPECLOOM_STORE to a folder on another disk",
            ) from e

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """Create a folder to prepare something in; it is deleted afterwards.

        Raises:
            PluginUnavailableError: The disk is full, or may not be written.
        """
        parent = self.folder("tmp")
        guard = self.folder("locks") / "tmp.lock"
        with self.disk_errors():
            with file_lock.locked(guard, "stages"):
                self._delete_abandoned(parent)
                stage = Path(tempfile.mkdtemp(prefix="stage-", dir=parent))
                handle = file_lock.acquire(stage / ".lock", shared=False)
            try:
                yield stage
            finally:
                with suppress(OSError):
                    tree.remove(stage)
                if handle is not None:
                    os.close(handle)

    def publish(self, staged: Path, target: Path) -> None:
        """Make a staged folder durable and read-only, and rename it to ``target``."""
        self.folder(target.parent.name)
        tree.seal(staged)
        _flush(staged)
        staged.chmod(0o755)  # a folder that may not be written cannot be renamed
        try:
            staged.rename(target)
        except OSError as e:
            if e.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            return  # another process published the same
        target.chmod(0o555)
        _sync_to_disk(target.parent)

    def check(
        self,
        name: str,
        owner: str,
        *,
        full: bool = False,
        state: Mapping[str, Any] | None = None,
    ) -> Mapping[str, str]:
        """Hold a tree to its hash: by its files' sizes and times, else by their bytes.

        Args:
            name: The name of the tree, which is its hash.
            owner: What has it, for messages.
            full: Whether every byte is read, whatever sizes and times say.
            state: What is remembered of the tree, if it was read before.

        Returns:
            The SHA-256 of its files by path: those of the hash, whatever the store remembers.

        Raises:
            PluginUnavailableError: The tree is not in the store.
            PluginIntegrityError: Its files are not what the hash says.
        """
        folder = self.tree_folder(name)
        if not is_folder(folder):
            raise PluginUnavailableError(
                f"E-STORE-MISSING {owner}: its files are not in the store {self.root}",
                fix="run: specloom plugins sync",
            )
        now = tree.signature(folder)
        if state is None:
            state = self.state(name)
        if not full and state.get("signature") == now:
            remembered = _as_hashes(state.get("files"))
            if tree.tree_hash(remembered) == name:
                return remembered
        hashes = _all_hashes(folder)
        found = tree.tree_hash(hashes)
        if found != name:
            changes = self.describe_changes(name)
            raise PluginIntegrityError(
                f"E-STORE {owner}: {changes} in {folder} (its hash is {found[:15]}...)",
                fix="run: specloom plugins sync --repair",
            )
        self.remember(name, signature=now, files=hashes)
        return hashes

    def describe_changes(self, name: str) -> str:
        """Describe how the files of a tree differ from those that were published."""
        before = _as_hashes(self.state(name).get("files"))
        if not before:
            return "files differ"
        now = _all_hashes(self.tree_folder(name))
        common = before.keys() & now.keys()
        changed = [path for path in common if before[path] != now[path]]
        parts = [
            _describe_paths(changed, "differs", "differ"),
            _describe_paths(now.keys() - before.keys(), "was added", "were added"),
            _describe_paths(before.keys() - now.keys(), "is missing", "are missing"),
        ]
        return ", ".join(part for part in parts if part) or "files differ"

    def quarantine(self, name: str) -> Path:
        """Move a tree aside; return where it is now."""
        parent = self.folder("quarantine")
        with self.disk_errors():
            target = Path(tempfile.mkdtemp(prefix=f"{name[:15]}-", dir=parent)) / name
            folder = self.tree_folder(name)
            folder.chmod(0o755)
            folder.rename(target)
        return target

    def state(self, name: str) -> dict[str, Any]:
        """Return what is remembered under a name; all of it can be computed again."""
        try:
            found = parse_json((self.root / "state" / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return {}
        if isinstance(found, dict):
            return found
        return {}

    def remember(self, name: str, **values: Any) -> None:
        """Add values to what is remembered under a name; a read-only store forgets them."""
        with suppress(OSError):
            self.root.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            folder = self.root / "state"
            folder.mkdir(mode=PRIVATE, exist_ok=True)
            text = json.dumps(self.state(name) | values, sort_keys=True)
            replace_file(folder / f"{name}.json", text.encode(), durable=False)

    def _delete_abandoned(self, parent: Path) -> None:
        """Delete the stages of processes that have ended, which freed their locks."""
        for stage in parent.glob("stage-*"):
            handle = file_lock.acquire(stage / ".lock", shared=False)
            if handle is not None:
                with suppress(OSError):
                    tree.remove(stage)
                os.close(handle)


def default_root() -> Path:
    """Return ``$SPECLOOM_STORE``, else a folder in the user's cache.

    Raises:
        PluginUnavailableError: There is no home folder.
    """
    configured = os.environ.get("SPECLOOM_STORE")
    if configured:
        return Path(configured).absolute()
    return _cache_folder() / "specloom/store-1"


def _cache_folder() -> Path:
    configured = os.environ.get("XDG_CACHE_HOME")
    if configured:
        return Path(configured)
    try:
        return Path.home() / ".cache"
    except RuntimeError as e:
        what = "E-DISK there is no home folder for the store"
        raise PluginUnavailableError(what, fix="set SPECLOOM_STORE") from e


def replace_file(file: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file in one step; an existing file's mode stays.

    ``specloom.write_file`` is for results: it reports every error as one of ``--out``, and
    flushes always.

    Raises:
        OSError: It cannot be written.
    """
    new = file.with_name(f".{file.name}.{process_tag()}.new")
    try:
        with new.open("wb") as opened:
            opened.write(data)
            opened.flush()
            if durable:
                os.fsync(opened.fileno())
        with suppress(OSError):
            new.chmod(file.stat().st_mode & 0o777)
        new.replace(file)
    finally:
        with suppress(OSError):
            new.unlink()


def _describe_paths(paths: Collection[str], singular: str, plural: str) -> str:
    """Name the first of the paths and count the others; empty if there is none."""
    if not paths:
        return ""
    first = min(paths)
    if len(paths) == 1:
        return f"{first} {singular}"
    return f"{first} and {len(paths) - 1} more {plural}"


def _as_hashes(value: Any) -> dict[str, str]:
    """Return remembered hashes by path; empty if they are of another form."""
    if not isinstance(value, dict):
        return {}
    return {path: found for path, found in value.items() if isinstance(found, str)}


def _all_hashes(folder: Path) -> dict[str, str]:
    """Hash everything in a published tree, also what tools may have left there."""
    return {path: tree.file_hash(entry) for path, entry in tree.all_files(folder)}


def _flush(folder: Path) -> None:
    """Flush a folder with all its files and folders to the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            _sync_to_disk(Path(parent, name))
        _sync_to_disk(Path(parent))


def _sync_to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
