"""Which files a detector is made of, which bytes they must be, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from specloom import IntegrityError, UnavailableError
from specloom_adaclip.weights.catalogue import TINY, how_to_get
from specloom_adaclip.weights.store import Store, sha256_of

TINY_ADAPTER = "tiny-adapter"


class Part(NamedTuple):
    """One of the two files behind a detector.

    Args:
        kind: ``backbone`` or ``adapter``.
        name: Its name in the store.
        path: A local file in place of the one in the store.
        sha256: The hash of the file that a saved pipeline was made with, or ``""``.
    """

    kind: str
    name: str
    path: str | None = None
    sha256: str = ""

    @property
    def made_here(self) -> bool:
        """Whether the file is made on first use."""
        return self.path is None and self.name in (TINY, TINY_ADAPTER) and not self.sha256

    def place(self) -> Path | None:
        """The file, if it is there."""
        store = Store()
        if self.sha256 and (kept := store.file(self.sha256)).is_file():
            return kept  # under whatever name
        if self.path is not None:
            return Path(self.path) if Path(self.path).is_file() else None
        return store.find(self.name)

    def missing(self) -> Iterator[UnavailableError]:
        """One error if the file is not there; nothing is read."""
        if self.made_here or self.place() is not None:
            return
        if self.path is not None:
            what = f"the {self.kind}'s file {self.path} is missing"
            fix = "give the path of a file that is there, or leave it out to use the store"
        else:
            what = f"the {self.kind} {self.name!r} is not in the store of weights"
            fix = f"run: {how_to_get(self.name)}"
        if self.sha256:
            what += f" (SHA-256 {self.sha256})"
        yield UnavailableError(what, fix=fix)

    def found(self) -> tuple[Path, str]:
        """The file and its hash, checked against what it must be.

        Raises:
            UnavailableError: It is missing.
            IntegrityError: It is another file.
        """
        for error in self.missing():
            raise error
        path = self.place()
        assert path is not None, self
        sha256 = sha256_of(path)
        entry = Store().entry(self.name) if self.path is None else None
        for want in (self.sha256, entry.sha256 if entry and not self.sha256 else ""):
            if want and sha256 != want:
                what = f"the {self.kind} {self.name!r} has the SHA-256 {sha256}, not {want}"
                fix = f"take the file that it was saved with, or run: {how_to_get(self.name)}"
                raise IntegrityError(what, where=str(path), fix=fix)
        return path, sha256

    def known_sha256(self) -> str:
        """The hash of the file as far as it can be told; ``""`` where it is not there."""
        if self.sha256:
            return self.sha256
        if self.path is not None:
            return sha256_of(Path(self.path)) if Path(self.path).is_file() else ""
        entry = Store().entry(self.name)
        return entry.sha256 if entry else ""
