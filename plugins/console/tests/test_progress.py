import io
import sys
import types

import pluggy
import pytest

from specloom import UnavailableError
from specloom.contract import hooks
from specloom_console import register_observers
from specloom_console.progress import Progress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Run:
    """A run as the kernel drives it: hooks of a plugin manager, with a clock that we move."""

    def __init__(self, stream: io.StringIO) -> None:
        self.clock, self.stream = Clock(), stream
        self.observer = Progress(clock=self.clock, stream=stream)
        manager = pluggy.PluginManager(hooks.GROUP)
        manager.add_hookspecs(hooks)
        manager.register(self.observer)
        manager.check_pending()
        self.hook = manager.hook

    def step(self, what: str, done: int, total: int | None, after: float = 0.0) -> None:
        self.clock.now += after
        self.hook.progress(run=None, what=what, done=done, total=total)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def run():
    made = Run(io.StringIO())
    made.hook.run_started(run=None)
    return made


def test_a_whole_run_in_plain_lines(run):
    run.hook.phase_started(run=None, name="training.StatisticalTrainer")
    for done in range(41):
        run.step("pass 1", done, 40, after=0.5 * (done > 0))
    run.hook.node_fitted(run=None, node="rx", summary="61 channels, 9,216 pixels")
    run.hook.warned(run=None, message="band 860 nm is 160 nm away")
    run.hook.phase_ended(run=None, name="training.StatisticalTrainer")
    run.hook.run_ended(run=None, error=None)
    assert run.lines == [
        "training.StatisticalTrainer",
        "pass 1: 2 of 40, 2.0/s, 19 s left",
        "pass 1: 12 of 40, 2.0/s, 14 s left",
        "pass 1: 22 of 40, 2.0/s, 9 s left",
        "pass 1: 32 of 40, 2.0/s, 4 s left",
        "pass 1: 40 in 20 s, 2.0/s",
        "fitted rx: 61 channels, 9,216 pixels",
        "warning: band 860 nm is 160 nm away",
        "training.StatisticalTrainer took 20 s",
    ]


def test_the_rate_is_that_of_the_last_minute(run):
    for done in range(1, 101):  # the first ones go fast: their results were there already
        run.step("inputs", 10 * done, 10_000, after=0.01)
    for done in range(1, 301):
        run.step("inputs", 1000 + done, 10_000, after=0.5)
        if done == 200:
            run.hook.failed(run=None, what="inputs", count=1)
            run.hook.failed(run=None, what="others", count=7)
    assert run.lines[-1].endswith(" of 10,000, 2.0/s, 1 h 12 min left, 1 failed")
    run.hook.run_ended(run=None, error=None)
    assert run.lines[-1] == "inputs: stopped at 1,300 of 10,000"


def test_how_many_failed_stands_at_the_end(run):
    for done in range(31):
        run.step("inputs", done, 30, after=0.1)
        run.hook.failed(run=None, what="inputs", count=2)
    assert run.lines[-1] == "inputs: 30 in 3 s, 10/s, 2 failed"


def test_nothing_is_shown_of_a_task_of_less_than_a_second(run):
    run.hook.phase_started(run=None, name="training.Evaluate")
    for done in range(10):
        run.step("test", done, 9, after=0.1)
    run.hook.phase_ended(run=None, name="training.Evaluate")
    assert run.lines == ["training.Evaluate"]


def test_a_total_that_is_not_known(run):
    for done in range(1, 5):
        run.step("read", done, None, after=2.5)
    run.hook.phase_ended(run=None, name="training.Evaluate")
    assert run.lines == [
        "read: 1",
        "read: 3, 24/min",
        "read: 4, 24/min",
        "training.Evaluate took 10 s",
    ]


def test_a_slow_first_step_is_shown_but_says_nothing_of_the_rate(run):
    run.hook.phase_started(run=None, name="p")
    run.step("train", 1, 3, after=60.0)
    assert run.lines[-1] == "train: 1 of 3"
    run.step("train", 2, 3, after=10.0)
    assert run.lines[-1] == "train: 2 of 3, 6/min, 10 s left"


def test_a_task_that_begins_again_ends_first(run):
    run.step("train", 0, 4)
    run.step("train", 3, 4, after=3.0)
    run.step("train", 0, 4, after=1.0)
    assert run.lines[-1] == "train: stopped at 3 of 4"
    run.step("train", 4, 4, after=3.0)
    assert run.lines[-1] == "train: 4 in 3 s, 1.3/s"


def test_a_resumed_task_counts_its_own_steps_only(run):
    run.step("epochs", 11, 31)
    run.step("epochs", 12, 31, after=2.0)
    assert run.lines == ["epochs: 12 of 31, 30/min, 38 s left"]


def test_tasks_inside_tasks(run):
    for epoch in range(1, 4):
        for batch in range(4):
            run.step("train", batch, 3, after=2.0 * (batch > 0))
        run.step("epochs", epoch, 3)
    ends = [line for line in run.lines if " of " not in line]
    assert ends == ["train: 3 in 6 s, 30/min"] * 3 + ["epochs: 3, 10/min"]
    assert "epochs: 2 of 3, 10/min, 6 s left" in run.lines


def test_tasks_that_never_end_do_not_pile_up(run):
    for number in range(50):
        run.step(f"epoch {number}", 1, None, after=0.1)
    assert len(run.observer._tasks) == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x")])
def test_a_failed_run_says_how_far_it_came(run, error):
    run.step("train", 0, 9)
    run.step("train", 5, 9, after=3.0)
    run.hook.run_ended(run=None, error=error)
    assert run.lines[-1] == "train: stopped at 5 of 9"


def test_a_run_that_can_go_on_after_an_error_says_how(run, tmp_path):
    stopped = types.SimpleNamespace(folder=tmp_path)
    error = UnavailableError("the scheduler is gone")
    run.hook.run_ended(run=stopped, error=error)
    assert run.lines == []
    error.is_resumable = True
    run.hook.run_ended(run=stopped, error=error)
    assert run.lines == [f"to resume: specloom run --resume {tmp_path}"]


def test_standard_output_stays_empty_and_rich_is_not_imported(capsys, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    clock = Clock()
    observer = Progress(clock=clock)
    observer.run_started(None)
    observer.phase_started("p")
    observer.progress("train", 0, 9)
    clock.now += 2
    observer.progress("train", 5, 9)
    observer.run_ended(None, None)
    out, err = capsys.readouterr()
    assert out == ""
    assert "train: 5 of 9" in err
    assert "rich" not in sys.modules


def test_a_stream_that_was_closed_does_not_end_the_run(run):
    run.stream.close()
    run.hook.warned(run=None, message="x")
    run.hook.run_ended(run=None, error=None)


def test_no_standard_error_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    observer = Progress()
    observer.run_started(None)
    observer.warned("x")
    observer.run_ended(None, None)


def test_the_offer_names_the_class():
    module, _, name = register_observers()["Progress"].partition(":")
    assert (module, name) == (Progress.__module__, Progress.__name__)


def test_it_says_what_is_run(run):
    about = types.SimpleNamespace(metadata={"description": "RX on SYNTHETIC lentils."}, quiet=False)
    run.hook.run_started(run=about)
    assert run.lines == ["RX on SYNTHETIC lentils."]
