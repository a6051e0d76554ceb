"""The store of weights: files under their own SHA-256, and names that refer to them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

from specloom import ConfigError, IntegrityError, UnavailableError, process_tag, write_json
from specloom_adaclip.weights.catalogue import checkpoints, fetch_command
from specloom_adaclip.weights.file_types import START_LENGTH, why_not_weights

FOLDER = "SPECLOOM_WEIGHTS"
"""The environment variable for the store's folder."""
NAME = re.compile(r"\w[\w.-]*")


class Entry(NamedTuple):
    """The file behind a name: its hash, its size, and where it came from."""

    sha256: str
    size: int
    source: str


class Store:
    """A folder of weights; by default ``$SPECLOOM_WEIGHTS``, else one in the user's cache.

    Files are under ``sha256/`` and names under ``names/``; both are written in one step.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            folder = _default_folder()
        self.folder = folder

    def file(self, sha256: str) -> Path:
        """Return the path of the file with this hash, which need not exist."""
        return self.folder / "sha256" / sha256

    def partial_file(self, name: str) -> Path:
        """Return the path of a download that is not complete."""
        return self.folder / "parts" / _checked_name(name)

    def names(self) -> list[str]:
        """Return the names in the store."""
        return sorted(file.stem for file in (self.folder / "names").glob("*.json"))

    def entry(self, name: str) -> Entry | None:
        """Return the entry of a name; None where the store does not have it.

        Raises:
            IntegrityError: The entry is damaged.
        """
        file = self._entry_file(name)
        try:
            return Entry(**json.loads(file.read_text("utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError, RecursionError) as e:
            fix = "delete it, and fetch or add the weights again"
            raise IntegrityError("the entry cannot be read", where=str(file), fix=fix) from e

    def find(self, name: str) -> Path | None:
        """Return the file of a name, if it exists."""
        entry = self.entry(name)
        if entry is None:
            return None
        file = self.file(entry.sha256)
        if file.is_file():
            return file
        return None

    def put(
        self, name: str, file: Path, source: str, *, trust: bool = False, move: bool = False
    ) -> Entry:
        """Copy or move a file into the store under a name.

        Args:
            name: Its name there.
            file: A file of weights.
            source: Where it comes from, for people.
            trust: Accept a checkpoint whose hash is not published, and record this one.
            move: Move the file, so that weights of gigabytes are not copied.

        Raises:
            IntegrityError: It is not the file that it should be.
            UnavailableError: A file cannot be read or written.
        """
        entry_file = self._entry_file(name)
        try:
            with file.open("rb") as opened:
                reason = why_not_weights(opened.read(START_LENGTH))
            if reason:
                raise IntegrityError(reason, where=str(file), fix="fetch it again")
            entry = Entry(sha256_of(file), file.stat().st_size, source)
            self._check_hash(name, entry.sha256, str(file), trust=trust)
            self._take(file, entry.sha256, move=move)
        except OSError as e:
            fix = f"check the path, or set another folder in {FOLDER}"
            raise UnavailableError(f"{e.filename or file}: {e.strerror}", fix=fix) from e
        write_json(entry_file, entry._asdict())
        return entry

    def _take(self, file: Path, sha256: str, *, move: bool) -> None:
        """Copy or move a file to its place in one step, unless it is there.

        The kernel's ``write_file`` takes bytes in memory, and weights are gigabytes.
        """
        target = self.file(sha256)
        if target.is_file() and sha256_of(target) == sha256:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{process_tag()}")
        try:
            if move:
                shutil.move(file, temporary)
            else:
                shutil.copyfile(file, temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def verify(self, name: str) -> str:
        """Return what is wrong with a name's file; empty if it has its hash."""
        entry = self.entry(name)
        file = self.find(name)
        if entry is None or file is None:
            return "its file is missing"
        if sha256_of(file) != entry.sha256:
            return "its file is not what was stored"
        return ""

    def _check_hash(self, name: str, sha256: str, where: str, *, trust: bool) -> None:
        """Check a file against the published hash, or the one that was trusted before.

        Raises:
            IntegrityError: It has another hash, or none is known and it is not trusted.
        """
        checkpoint = checkpoints().get(name)
        if checkpoint is None:
            return
        if checkpoint.sha256 is not None:
            _check_equal(name, sha256, checkpoint.sha256, "of the published file", where)
            return
        if trust:
            return
        trusted = self.entry(name)
        if trusted is None:
            raise unknown_hash(name, where)
        _check_equal(name, sha256, trusted.sha256, "that was trusted at first", where)

    def _entry_file(self, name: str) -> Path:
        return self.folder / "names" / f"{_checked_name(name)}.json"


def unknown_hash(name: str, where: str = "") -> IntegrityError:
    """Return the error of a checkpoint whose hash is not published."""
    what = f"the SHA-256 of {name} is not published, so the file cannot be checked"
    return IntegrityError(what, where=where, fix=f"if you trust its address: {fetch_command(name)}")


def _check_equal(name: str, sha256: str, expected: str, which: str, where: str) -> None:
    if sha256 != expected:
        what = f"{name} has the SHA-256 {sha256}, not {expected}, the one {which}"
        fix = "fetch it again; if the hash is still another, do not use the file"
        raise IntegrityError(what, where=where, fix=fix)


def _default_folder() -> Path:
    folder = os.environ.get(FOLDER)
    if folder:
        return Path(folder)
    cache = os.environ.get("XDG_CACHE_HOME")
    if cache:
        return Path(cache) / "specloom/weights"
    try:
        return Path.home() / ".cache/specloom/weights"
    except RuntimeError as error:
        what = "there is no home folder for the store of weights"
        raise UnavailableError(what, fix=f"set {FOLDER} to a folder") from error


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        fix = "use letters, digits, '.', '_' and '-'"
        raise ConfigError(f"{name!r} is no name for weights", fix=fix)
    return name


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
