"""The store: plugins' files under the hash of what they hold, shared by every project.

Only a rename publishes, so that a kill at any moment leaves whole trees or none. What is published
is read-only and never changed; what is found wrong is moved aside, never deleted.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from specloom_registry.base.faults import PluginIntegrityError, PluginUnavailableError, parse_json
from specloom_registry.store import file_lock, tree

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Store:
    """One store, made when something is first put in.

    Args:
        root: Its folder; by default ``$SPECLOOM_STORE``, else one in the user's cache.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()

    def tree(self, name: str) -> Path:
        """The folder of a tree."""
        return self.root / "trees" / name

    def has(self, name: str) -> bool:
        """Whether a tree is there."""
        return tree.is_dir(self.tree(name))

    def folder(self, name: str) -> Path:
        """A folder of the store, made if need be.

        Raises:
            PluginUnavailableError: It cannot be made.
        """
        with self.writing():
            (self.root / name).mkdir(parents=True, exist_ok=True)
        return self.root / name

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep gc away meanwhile: what is being put in is in no lock yet."""
        handle = None
        while handle is None and self.root.is_dir():
            handle = file_lock.hold(self.root / "use.lock", shared=True)
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
    def writing(self) -> Iterator[None]:
        """Tell a full or unwritable disk in the user's words.

        Raises:
            PluginUnavailableError: The disk is full, or may not be written.
        """
        try:
            yield
        except OSError as e:
            why = "the disk is full" if e.errno in FULL else e.strerror or str(e)
            raise PluginUnavailableError(
                f"E-DISK the store {self.root} cannot be written: {why}; nothing was changed",
                fix="make room, or set SPECLOOM_STORE to a folder on another disk",
            ) from e

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """A folder to prepare something in; it is gone afterwards.

        Raises:
            PluginUnavailableError: The disk is full, or may not be written.
        """
        above, guard = self.folder("tmp"), self.folder("locks") / "tmp.lock"
        with self.writing():
            with file_lock.locked(guard, "stages"):
                self._sweep(above)
                place = Path(tempfile.mkdtemp(prefix="stage-", dir=above))
                handle = file_lock.hold(place / ".lock", shared=False)
            try:
                yield place
            finally:
                with suppress(OSError):
                    tree.remove(place)
                if handle is not None:
                    os.close(handle)

    def publish(self, staged: Path, place: Path) -> None:
        """Make a staged folder whole, durable and read-only, and give it its name."""
        place.parent.mkdir(parents=True, exist_ok=True)
        tree.seal(staged)
        _flush(staged)
        staged.chmod(0o755)  # a folder that may not be written cannot be renamed
        try:
            staged.rename(place)
        except OSError as e:
            if e.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            return  # somebody else published the same
        place.chmod(0o555)
        handle = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def check(self, name: str, owner: str, *, full: bool = False) -> None:
        """Hold a tree to its hash: by its files' sizes and times, else by their bytes.

        Raises:
            PluginUnavailableError: The tree is not in the store.
            PluginIntegrityError: Its files are not what the hash says.
        """
        place = self.tree(name)
        if not tree.is_dir(place):
            raise PluginUnavailableError(
                f"E-STORE-MISSING {owner}: its files are not in the store {self.root}",
                fix="run: specloom plugins sync",
            )
        now = tree.signature(place)
        if not full and self.state(name).get("signature") == now:
            return
        if (found := tree.tree_hash(_all_hashes(place))) != name:
            raise PluginIntegrityError(
                f"E-STORE {owner}: {self.told(name)} in {place} (its hash is {found[:15]}...)",
                fix="run: specloom plugins sync --repair",
            )
        self.remember(name, signature=now)

    def told(self, name: str) -> str:
        """How the files of a tree differ from what was published, in a few words."""
        was: dict[str, str] = self.state(name).get("files", {})
        now = _all_hashes(self.tree(name))
        if not was:
            return "files differ"
        changed = sorted(path for path in was.keys() & now.keys() if was[path] != now[path])
        words = [("differs", changed), ("was added", sorted(now.keys() - was.keys()))]
        words.append(("is missing", sorted(was.keys() - now.keys())))
        parts = [
            f"{paths[0]} {word}"
            if len(paths) == 1
            else f"{paths[0]} and {len(paths) - 1} more"
            f" {word.replace('is ', 'are ').replace('was ', 'were ').replace('differs', 'differ')}"
            for word, paths in words
            if paths
        ]
        return ", ".join(parts) or "files differ"

    def quarantine(self, name: str) -> Path:
        """Move a tree aside."""
        above = self.folder("quarantine")
        with self.writing():
            aside = Path(tempfile.mkdtemp(prefix=f"{name[:15]}-", dir=above))
            place = self.tree(name)
            place.chmod(0o755)
            place.rename(aside / name)
        return aside / name

    def state(self, name: str) -> dict[str, Any]:
        """What is remembered of something; all of it can be made again."""
        try:
            found = parse_json((self.root / "state" / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def remember(self, name: str, **values: Any) -> None:
        """Remember something; a store that may only be read forgets it."""
        with suppress(OSError):
            place = self.root / "state"
            place.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self.state(name) | values, sort_keys=True)
            replace(place / f"{name}.json", text.encode(), durable=False)

    def _sweep(self, above: Path) -> None:
        """Delete the stages of processes that are no more; their locks went with them."""
        for stage in above.glob("stage-*"):
            handle = file_lock.hold(stage / ".lock", shared=False)
            if handle is not None:
                with suppress(OSError):
                    tree.remove(stage)
                os.close(handle)


def default_root() -> Path:
    """``$SPECLOOM_STORE``, else a folder in the user's cache.

    Raises:
        PluginUnavailableError: There is no home.
    """
    if given := os.environ.get("SPECLOOM_STORE"):
        return Path(given).absolute()
    cache = os.environ.get("XDG_CACHE_HOME")
    try:
        above = Path(cache) if cache else Path.home() / ".cache"
    except RuntimeError as e:
        what, fix = "E-DISK there is no home folder for the store", "set SPECLOOM_STORE"
        raise PluginUnavailableError(what, fix=fix) from e
    return above / "specloom/store-1"


def replace(file: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file in one step and keep its mode."""
    new = file.with_name(f".{file.name}.{os.getpid()}.{os.urandom(4).hex()}.new")
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


def _all_hashes(folder: Path) -> dict[str, str]:
    """The hashes of everything in a published tree, also of what tools may have left there."""
    return {path: tree.file_hash(entry) for path, entry in tree.everything(folder)}


def _flush(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for one in [*(Path(place, name) for name in names), Path(place)]:
            handle = os.open(one, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
