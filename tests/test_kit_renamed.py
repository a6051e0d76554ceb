"""Old names: the kit holds them to present ones, and descriptors, schema and lists carry them."""

import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from specloom import Plugins, Port, impl
from specloom.testing import checks_of_plugin, collecting, failures_of
from specloom.testing.describing import describe_plugin
from specloom_registry.catalogue.descriptors import find_descriptor
from specloom_registry.catalogue.json_schema import schema


class Twice:
    inputs = {"data": Port("B H W C", doc="Cubes.")}
    outputs = {"doubled": Port("B H W C", doc="Twice the cube.")}
    locality, array_library = "pixel", "numpy"
    renamed = {"cubes": "data", "times": "factor"}

    def __init__(self, factor: int = 2) -> None:
        self.factor = factor

    def forward(self, data):
        return {"doubled": data * self.factor}


class LeadsNowhere(Twice):
    renamed = {"cubes": "dta"}


class StillThere(Twice):
    renamed = {"doubled": "data"}


class HidesAMethod(Twice):
    renamed = {"forward": "data"}


def plugin_of(monkeypatch, **nodes):
    module = ModuleType("specloom_kit_renamed")
    module.register_nodes = impl(lambda: nodes)
    module.__spec__ = ModuleSpec(module.__name__, None)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entry = SimpleNamespace(name="example", load=lambda: module)
    monkeypatch.setattr(collecting, "entry_points", lambda group: [entry])
    return module


def test_sound_old_names_pass():
    assert failures_of(Twice) == {}


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (LeadsNowhere, "renamed leads from 'cubes' to 'dta', which it does not have"),
        (StillThere, "renamed has 'doubled' as an old name, which it still has"),
        (HidesAMethod, "renamed has 'forward' as an old name, which it still has"),
    ],
)
def test_unsound_old_names_fail(cls, said):
    assert said in failures_of(cls)["renames_are_sound"]


def test_an_old_name_of_a_node_is_one_check(monkeypatch):
    plugin_of(monkeypatch, Twice=f"{__name__}:Twice", Double="Twice")
    checks = dict(checks_of_plugin("example"))
    checks["Double-old_name_is_sound"]()
    assert not any(
        name.startswith("Double-") for name in checks.keys() - {"Double-old_name_is_sound"}
    )


def test_an_old_name_of_a_node_that_leads_nowhere_fails(monkeypatch):
    plugin_of(monkeypatch, Twice=f"{__name__}:Twice", Double="Twicee")
    said = "register_nodes leads from 'Double' to 'Twicee', which it does not offer"
    with pytest.raises(AssertionError, match=said):
        dict(checks_of_plugin("example"))["Double-old_name_is_sound"]()


def test_an_old_name_that_another_hook_offers_fails(monkeypatch):
    module = plugin_of(monkeypatch, Twice=f"{__name__}:Twice", Double="Twice")
    module.register_losses = impl(lambda: {"Double": f"{__name__}:Twice"})
    with pytest.raises(AssertionError, match="'Double' is an old name, but also among the losses"):
        dict(checks_of_plugin("example"))["Double-old_name_is_sound"]()


@pytest.fixture
def described(monkeypatch):
    module = plugin_of(monkeypatch, Twice=f"{__name__}:Twice", Double="Twice")
    return describe_plugin(Plugins({"example": module}), "example")


def test_the_descriptor_carries_old_names(described):
    assert list(described) == ["Twice"]
    assert described["Twice"]["formerly"] == ["Double"]
    assert described["Twice"]["renamed"] == {"cubes": "data", "times": "factor"}


def test_the_schema_takes_old_names_and_calls_them_deprecated(described):
    import jsonschema

    made = schema({"example.Twice": described["Twice"]})
    for type_, name in (("example.Twice", "factor"), ("example.Double", "times")):
        node = {"type": type_, "config": {name: 3}}
        jsonschema.validate({"specloom": 1, "nodes": {"twice": node}}, {**made, "required": []})
    use = made["properties"]["nodes"]["additionalProperties"]["oneOf"][0]["properties"]
    assert use["config"]["properties"]["times"]["deprecated"] is True


@pytest.mark.parametrize("wanted", ["Double", "example.Double", "Twice", "example.Twice"])
def test_a_node_is_found_under_its_old_name(monkeypatch, wanted):
    module = plugin_of(monkeypatch, Twice=f"{__name__}:Twice", Double="Twice")
    assert find_descriptor(Plugins({"example": module}), wanted)[0] == "example.Twice"


def test_the_guide_s_example_is_python_that_leads_to_present_names():
    from specloom.torch import TorchNode

    guide = (Path(__file__).parents[1] / "plugins/README.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (block,) = [block for block in blocks if "renamed" in block]
    made = {"TorchNode": TorchNode, "Port": Port, "impl": impl}
    exec(block, made)
    assert made["SpectralAngle"].renamed["cube"] in made["SpectralAngle"].inputs
    offered = made["register_nodes"]()
    assert offered[offered["Sam"]].endswith(":SpectralAngle")
