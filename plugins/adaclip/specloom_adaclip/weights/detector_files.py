"""The two files of a detector, towers and adapters: their hashes, and which are missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from specloom import IntegrityError, UnavailableError, did_you_mean
from specloom_adaclip.weights.catalogue import (
    TINY,
    TINY_ADAPTER,
    checkpoints,
    fetch_command,
)
from specloom_adaclip.weights.store import Store, sha256_of


class CheckedFile(NamedTuple):
    """A file and its hash."""

    path: Path
    sha256: str


class DetectorFile(NamedTuple):
    """One of the two files of a detector.

    Args:
        kind: ``backbone`` or ``adapter``.
        name: Its name in the store.
        path: A local file instead of the one in the store.
        sha256: The hash of the file that a saved pipeline was made with, or ``""``.
    """

    kind: str
    name: str
    path: str | None = None
    sha256: str = ""

    @property
    def is_made_on_use(self) -> bool:
        """Whether the file is made on first use."""
        if self.path is not None or self.sha256:
            return False
        return self.name in (TINY, TINY_ADAPTER)

    def find(self) -> Path | None:
        """Return the path of the file, if it exists."""
        store = Store()
        if self.sha256:
            stored = store.file(self.sha256)
            if stored.is_file():  # under whatever name
                return stored
        if self.path is None:
            return store.find(self.name)
        path = Path(self.path)
        if path.is_file():
            return path
        return None

    def missing(self) -> Iterator[UnavailableError]:
        """Yield an error if the file is missing; nothing is read."""
        if self.is_made_on_use or self.find() is not None:
            return
        if self.path is not None:
            what = f"the {self.kind}'s file {self.path} is missing"
            fix = "give the path of an existing file, or remove it to use the store"
        else:
            what = f"the {self.kind} {self.name!r} is not in the store of weights"
            fix = self._fetch_fix()
        if self.sha256:
            what += f" (SHA-256 {self.sha256})"
        yield UnavailableError(what, fix=fix)

    def _fetch_fix(self) -> str:
        """The command that gets the file, and a name of the catalogue that may be meant."""
        run = f"run: {fetch_command(self.name)}"
        known = [name for name, entry in checkpoints().items() if entry.kind == self.kind]
        nearest = did_you_mean(self.name, known)
        if self.name in known or not nearest.startswith("did you mean"):
            return run
        return f"{nearest} Otherwise {run}"

    def check(self) -> CheckedFile:
        """Return the file with its hash, compared with the expected one.

        Raises:
            UnavailableError: It is missing.
            IntegrityError: It is another file.
        """
        for error in self.missing():
            raise error
        path = self.find()
        assert path is not None, self
        sha256 = sha256_of(path)
        expected = self._expected_sha256()
        if expected and sha256 != expected:
            what = f"the {self.kind} {self.name!r} has the SHA-256 {sha256}, not {expected}"
            fix = f"use the file that it was saved with, or run: {fetch_command(self.name)}"
            raise IntegrityError(what, where=str(path), fix=fix)
        return CheckedFile(path, sha256)

    def _expected_sha256(self) -> str:
        """Return the hash of a saved pipeline, else that of the store; ``""`` for any file."""
        if self.sha256 or self.path is not None:
            return self.sha256
        return self._stored_sha256()

    def current_sha256(self) -> str:
        """Return the hash of the file as far as it is known; ``""`` where it is missing."""
        if self.sha256:
            return self.sha256
        if self.path is None:
            return self._stored_sha256()
        if Path(self.path).is_file():
            return sha256_of(Path(self.path))
        return ""

    def _stored_sha256(self) -> str:
        entry = Store().entry(self.name)
        if entry is None:
            return ""
        return entry.sha256
