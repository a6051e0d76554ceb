"""A source by its reference and its parameters, without objects."""

import json
from types import ModuleType

import pytest

from specloom import ConfigError, PluginError, Plugins, Port, impl, pack_source, unpack_source


class Lines:
    """A source with parameters of several kinds."""

    outputs = {"cube": Port("B H W C")}

    def __init__(self, path: str, split: tuple[float, float] = (0.5, 0.5), seed: int = 0) -> None:
        self.path = path
        self.split = split
        self.seed = seed


class Unknown(Lines):
    """A source that no plugin offers."""


def plugins():
    toy = ModuleType("toy")
    toy.register_sources = impl(lambda: {"Lines": f"{__name__}:Lines"})
    return Plugins({"toy": toy})


def test_a_source_comes_back_through_json():
    packed = pack_source(Lines("a/b", (0.25, 0.75), 3), plugins())
    assert packed == {
        "type": "toy.Lines",
        "config": {"path": "a/b", "split": [0.25, 0.75], "seed": 3},
    }
    again = unpack_source(json.loads(json.dumps(packed)), plugins())
    assert type(again).__name__ == "Lines"
    assert vars(again) == {"path": "a/b", "split": (0.25, 0.75), "seed": 3}


def test_defaults_are_left_out():
    assert pack_source(Lines("a"), plugins())["config"] == {"path": "a"}


def test_a_source_that_no_plugin_offers_is_refused():
    with pytest.raises(ConfigError) as caught:
        pack_source(Unknown("a"), plugins())
    assert str(caught.value) == (
        "Unknown is offered by no plugin, so other processes could not name it\n"
        "  fix: offer it in a plugin's register_sources"
    )


def test_wrong_parameters_are_refused():
    with pytest.raises(ConfigError) as caught:
        unpack_source({"type": "toy.Lines", "config": {"path": 3}}, plugins(), "the job")
    assert caught.value.where == "the job"
    assert caught.value.what == "toy.Lines: path should be a valid string, got 3"
    assert caught.value.fix == "change path"


def test_an_unknown_class_is_refused():
    with pytest.raises(PluginError, match=r"no plugin offers 'toy\.Rows' as a source"):
        unpack_source({"type": "toy.Rows", "config": {}}, plugins(), "the job")
