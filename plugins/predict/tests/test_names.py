"""Public names, and those that version 0.1 had in cubes."""

import subprocess
import sys

import pytest

import specloom_predict
from specloom import PluginError, Plugins, SpecloomWarning


@pytest.mark.parametrize("name", specloom_predict.__all__)
def test_public_names_are_there(name):
    assert getattr(specloom_predict, name).__name__ == name


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'predct': did you mean 'predict'"):
        _ = specloom_predict.predct


def test_public_names_load_nothing_before_they_are_used():
    code = "import sys, specloom_predict; print('numpy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


@pytest.mark.parametrize("name", ["Prediction", "predict", "predict_all"])
def test_the_old_place_warns(name):
    import specloom_cubes.predict as old

    with pytest.warns(SpecloomWarning) as caught:
        found = getattr(old, name)
    assert found is getattr(specloom_predict, name)
    assert [str(one.message) for one in caught] == [
        f"specloom_cubes.predict.{name} is now specloom_predict.{name}; the old one goes in 0.3"
    ]
    with pytest.raises(AttributeError, match=r"specloom_cubes\.predict' has no attribute 'many'"):
        _ = old.many


@pytest.mark.filterwarnings("ignore:specloom_cubes.predict.predict is now")
def test_the_old_place_without_the_plugin(monkeypatch):
    import specloom_cubes.predict as old

    monkeypatch.setattr(old, "Plugins", lambda: Plugins({}))
    with pytest.raises(PluginError) as error:
        _ = old.predict
    assert str(error.value) == (
        "no plugin 'predict' is installed\n  fix: run: specloom plugins add predict, or install it"
    )
