"""Totals of subtrees outlast a process, and count only for the same job and the same data."""

from __future__ import annotations

import json
import os
import random
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save

from specloom import (
    DataError,
    Job,
    Plugins,
    ResumableExecutor,
    SpecloomError,
    SpecloomWarning,
    impl,
)
from specloom_jobs import Here, JobParts, MergeTree, make_shares, parts, shares, total_by_parts
from specloom_jobs.parts import remove_parts

JOB = Job("lab.Sums")


class Sums:
    """A merge that shows its tree; counts the items that were read, and fails at one of them."""

    read: list[int] = []
    broken = -1

    def begin(self, job):
        pass

    def do(self, tickets):
        numbers = [ticket["number"] for ticket in tickets]
        if Sums.broken in numbers:
            raise DataError("the item is broken")
        Sums.read += numbers
        return json.dumps(numbers).encode()

    def merge(self, parts):
        return json.dumps([json.loads(part) for part in parts]).encode()


@pytest.fixture(autouse=True)
def small_subtrees(monkeypatch):
    """Subtrees of eight shares of two items are stored."""
    monkeypatch.setattr(parts, "PART_LEVEL", 1)
    monkeypatch.setattr(shares, "SHARE_TICKETS", 2)
    monkeypatch.setattr(Sums, "read", [])
    monkeypatch.setattr(Sums, "broken", -1)


@pytest.fixture
def here():
    plugin = SimpleNamespace(
        register_tasks=impl(lambda: {"Sums": f"{__name__}:Sums"}), __name__="lab"
    )
    return Here(Plugins({"lab": plugin}))


def tickets(count):
    return [{"number": number} for number in range(count)]


def total(here, folder, items, job=JOB, variant=""):
    """The total of a job whose parts are in a folder, as a phase gets it."""
    assert isinstance(here, ResumableExecutor)
    found = JobParts(folder, job, variant)
    found.look(make_shares(items))
    work = partial(here.resume_total, job, parts=found)
    return total_by_parts(found, lambda: make_shares(items), work), found


def names(folder):
    return sorted(path.name for path in folder.rglob("*.safetensors"))


def stopped(here, folder, items, at):
    """Do a job until an item is broken, which is whole again afterwards."""
    Sums.broken = at
    with pytest.raises(SpecloomError, match="the item is broken"):
        total(here, folder, items)
    Sums.broken = -1
    Sums.read.clear()


@pytest.mark.parametrize("stop", [17, 35, 130, 300])
def test_what_was_done_before_a_stop_is_not_done_again(here, tmp_path, stop):
    expected = here.total(JOB, make_shares(tickets(301)))
    stopped(here, tmp_path, tickets(301), stop)
    data, found = total(here, tmp_path, tickets(301))
    assert data == expected
    done = stop // 16 * 16
    assert found.shares_found == done // 2
    assert Sums.read == list(range(done, 301))


def test_a_larger_subtree_stands_for_those_within_it(here, tmp_path):
    stopped(here, tmp_path, tickets(301), 175)
    assert names(tmp_path) == ["1-8.safetensors", "1-9.safetensors", "2-0.safetensors"]
    total(here, tmp_path, tickets(301))
    assert names(tmp_path) == ["total.safetensors"]


def test_a_job_that_came_to_its_end_is_not_done_again(here, tmp_path):
    expected, _ = total(here, tmp_path, tickets(301))
    Sums.read.clear()
    data, found = total(here, tmp_path, tickets(301))
    assert data == expected
    assert found.shares_found == 151
    assert Sums.read == []


def test_a_second_stop_goes_on_behind_the_first(here, tmp_path):
    expected = here.total(JOB, make_shares(tickets(301)))
    for stop in (50, 129, 200, 290):
        stopped(here, tmp_path, tickets(301), stop)
    assert total(here, tmp_path, tickets(301))[0] == expected
    assert Sums.read == list(range(288, 301))


@pytest.mark.parametrize(
    ("job", "variant"),
    [(Job("lab.Sums", arguments={"seed": 1}), ""), (JOB, "cuda")],
    ids=["another job", "another device"],
)
def test_parts_of_other_work_do_not_count(here, tmp_path, job, variant):
    total(here, tmp_path, tickets(100))
    Sums.read.clear()
    total(here, tmp_path, tickets(100), job, variant)
    assert Sums.read == list(range(100))


def test_parts_of_other_tickets_do_not_count(here, tmp_path):
    stopped(here, tmp_path, tickets(101), 100)
    other = tickets(101)
    other[20]["rows"] = [0, 5]
    _, found = total(here, tmp_path, other)
    assert Sums.read == [*range(16, 32), *range(96, 101)]
    assert found.shares_found == 40


def test_more_items_leave_the_subtrees_before_them(here, tmp_path):
    total(here, tmp_path, tickets(32))
    stopped(here, tmp_path, tickets(100), 99)
    Sums.read.clear()
    expected = here.total(JOB, make_shares(tickets(120)))
    Sums.read.clear()
    assert total(here, tmp_path, tickets(120))[0] == expected
    assert Sums.read == list(range(96, 120))


