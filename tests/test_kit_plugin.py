"""The conformance kit on a whole plugin, found by its entry point."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from kit_toys import Scenes
from specloom import PluginError, Port, UnavailableError, impl
from specloom.testing import (
    checks_of_plugin,
    collecting,
    failures_of,
    offering,
    parametrize_with_checks,
)


class Twice:
    inputs = {"data": Port("B H W C", doc="Cubes.")}
    outputs = {"doubled": Port("B H W C", doc="Twice the cube.")}
    locality, array_library = "pixel", "numpy"

    def forward(self, data):
        return {"doubled": data * 2}


class Thrice(Twice):
    def forward(self, data):
        return {"doubled": data * 3.0 * np.float64(1)}


def test_a_failure_names_the_class_and_what_is_wrong():
    failures = failures_of(Thrice)
    assert set(failures) == {"outputs_are_honest"}
    assert "Thrice.doubled: wants float32, got float64" in failures["outputs_are_honest"]


@pytest.fixture
def plugin(monkeypatch):
    module = ModuleType("specloom_kit_example")
    module.register_nodes = impl(lambda: {"Twice": f"{__name__}:Twice"})
    module.__spec__ = ModuleSpec(module.__name__, None)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entry = SimpleNamespace(name="example", load=lambda: module)
    monkeypatch.setattr(collecting, "entry_points", lambda group: [entry])
    return module


def nothing():
    return {}


def ids(mark):
    return [row.id for row in mark.mark.args[1]]


def test_every_check_of_every_kind_is_one_test(plugin):
    plugin.register_sources = impl(lambda: {"Scenes": f"{__name__}:Scenes"})
    found = ids(parametrize_with_checks("example"))
    assert "Twice-same_twice" in found
    assert "Scenes-source_is_whole" in found
    assert "plugin-import_is_light" in found
    assert len(found) == len(set(found)) > 15


def test_examples_take_the_place_of_the_class_s_own(plugin):
    plugin.register_sources = impl(lambda: {"Scenes": f"{__name__}:Scenes"})
    Scenes.example, before = {}, Scenes.example
    try:
        for options in ({"seed": 1}, lambda: {"seed": 1}):
            checks = dict(checks_of_plugin("example", {"Scenes": options}))
            checks["Scenes-batches_match_the_source"]()
        with pytest.raises(
            AssertionError, match="cannot be made without seed: give the class an exam"
        ):
            dict(checks_of_plugin("example"))["Scenes-source_is_whole"]()
    finally:
        Scenes.example = before
    with pytest.raises(PluginError, match=r"example does not offer: \['Scene'\]"):
        dict(checks_of_plugin("example", {"Scene": {}}))


def test_expected_failures_are_strict_and_carry_reasons(plugin):
    rows = parametrize_with_checks("example", {"Twice-same_twice": "it has moods"}).mark.args[1]
    (mark,) = next(row.marks for row in rows if row.id == "Twice-same_twice")
    assert mark.kwargs == {"reason": "it has moods", "strict": True}
    with pytest.raises(PluginError, match="did you mean 'Twice-same_twice'"):
        parametrize_with_checks("example", {"Twice-same_twise": "it has moods"})
    with pytest.raises(PluginError, match="without a reason"):
        parametrize_with_checks("example", {"Twice-same_twice": " "})


def test_a_plugin_that_offers_nothing_or_is_absent_is_an_error(plugin):
    with pytest.raises(PluginError, match="0 installed plugins are named 'absent'"):
        parametrize_with_checks("absent")
    plugin.register_nodes = impl(nothing)
    with pytest.raises(PluginError, match="offers nothing to check"):
        parametrize_with_checks("example")


def test_a_reference_that_does_not_import_is_one_failing_check(plugin):
    plugin.register_losses = impl(lambda: {"Gone": "specloom_kit_example:Gone"})
    check = dict(checks_of_plugin("example"))["Gone-imports"]
    with pytest.raises(AttributeError, match="Gone"):
        check()


def test_unknown_hooks_and_heavy_imports_fail(plugin, tmp_path, monkeypatch):
    checks = dict(checks_of_plugin("example"))
    checks["plugin-hooks_are_known"]()
    plugin.register_knobs = impl(nothing)
    with pytest.raises(Exception, match="register_knobs"):
        checks["plugin-hooks_are_known"]()
    with pytest.raises(AssertionError, match="No module named 'specloom_kit_example'"):
        checks["plugin-import_is_light"]()
    (tmp_path / "specloom_kit_example.py").write_text("import numpy\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(AssertionError, match="it imports numpy"):
        checks["plugin-import_is_light"]()
    (tmp_path / "specloom_kit_example.py").write_text("import specloom\n")
    checks["plugin-import_is_light"]()


def test_what_the_machine_lacks_is_skipped_with_the_reason(plugin, monkeypatch):
    def lack(self):
        raise UnavailableError("there is no camera")

    plugin.register_sources = impl(lambda: {"Scenes": f"{__name__}:Scenes"})
    monkeypatch.setattr(Scenes, "splits", lack)
    rows = parametrize_with_checks("example").mark.args[1]
    check = next(row.values[0] for row in rows if row.id == "Scenes-source_is_whole")
    with pytest.raises(pytest.skip.Exception, match="there is no camera"):
        check()


KIND = Port("B H W C", kind="example.cube", doc="Cubes.")


class OfAKind(Twice):
    outputs = {"doubled": KIND}


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"cube": KIND}, ""),
        ({}, "doubled is of the kind example.cube, which is not offered"),
        ({"cube": Port("B H W", doc="Images.")}, "doubled differs from the kind example.cube"),
        ({"cube": "B H W C"}, "the kind 'cube' is 'B H W C', not a Port"),
    ],
)
def test_kinds_of_value_are_held_to_what_is_registered(plugin, kinds, message):
    plugin.register_nodes = impl(lambda: {"OfAKind": f"{__name__}:OfAKind"})
    plugin.register_ports = impl(lambda: kinds)
    if not message:
        offering.kinds_are_registered("example", plugin)
        return
    with pytest.raises(AssertionError, match=message):
        offering.kinds_are_registered("example", plugin)
