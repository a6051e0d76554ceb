import doctest
import io
import os
import re
import subprocess
import sys
from contextlib import suppress

import pytest

from specloom_console import task
from specloom_console.progress import Progress

SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def terminal(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def work(stream: Terminal, *, total: int | None = 40) -> None:
    clock = Clock()
    observer = Progress(clock=clock, stream=stream)
    observer.run_started(None)
    observer.phase_started("training.StatisticalTrainer")
    observer.progress("pass [red]1[/red]", 0, total)
    for done in range(1, 31):
        clock.now += 0.2
        observer.progress("pass [red]1[/red]", done, total)
    observer.warned("band [860] is :smile: away")
    observer._live._progress.refresh()
    observer.run_ended(None, None)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_moving_line_with_rate_and_time_left(terminal):
    work(terminal)
    shown = terminal.getvalue()
    assert "30 of 40, 5.0/s, 2 s left" in plain(shown)
    assert "pass [red]1[/red]" in plain(shown)
    assert "warning: band [860] is :smile: away" in plain(shown)
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)
    assert "\x1b[38;" in shown or "\x1b[3" in shown


def test_a_moving_line_without_a_total(terminal):
    work(terminal, total=None)
    assert "30, 5.0/s" in plain(terminal.getvalue())


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ("120", "4,210 of 10,000, 70/s, 1 min 23 s left, 2 workers, 1 failed"),
        ("60", "4,210 of 10,000, 70/s, 1 min 23 s left, 1 failed"),
        ("46", "4,210 of 10,000, 1 min 23 s left, 1 failed"),
    ],
)
def test_a_narrow_terminal_gets_a_shorter_line(terminal, monkeypatch, columns, shown):
    monkeypatch.setenv("COLUMNS", columns)
    clock = Clock()
    observer = Progress(clock=clock, stream=terminal)
    observer.run_started(None)
    observer.progress("in", 0, 10_000)
    clock.now = 60.0
    observer.fleet(2, 0)
    observer.progress("in", 4210, 10_000)
    observer.failed("in", 1)
    observer.progress("in", 4210, 10_000)
    observer._live._progress.refresh()
    lines = plain(terminal.getvalue()).replace("\r", "\n").splitlines()
    assert [line for line in lines if line.endswith(f" {shown}")]
    observer.run_ended(None, None)


def test_no_color(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    work(terminal)
    colours = re.findall(r"\x1b\[[0-9;]*m", terminal.getvalue())
    assert not any(re.search(r"[34][0-9]", colour) for colour in colours)


def test_a_dumb_terminal_gets_plain_lines(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    clock = Clock()
    observer = Progress(clock=clock, stream=terminal)
    observer.run_started(None)
    observer.progress("train", 0, 9)
    clock.now = 2.0
    observer.progress("train", 5, 9)
    observer.run_ended(None, None)
    assert terminal.getvalue().splitlines() == [
        "train: 5 of 9, 2.5/s, 2 s left",
        "train: stopped at 5 of 9",
    ]


SCRIPT = """
import sys
from specloom_console.progress import Progress
now = iter(range(0, 1000, 2))
progress = Progress(clock=lambda: next(now))
progress.run_started(None)
progress.phase_started("p")
progress.progress("train", 0, 9)
progress.progress("train", 5, 9)
print("results")
if sys.argv[1] == "interrupted":
    progress.run_ended(None, None)
    raise SystemExit(130)
raise RuntimeError("the run forgot us")
"""


@pytest.mark.parametrize("how", ["interrupted", "forgotten"])
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_real_terminal_is_left_as_it_was_and_standard_output_is_not_touched(how):
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT, how],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment,
        timeout=60,
        check=False,
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the end of a pseudo-terminal is an error on Linux
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    assert made.stdout == b"results\n"
    assert b"5 of 9" in shown
    assert shown.rindex(SHOW_CURSOR.encode()) > shown.rindex(HIDE_CURSOR.encode())


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(task).failed == 0