@pytest.mark.parametrize("changed", ["a03.hdr", "a03.img", "a03.pixels", "a03.IMG"])
def test_files_that_changed_are_read_again(here, tmp_path, changed):
    cubes = tmp_path / "cubes"
    cubes.mkdir()
    items = []
    ending = ".img" if changed.endswith(".hdr") else Path(changed).suffix
    for number in range(50):
        (cubes / f"a{number:02}.hdr").write_text("header")
        (cubes / f"a{number:02}{ending}").write_text("pixels")
        items.append({"number": number, "cube": str(cubes / f"a{number:02}.hdr")})
    stopped(here, tmp_path / "parts", items, 49)
    os.utime(cubes / changed, ns=(1, 1))
    total(here, tmp_path / "parts", items)
    assert Sums.read == [*range(16), 48, 49]


@pytest.mark.parametrize(
    "changed",
    ["in/a03.IMG", "white/w.raw", "in/DARKREF_a03.raw", "in/whiteReference", "dark_2024.raw"],
)
def test_files_that_a_ticket_names_within_or_not_at_all_count(here, tmp_path, changed):
    """The pixels of a header in other letters, and references, named or found by their names."""
    for name in ("in", "white"):
        (tmp_path / name).mkdir()
    for name in ("white/w.hdr", "in/A03.hdr", changed):
        (tmp_path / name).write_text("as it was")
    reading = {"calibration": {"white": str(tmp_path / "white/w.hdr")}, "bands": [1, 2]}
    items = [{"number": number, "reading": reading} for number in range(50)]
    for item in items[:16]:
        item["cube"] = str(tmp_path / "in/A03.hdr")
    stopped(here, tmp_path / "parts", items, 49)
    os.utime(tmp_path / changed, ns=(1, 1))
    total(here, tmp_path / "parts", items)
    is_of_all = not changed.startswith("in")
    first = range(48) if is_of_all else range(16)
    assert Sums.read == [*first, 48, 49]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def nested(path: Path) -> None:
    about = np.frombuffer(b"[" * 100_000, np.uint8)
    path.write_bytes(save({"part": np.zeros(1, np.uint8), "about": about}))


@pytest.mark.parametrize("damage", [truncated, flipped, nested, lambda path: path.write_bytes(b"")])
def test_a_damaged_part_is_reported_and_made_again(here, tmp_path, damage):
    expected = here.total(JOB, make_shares(tickets(50)))
    stopped(here, tmp_path, tickets(50), 49)
    (damaged,) = tmp_path.rglob("1-1.safetensors")
    damage(damaged)
    with pytest.warns(SpecloomWarning) as caught:
        data, _ = total(here, tmp_path, tickets(50))
    assert [str(one.message) for one in caught] == [
        f"{damaged} is damaged: its shares are done again\n  fix: check the disk"
    ]
    assert data == expected
    assert Sums.read == [*range(16, 32), 48, 49]


def test_an_executor_that_knows_no_subtrees_gets_all_shares(here, tmp_path):
    stopped(here, tmp_path, tickets(50), 49)
    found = JobParts(tmp_path, JOB)
    found.look(make_shares(tickets(50)), totals_only=True)
    work = partial(here.total, JOB)
    expected = here.total(JOB, make_shares(tickets(50)))
    Sums.read.clear()
    assert total_by_parts(found, lambda: make_shares(tickets(50)), work) == expected
    assert Sums.read == list(range(50))
    assert names(tmp_path) == ["total.safetensors"]


def test_unfinished_files_of_a_killed_process_are_removed(here, tmp_path):
    stopped(here, tmp_path, tickets(50), 49)
    (folder,) = tmp_path.iterdir()
    left = folder / ".1-2.safetensors.host-1-0123abcd"
    left.write_bytes(b"half")
    total(here, tmp_path, tickets(50))
    assert not left.exists()
    remove_parts(tmp_path)
    assert not tmp_path.exists()


def bracketed(texts):
    return f"({' '.join(texts)})"


@pytest.mark.parametrize("count", [8, 9, 64, 75, 520])
def test_a_tree_of_subtrees_is_the_tree_of_their_parts(count):
    subtrees = {}
    whole = MergeTree(
        bracketed, lambda level, number, part: subtrees.update({(level, number): part})
    )
    for number in range(count):
        whole.add(number, str(number))
    (level, number), part = random.Random(count).choice(list(subtrees.items()))
    inner = range(number * 8**level, (number + 1) * 8**level)
    found = MergeTree(bracketed)
    for other in range(count):
        if other == inner[-1]:
            found.add_subtree(level, number, part)
        elif other not in inner:
            found.add(other, str(other))
    assert found.total() == whole.total()
    with pytest.raises(ValueError, match="was merged already"):
        found.add_subtree(level, number, part)


def test_complete_subtrees_are_reported_once_with_their_place():
    found = []
    tree = MergeTree(bracketed, lambda level, number, part: found.append((level, number)))
    order = list(range(130))
    random.Random(1).shuffle(order)
    for number in order:
        tree.add(number, "x")
    expected = [(1, number) for number in range(16)] + [(2, 0), (2, 1)]
    assert sorted(found) == expected
