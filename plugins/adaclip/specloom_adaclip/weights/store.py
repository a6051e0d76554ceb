"""The store of weights: files under their own SHA-256, and names that point to them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from specloom import ConfigError, IntegrityError, UnavailableError
from specloom_adaclip.weights.catalogue import how_to_get, known
from specloom_adaclip.weights.file_types import not_weights

FOLDER = "SPECLOOM_WEIGHTS"
"""The environment variable that names the store's folder."""
NAME = re.compile(r"\w[\w.-]*")


class Entry(NamedTuple):
    """What a name stands for: the hash and size of its file, and where that came from."""

    sha256: str
    size: int
    source: str


class Store:
    """A folder of weights; by default ``$SPECLOOM_WEIGHTS``, else one in the user's cache.

    Files lie under ``sha256/`` and names under ``names/``; both are written in one step.
    """

    def __init__(self, folder: Path | None = None) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        given = os.environ.get(FOLDER)
        self.folder = folder or (Path(given) if given else cache / "specloom/weights")

    def file(self, sha256: str) -> Path:
        """The place of the file with this hash, whether it is there or not."""
        return self.folder / "sha256" / sha256

    def part(self, name: str) -> Path:
        """The place of a download that is not complete."""
        return self.folder / "parts" / _good(name)

    def names(self) -> list[str]:
        """The names in the store."""
        return sorted(file.stem for file in (self.folder / "names").glob("*.json"))

    def entry(self, name: str) -> Entry | None:
        """What a name stands for; None where the store does not know it."""
        file = self._named(name)
        try:
            return Entry(**json.loads(file.read_text("utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError, RecursionError) as e:
            fix = "delete it, and fetch or add the weights again"
            raise IntegrityError("the entry cannot be read", where=str(file), fix=fix) from e

    def find(self, name: str) -> Path | None:
        """The file of a name, if it is there."""
        entry = self.entry(name)
        found = self.file(entry.sha256) if entry else None
        return found if found and found.is_file() else None

    def put(
        self, name: str, file: Path, source: str, *, trust: bool = False, move: bool = False
    ) -> Entry:
        """Take a file into the store under a name.

        Args:
            name: Its name there.
            file: A file of weights.
            source: Where it comes from, for people.
            trust: Take a known checkpoint whose hash nobody could tell, and record this one.
            move: Let the file not stay where it is.

        Raises:
            IntegrityError: It is not the file that it should be.
            UnavailableError: A file cannot be read or written.
        """
        named = self._named(name)
        try:
            with file.open("rb") as opened:
                reason = not_weights(opened.read(512))
            if reason:
                raise IntegrityError(reason, where=str(file), fix="fetch it again")
            entry = Entry(sha256_of(file), file.stat().st_size, source)
            self._accept(name, entry, str(file), trust)
            to = self.file(entry.sha256)
            if not to.is_file() or sha256_of(to) != entry.sha256:
                with _written(to) as temporary:
                    (shutil.move if move else shutil.copyfile)(file, temporary)
            with _written(named) as temporary:
                temporary.write_text(json.dumps(entry._asdict(), indent=2) + "\n", "utf-8")
        except OSError as e:
            fix = f"check the path, or name another folder in {FOLDER}"
            raise UnavailableError(f"{e.filename or file}: {e.strerror}", fix=fix) from e
        return entry

    def verify(self, name: str) -> str:
        """What is wrong with a name's file; empty if it is what it should be."""
        entry = self.entry(name)
        file = self.find(name)
        if entry is None or file is None:
            return "its file is missing"
        return "" if sha256_of(file) == entry.sha256 else "its file is not what was stored"

    def _accept(self, name: str, entry: Entry, where: str, trust: bool) -> None:
        pinned = known()[name].sha256 if name in known() else None
        before = self.entry(name)
        want = pinned or (before.sha256 if before and name in known() and not trust else None)
        if want not in (None, entry.sha256):
            by = "of the published file" if pinned else "that was trusted at first"
            what = f"{name} has the SHA-256 {entry.sha256}, not {want}, the one {by}"
            fix = "fetch it again; if that changes nothing, do not use the file"
            raise IntegrityError(what, where=where, fix=fix)
        if name in known() and want is None and not trust:
            what = f"nobody could tell us the SHA-256 of {name}, so the file cannot be checked"
            fix = f"if you trust it, say so: {how_to_get(name)}"
            raise IntegrityError(what, where=where, fix=fix)

    def _named(self, name: str) -> Path:
        return self.folder / "names" / f"{_good(name)}.json"


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _good(name: str) -> str:
    if not NAME.fullmatch(name):
        fix = "use letters, digits, '.', '_' and '-'"
        raise ConfigError(f"{name!r} is no name for weights", fix=fix)
    return name


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """A temporary file that becomes ``path`` when all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
