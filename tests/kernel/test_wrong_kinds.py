"""What plugins register under a kind that it is not: a message with exit code 2."""

from types import ModuleType

import pytest

import specloom
from message_toys import GOOD, AnomalyData, Decider, MinMax, RXGlobal, Scenes, Train
from specloom import Plugins, Port, SpecloomError, impl


class Plain:
    """Neither a node nor anything else."""


class Whole:
    """A node without a base class."""

    inputs = {"data": Port("B H W C")}
    outputs = {"normalized": Port("B H W C")}

    def forward(self, **arrays):
        raise AssertionError("it ran")


class NoPorts(Whole):
    inputs = 5


class NamesOfPorts(Whole):
    outputs = {"normalized": "B H W C"}


class NoCall(Whole):
    forward = None


class NotMapped(Whole):
    outputs = {3: Port("B H W C")}


def function():
    """No class."""


LIST = [1]
FIX = "\n  fix: repair the plugin 'toy': offer a class"


def loaded(tmp_path, old, new, target):
    """Load the good run file with one of its types replaced."""
    toy = ModuleType("toy")
    both = {one.__name__: one for one in (Scenes, AnomalyData, MinMax, RXGlobal, Decider, Train)}
    targets = {name: f"message_toys:{name}" for name in both}

    def register_nodes():
        return {**targets, "Wrong": f"{__name__}:{target}"}

    def register_sources():
        return register_nodes()

    def register_trainers():
        return register_nodes()

    for hook in (register_nodes, register_sources, register_trainers):
        setattr(toy, hook.__name__, impl(hook))
    file = tmp_path / "run.yaml"
    file.write_text(GOOD.replace(f"type: toy.{old}", f"type: toy.{new}"))
    return specloom.load(file, plugins=Plugins({"toy": toy}), device="cpu")


@pytest.mark.parametrize(
    ("old", "line", "target", "message"),
    [
        ("MinMax", 8, "Plain", "toy.Wrong is no node: it has no 'inputs'"),
        ("MinMax", 8, "NoPorts", "toy.Wrong is no node: its inputs are no mapping of names to"),
        ("MinMax", 8, "NamesOfPorts", "toy.Wrong is no node: its outputs are no mapping of names"),
        ("MinMax", 8, "NotMapped", "toy.Wrong is no node: its outputs are no mapping of names"),
        ("MinMax", 8, "NoCall", "toy.Wrong is no node: its 'forward' cannot be called"),
        ("MinMax", 8, "function", 'toy.Wrong is no class, but "<function function at'),
        ("MinMax", 8, "LIST", "toy.Wrong is no class, but [1]"),
        ("Scenes", 2, "Plain", "toy.Wrong is no source: it has no 'outputs'"),
        ("Train", 19, "Plain", "toy.Wrong is no trainer: it has no 'check'"),
    ],
)
def test_a_class_that_is_not_what_it_is_registered_as(tmp_path, old, line, target, message):
    with pytest.raises(SpecloomError) as caught:
        loaded(tmp_path, old, "Wrong", target)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}/run.yaml:{line}: {message}")
    assert FIX in text
    assert caught.value.exit_code == 2


def test_the_good_file_is_good_in_this_plugin(tmp_path):
    assert loaded(tmp_path, "MinMax", "MinMax", "Plain").graph.order
