"""``specloom plugins list`` and ``describe``, for plugins in folders."""

import importlib
import json
import subprocess
import sys
from importlib import metadata

import pytest
from click.testing import CliRunner
from local_world import PROJECT, write_manifest, write_plugin

from specloom import PluginError, Plugins
from specloom.contract.errors import SpecloomWarning
from specloom_registry import resolve_plugins
from specloom_registry.catalogue.descriptors import read_descriptors
from specloom_registry.commands.nodes import nodes, schema
from specloom_registry.commands.plugins import differences, plugins


def command(*arguments):
    return CliRunner().invoke(plugins, [str(a) for a in arguments])


def test_list_shows_broken_plugins_next_to_working_ones(tmp_path):
    write_plugin(tmp_path / "lab")
    write_plugin(tmp_path / "bad", name="bad", top="probe_bad")
    (tmp_path / "bad/probe_bad/__init__.py").write_text("import probe_missing")
    file = write_manifest(tmp_path, "demo: {path: lab}\nbad: {path: bad}\naway: {path: nowhere}\n")
    done = command("list", "--manifest", file)
    assert done.exit_code == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["name", "version", "module", "path"]
    assert rows[2:] == [
        ["demo", "1.2.0", "probe_demo", str(tmp_path / "lab")],
        ["bad", "1.2.0", "probe_bad", str(tmp_path / "bad")],
        ["away"],
    ]
    assert "bad is broken: plugin 'bad' fails to import: ModuleNotFoundError" in done.stderr
    assert "away is broken: " in done.stderr
    assert "E-PATH-MISSING" in done.stderr
    as_json = json.loads(command("list", "--json", "--manifest", file).stdout)
    assert [(row["name"], bool(row["error"])) for row in as_json] == [
        *[("demo", False), ("bad", True), ("away", True)]
    ]
    write_manifest(tmp_path, "{}")
    assert command("list", "--manifest", file).stdout == f"{file} names no plugin\n"


def test_list_reports_a_plugin_that_is_imported_from_elsewhere(tmp_path):
    write_plugin(tmp_path / "one")
    write_plugin(tmp_path / "two")
    resolve_plugins(write_manifest(tmp_path, "demo: {path: one}"))
    importlib.import_module("probe_demo")
    file = write_manifest(tmp_path, "demo: {path: two}")
    (row,) = json.loads(command("list", "--json", "--manifest", file).stdout)
    assert "E-LOADED" in row["error"]


def test_list_without_a_manifest_shows_what_is_installed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {row["name"]: row for row in json.loads(command("list", "--json").stdout)}
    assert rows["registry"]["module"] == "specloom_registry"
    assert rows["registry"]["version"] == metadata.version("specloom")
    assert rows["registry"]["error"] == ""


def test_describe_writes_checks_and_names_what_differs(tmp_path):
    lab = write_plugin(tmp_path / "lab")
    file = write_manifest(tmp_path, "demo: {path: lab}")
    shipped = lab / "probe_demo/nodes.json"
    printed = command("describe", "demo", "--manifest", file)
    assert list(json.loads(printed.stdout)) == ["Twice"]
    missing = command("describe", "demo", "--check", "--manifest", file)
    assert (missing.exit_code, "it does not exist" in missing.stderr) == (1, True)
    written = command("describe", "demo", "--write", "--manifest", file)
    assert written.stdout == f"{shipped}: 1 described\n"
    assert shipped.read_text() == printed.stdout
    assert command("describe", "demo", "--check", "--manifest", file).exit_code == 0
    shipped.write_text(printed.stdout.replace("2.0", "3.0"))
    stale = command("describe", "demo", "--check", "--manifest", file)
    assert stale.exit_code == 1
    assert stale.stderr.splitlines() == [
        f"{shipped} does not match the classes:",
        "  Twice.params.factor.default is 3.0, should be 2.0",
        "  fix: specloom plugins describe demo --write",
    ]
    shipped.write_text("{")
    broken = command("describe", "demo", "--check", "--manifest", file)
    assert (broken.exit_code, "it cannot be read" in broken.stderr) == (1, True)


def test_describe_refuses_what_makes_no_sense(tmp_path):
    both = command("describe", "demo", "--write", "--check")
    assert (both.exit_code, "exclude each other" in both.stderr) == (2, True)
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "pyproject.toml").write_text(PROJECT.format(name="demo", top="probe_single"))
    (lab / "probe_single.py").write_text("")
    file = write_manifest(tmp_path, "demo: {path: lab}")
    single = command("describe", "demo", "--write", "--manifest", file)
    assert isinstance(single.exception, PluginError)
    assert single.exception.what == (
        f"plugin 'demo' is the single file {lab}/probe_single.py, which can ship no descriptor"
    )
    assert not (lab / "nodes.json").exists()


@pytest.mark.parametrize(
    ("odd", "problem"),
    [
        ({"required": None}, "'Twice.required' is null, which is not a list"),
        ({"required": ...}, "'Twice.required' is missing"),
        ({"params": {"factor": 2}}, "'Twice.params.factor' is 2, which is not a mapping"),
        ({"kind": 1}, "'Twice.kind' is 1, which is not a string"),
        ({"inputs": {"data": {"axes": 3}}}, "'Twice.inputs.data.axes' is 3, which is not a string"),
        (None, "'Twice' is null, which is not a mapping"),
    ],
)
def test_a_descriptor_of_another_form_is_a_warning(tmp_path, monkeypatch, odd, problem):
    lab = write_plugin(tmp_path / "lab")
    file = write_manifest(tmp_path, "demo: {path: lab}")
    command("describe", "demo", "--write", "--manifest", file)
    shipped = lab / "probe_demo/nodes.json"
    described = json.loads(shipped.read_text())["Twice"]
    if odd is not None:
        changed = {**described, **odd}
        odd = {key: value for key, value in changed.items() if value is not ...}
    shipped.write_text(json.dumps({"Twice": odd}))
    monkeypatch.chdir(tmp_path)
    what = f"plugin 'demo': {problem}"
    for subcommand in (schema, nodes):
        with pytest.warns(SpecloomWarning) as caught:
            done = CliRunner().invoke(subcommand, [])
        assert done.exit_code == 0
        (warning,) = caught
        text = f"{shipped}: W-DESCRIPTOR {what}; it is ignored"
        assert str(warning.message) == text
    found = Plugins.for_file(tmp_path / "run.yaml")
    with pytest.raises(PluginError) as refused:
        read_descriptors(found, ["demo"])
    assert refused.value.what == f"E-DESCRIPTOR {what}"
    assert refused.value.where == str(shipped)
    assert refused.value.fix == (
        "report it to its author, who runs: specloom plugins describe demo --write"
    )


def test_differences_name_each_place():
    shipped = {"A": {"doc": "a", "n": 1}, "B": {}}
    assert list(differences(shipped, {"A": {"doc": "a", "n": 1.0}, "C": {}})) == [
        *["A.n is 1, should be 1.0", "B is no longer there", "C is missing"]
    ]


def test_the_command_is_offered_and_a_user_error_ends_with_2(tmp_path):
    def specloom(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "specloom", "plugins", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )

    (tmp_path / "plugins.yaml").write_text("plugins: {}\n")
    done = specloom("list")
    assert (done.returncode, "E-SCHEMA no schema is named" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr
    (tmp_path / "plugins.yaml").unlink()
    assert "specloom_registry" in specloom("list").stdout
