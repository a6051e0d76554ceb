"""Pictures are drawn on demand: of some epochs, on a thread, and always the last ones."""

import sys
import threading
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from specloom import ConfigError, OnDemand, UnavailableError
from specloom_tensorboard.drawings import Drawings
from specloom_tensorboard.log import Log

sys.path.append(str(Path(__file__).parent))
toys = import_module("test_monitor")


class Trained:
    """Records pictures that are drawn on demand, in some epochs."""

    def __init__(self, epochs, drawn, error=None):
        self.epochs = epochs
        self.drawn = drawn
        self.error = error

    def check(self, graph, at):
        return []

    def train(self, run):
        for epoch in range(self.epochs):
            toys.evaluate(run, "val", epoch)
            run.hook.artifacts(run=run, step=epoch, values=self.pictures(epoch))
        if self.error is not None:
            raise self.error

    def pictures(self, epoch):
        def draw():
            self.drawn.append((epoch, threading.current_thread() is threading.main_thread()))
            return np.full((4, 5, 3), epoch, np.uint8)

        return OnDemand({"val/toy/late": draw, "val/unconnected/late": pytest.fail})


@pytest.mark.parametrize(
    ("every", "steps"), [(1, [0, 1, 2, 3, 4, 5]), (4, [0, 4, 5]), (5, [0, 5]), (10, [0, 5])]
)
def test_pictures_of_some_epochs_and_the_last(every, steps, tmp_path):
    drawn = []
    run, _ = toys.make(tmp_path, [Trained(6, drawn)], pictures_every=every)
    run.run()
    _numbers, pictures = toys.read(tmp_path / "toy run")
    assert pictures["val/toy/late"] == steps
    assert drawn == [(step, False) for step in steps]


def test_the_last_pictures_are_there_after_an_error(tmp_path):
    drawn = []
    run, _ = toys.make(tmp_path, [Trained(3, drawn, RuntimeError("in training"))])
    with pytest.raises(RuntimeError, match="in training"):
        run.run()
    assert toys.read(tmp_path / "toy run")[1]["val/toy/late"] == [0, 2]


def test_pictures_that_are_drawn_already_are_written_of_each_epoch(tmp_path):
    run, _ = toys.make(tmp_path, [Trained(3, [])])
    run.run()
    assert toys.read(tmp_path / "toy run")[1]["val/toy/image_0"] == [0, 1, 2]


def test_what_cannot_be_written_is_an_error_at_the_end(tmp_path):
    (tmp_path / "file").write_text("")
    drawings = Drawings(1)
    picture = OnDemand({"val/a/b": lambda: np.zeros((2, 2, 3), np.uint8)})
    drawings.add(Log(tmp_path / "file" / "folder").write, 0, picture)
    with pytest.raises(UnavailableError, match="TensorBoard's file cannot be written"):
        drawings.finish()


def test_nothing_is_drawn_where_nothing_reads_it():
    made = []
    values = OnDemand({"a": lambda: made.append(1) or 7, "b": pytest.fail})
    renamed = values.renamed({"x/a": "a", "x/b": "b"})
    assert list(renamed) == ["x/a", "x/b"]
    assert len(renamed) == 2
    assert made == []
    assert [renamed["x/a"], renamed["x/a"], values["a"]] == [7, 7, 7]
    assert made == [1]


def test_how_often_is_checked(tmp_path):
    with pytest.raises(ConfigError, match=r"pictures_every is 0") as caught:
        toys.make(tmp_path, [], pictures_every=0)
    assert caught.value.fix == "write pictures_every: 1 or more"
