"""A folder of many cubes is listed once, and again when it has changed."""

import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from specloom_cubes import listings, open_cube
from specloom_cubes.formats import envi
from specloom_cubes.listings import listing_of
from specloom_cubes.processing.captures import find_references
from specloom_cubes.sources.folder import Folder

HEADER = """ENVI
samples = 2
lines = 2
bands = 3
data type = 4
interleave = bil
"""


def aged(folder, seconds=10):
    """Let a folder have changed some time ago."""
    then = time.time() - seconds
    os.utime(folder, (then, then))


@pytest.fixture
def listed(monkeypatch):
    """How often each folder is listed."""
    counts = Counter()
    iterdir = Path.iterdir

    def counted(path):
        counts[path] += 1
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", counted)
    listings._listing_at.cache_clear()
    return counts


def test_a_folder_is_listed_again_only_when_it_has_changed(tmp_path, listed):
    (tmp_path / "a.HDR").write_text("")
    aged(tmp_path)
    first = listing_of(tmp_path)
    assert listing_of(tmp_path) is first
    assert first.by_stem == {"a": [tmp_path / "a.HDR"]}
    assert first.by_name == {"a.hdr": tmp_path / "a.HDR"}
    (tmp_path / "b").write_text("")
    assert sorted(listing_of(tmp_path).by_name) == ["a.hdr", "b"]
    (tmp_path / "c").write_text("")  # perhaps within the same tick of the file system's clock
    assert sorted(listing_of(tmp_path).by_name) == ["a.hdr", "b", "c"]
    assert listing_of(tmp_path / "none").paths == ()


def test_data_files_of_unusual_endings_are_found_with_one_listing(tmp_path, listed):
    for number in range(20):
        (tmp_path / f"{number}.hdr").write_text(HEADER)
        (tmp_path / f"{number}.cube").write_bytes(np.zeros(12, np.float32).tobytes())
    aged(tmp_path)
    for number in range(20):
        assert envi.data_of(tmp_path / f"{number}.hdr") == tmp_path / f"{number}.cube"
        assert open_cube(tmp_path / f"{number}.hdr").shape == (2, 2, 3)
    assert listed[tmp_path] == 1


def test_references_of_many_cubes_are_found_with_one_listing(tmp_path, listed):
    folder = tmp_path / "captures"
    folder.mkdir()
    for name in ("white", "dark", *map(str, range(20))):
        (folder / f"{name}.hdr").write_text(HEADER)
    aged(folder)
    aged(tmp_path)
    for number in range(20):
        found = find_references(folder / f"{number}.raw")
        assert (found.white, found.dark) == (folder / "white.hdr", folder / "dark.hdr")
    assert listed[folder] == 1


def test_what_a_split_marks_invalid_is_looked_at_once(tmp_path):
    for number in range(8):
        np.save(tmp_path / f"{number}.npy", np.zeros((2, 2, 3), np.float32))
    source = Folder(str(tmp_path))
    source.sizes()

    class Looked(set):
        count = 0

        def __contains__(self, path):
            self.count += 1
            return super().__contains__(path)

    source._has_valid = Looked()
    for number in range(source.items("train")):
        source.read("train", [number])
    assert source._has_valid.count == source.items("train")
