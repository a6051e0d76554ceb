"""Which of many files have the same contents, without reading all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from functools import partial
from hashlib import blake2b, file_digest
from pathlib import Path

SAMPLES = 16
"""The parts of a file that are compared first."""

SAMPLE_BYTES = 4096
"""The length of a part."""

MOST_BYTES = 2**30
"""Larger files are compared by their parts alone."""


def content_ids(files: Sequence[Path]) -> dict[Path, str]:
    """What stands for the contents of each file; equal for two files with the same contents.

    Files of different sizes are not read; of others a few parts are, and the whole only where
    these are equal too.

    Raises:
        OSError: A file cannot be read.
    """
    found = {file: str(file.stat().st_size) for file in files}
    for digest in (_digest_of_samples, _digest_of_all):
        for group in _groups(found):
            for file in group:
                found[file] = f"{found[file]}-{digest(file)}"
    return found


def _groups(ids: dict[Path, str]) -> list[list[Path]]:
    """The files that share what stands for them."""
    by_id: dict[Hashable, list[Path]] = defaultdict(list)
    for file, one in ids.items():
        by_id[one].append(file)
    return [group for group in by_id.values() if len(group) > 1]


def _digest_of_samples(file: Path) -> str:
    size = file.stat().st_size
    step = max(size // SAMPLES, 1)
    digest = blake2b(digest_size=8)
    with file.open("rb") as opened:
        for start in range(0, size, step):
            opened.seek(start)
            digest.update(opened.read(SAMPLE_BYTES))
    return digest.hexdigest()


def _digest_of_all(file: Path) -> str:
    if file.stat().st_size > MOST_BYTES:
        return "samples"
    with file.open("rb") as opened:
        return file_digest(opened, partial(blake2b, digest_size=8)).hexdigest()
