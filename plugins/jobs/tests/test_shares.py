"""Shares are cut by the data alone, and what they give is merged in one order."""

import random

import pytest

from specloom_jobs import MergeTree, make_shares
from specloom_jobs.shares import SHARE_BYTES


def numbers(tickets):
    return [[one["number"] for one in share.tickets] for share in make_shares(tickets)]


def small(count):
    return [{"number": number, "bytes": 1} for number in range(count)]


def test_no_ticket_makes_no_share():
    assert numbers([]) == []


def test_a_share_holds_at_most_64_tickets():
    found = list(make_shares(small(130)))
    assert [len(share.tickets) for share in found] == [64, 64, 2]
    assert [share.number for share in found] == [0, 1, 2]
    assert [one for share in found for one in share.tickets] == small(130)


def test_the_ticket_that_fills_a_share_ends_it():
    sizes = [SHARE_BYTES - 1, 1, SHARE_BYTES, 5, 5]
    tickets = [{"number": number, "bytes": size} for number, size in enumerate(sizes)]
    assert numbers(tickets) == [[0, 1], [2], [3, 4]]


def test_a_size_that_is_not_known_counts_as_nothing():
    assert numbers([{"number": 0}, {"number": 1}]) == [[0, 1]]


def test_shares_are_made_as_tickets_come():
    """A listing of a million files is never held as a whole."""
    endless = ({"number": number} for number in iter(int, 1))
    first = next(make_shares(endless))
    assert len(first.tickets) == 64


def bracketed(parts):
    """A merge that shows its order."""
    return b"(" + b" ".join(parts) + b")"


def merged(count, order=None):
    tree = MergeTree(bracketed)
    for number in order or range(count):
        tree.add(number, str(number).encode())
    return tree.total().decode()


def test_eight_neighbours_are_one_part_of_the_next_level():
    assert merged(1) == "0"
    assert merged(2) == "(0 1)"
    assert merged(8) == "(0 1 2 3 4 5 6 7)"
    assert merged(9) == "((0 1 2 3 4 5 6 7) 8)"
    assert merged(17) == "((0 1 2 3 4 5 6 7) (8 9 10 11 12 13 14 15) 16)"
    assert merged(11) == "((0 1 2 3 4 5 6 7) (8 9 10))"


@pytest.mark.parametrize("count", [3, 8, 9, 64, 65, 73, 100, 513])
def test_the_tree_does_not_depend_on_the_order_of_arrival(count):
    order = list(range(count))
    random.Random(count).shuffle(order)
    assert merged(count, order) == merged(count)


def test_memory_grows_with_the_levels_alone():
    """Of 4,096 parts at most seven wait at each level."""
    tree = MergeTree(bracketed)
    for number in range(4096):
        tree.add(number, b"x")
        assert all(len(parts) < 8 for parts in tree._waiting)
    assert len(tree._waiting) == 5


def test_a_part_that_comes_twice_is_refused():
    tree = MergeTree(bracketed)
    tree.add(0, b"x")
    tree.add(2, b"x")
    with pytest.raises(ValueError, match="share 0 was merged already"):
        tree.add(0, b"x")
    with pytest.raises(ValueError, match="share 2 was merged already"):
        tree.add(2, b"x")


def test_a_missing_part_is_an_error():
    tree = MergeTree(bracketed)
    with pytest.raises(ValueError, match="there is no share"):
        tree.total()
    tree.add(0, b"x")
    tree.add(2, b"x")
    with pytest.raises(ValueError, match="share 1 is missing"):
        tree.total()
