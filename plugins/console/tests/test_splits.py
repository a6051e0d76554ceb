"""What the splits hold, on the console."""

import io
from types import SimpleNamespace

from specloom_console.progress import Progress
from specloom_console.splits import split_lines


class Described:
    """A description that says what it is made of."""

    def __init__(self, line, *details):
        self._line = line
        self._details = details

    def line(self):
        return self._line

    def details(self):
        return self._details


SPLITS = {
    "train": Described("12 cubes, no masks", "cubes: a"),
    "val": Described("1 cube, no masks", "cubes: b"),
    "test": Described("1 cube, no masks", "cubes: b"),
}


def test_a_line_for_each_split_and_one_for_those_that_hold_the_same():
    assert split_lines(SPLITS) == ["train: 12 cubes, no masks", "val, test: 1 cube, no masks"]


def test_details_follow_on_request():
    assert split_lines(SPLITS, verbose=True) == [
        "train: 12 cubes, no masks",
        "  cubes: a",
        "val, test: 1 cube, no masks",
        "  cubes: b",
    ]
    same_line = {"val": Described("1 cube", "a"), "test": Described("1 cube", "b")}
    assert split_lines(same_line) == ["val: 1 cube", "test: 1 cube"]


def test_the_observer_writes_them():
    stream = io.StringIO()
    observer = Progress(stream=stream)
    observer.run_started(None)
    observer.data_described(SimpleNamespace(verbose=False), {"train": Described("2 cubes\x1b[31m")})
    observer.data_described(SimpleNamespace(verbose=True), {"val": SPLITS["val"]})
    assert stream.getvalue().splitlines() == [
        "train: 2 cubes\\u001b[31m",
        "val: 1 cube, no masks",
        "  cubes: b",
    ]
