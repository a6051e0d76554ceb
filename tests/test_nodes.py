"""``specloom nodes`` and ``specloom schema``: what plugins offer, for people and for editors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from specloom import PluginError
from specloom_registry.catalogue.descriptors import port_table
from specloom_registry.commands.nodes import nodes, schema

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def with_the_manifest(monkeypatch):
    monkeypatch.chdir(ROOT / "configs")


def printed(command, *arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_every_node_is_listed_with_its_first_sentence():
    out = printed(nodes)
    assert "rx.RXGlobal " in out
    assert "Scores each pixel by its squared Mahalanobis distance" in out
    assert "training.Evaluate " in out


def test_the_nodes_of_one_plugin_are_listed():
    lines = printed(nodes, "rx").splitlines()
    assert lines[0].split() == ["name", "kind", "what"]
    assert {line.partition(".")[0] for line in lines[2:]} == {"rx"}
    assert any(line.startswith("rx.RXGlobal ") for line in lines)


@pytest.mark.parametrize("name", ["RXGlobal", "rx.RXGlobal"])
def test_one_node_is_described_with_ports_and_parameters(name):
    out = printed(nodes, name)
    assert out.startswith("rx.RXGlobal\n\n")
    assert "| `scores` | output | `B H W 1` | float32 |" in out
    assert "num_channels   integer or null  null\n" in out
    assert "eps            number           1e-06\n" in out


def test_a_phase_has_parameters_and_no_table_of_ports():
    out = printed(nodes, "training.Evaluate")
    assert "| port |" not in out
    assert 'split      string  "test"\n' in out


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("rx.RXGlobl", "did you mean 'rx.RXGlobal'?"),
        ("rxglobl", "did you mean 'rx.RXGlobal'?"),
        ("acme-tools", "install the plugin that offers it; installed are adaclip, bands, "),
        ("acme-tools.Zebra", "install the plugin that offers it; installed are adaclip, bands, "),
    ],
)
def test_a_name_that_no_plugin_offers(name, fix):
    with pytest.raises(PluginError) as caught:
        printed(nodes, name)
    assert caught.value.what == f"no plugin offers {name!r}"
    assert caught.value.fix.startswith(fix)


def test_a_bar_in_a_port_description_does_not_end_the_cell():
    descriptor = {"outputs": {"scores": {"axes": "B H W 1", "doc": "Mean |z|.", "unit": "1"}}}
    row = port_table(descriptor).splitlines()[-1]
    assert row == r"| `scores` | output | `B H W 1` | float32 | Mean \|z\|. [1] |"


def test_descriptors_are_data_for_programs():
    found = json.loads(printed(nodes, "--json"))
    assert found["rx.RXGlobal"]["params"]["eps"] == {"default": 1e-06, "type": "number"}
    assert found["cubes.Scene"]["required"] == ["cube"]
    assert found["training.Calibrate"]["kind"] == "trainers"


def test_the_schema_is_printed_or_written(tmp_path):
    file = tmp_path / "schema.json"
    assert printed(schema, "--out", str(file)) == ""
    assert json.loads(printed(schema)) == json.loads(file.read_text())


def test_the_schema_refuses_what_check_refuses():
    import jsonschema

    from specloom.runfile import yaml

    made = json.loads(printed(schema))
    value = yaml.read(ROOT / "configs/rx_scene.yaml").value
    jsonschema.validate(value, made)
    for wrong in ({"epss": 0}, {"eps": "small"}):
        value["nodes"]["rx"]["config"] = wrong
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(value, made)
