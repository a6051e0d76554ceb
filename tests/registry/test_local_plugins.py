"""Plugins from local folders: the manifest is read strictly, and the named folder is what runs."""

import importlib
import json
import subprocess
import sys
import textwrap

import pytest
from click.testing import CliRunner

from specloom import PluginError, Problems
from specloom.plugins import Plugins
from specloom_registry import resolve_plugins
from specloom_registry.command import differences, plugins
from specloom_registry.finder import PluginFinder

HOOKS = """
from specloom import impl
SAYS = {says!r}
@impl
def register_nodes():
    return {{"Twice": "{top}.twice:Twice"}}
"""
PROJECT = """
[project]
name = "probe"
version = "1.2.0"
[project.entry-points.specloom]
{name} = "{top}"
"""
TWICE = '''
from specloom import Port

class Twice:
    """Twice the cube."""

    inputs = {"data": Port("B H W C", doc="A cube.")}
    outputs = {"doubled": Port("B H W C", doc="Twice the cube.")}

    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor

    def forward(self, data):
        return {"doubled": data * self.factor}
'''


def write_plugin(folder, name="demo", top="probe_demo", says="one"):
    (folder / top).mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT.format(name=name, top=top))
    (folder / top / "__init__.py").write_text(HOOKS.format(says=says, top=top))
    (folder / top / "twice.py").write_text(TWICE)
    return folder


def write_manifest(folder, plugins, schema="schema: 1"):
    file = folder / "plugins.yaml"
    file.write_text(f"{schema}\nplugins:\n{textwrap.indent(textwrap.dedent(plugins), '  ')}\n")
    return file


def test_a_plugin_runs_from_the_folder_that_the_manifest_names(tmp_path):
    write_plugin(tmp_path / "lab")
    file = write_manifest(tmp_path, "demo: {path: lab}")
    assert resolve_plugins(file) == {"demo": "probe_demo"}
    assert "probe_demo" not in sys.modules
    found = Plugins.for_file(tmp_path / "run.yaml")
    name, cls = found.find("demo.Twice", ("nodes",), "")
    assert (name, cls.__module__) == ("demo.Twice", "probe_demo.twice")
    assert sys.modules["probe_demo"].__file__ == str(tmp_path / "lab/probe_demo/__init__.py")


def test_an_installed_copy_cannot_hide_the_pinned_folder(tmp_path, monkeypatch):
    write_plugin(tmp_path / "installed", says="installed")
    write_plugin(tmp_path / "pinned", says="pinned")
    monkeypatch.syspath_prepend(tmp_path / "installed")
    resolve_plugins(write_manifest(tmp_path, "demo: {path: pinned}"))
    assert importlib.import_module("probe_demo").SAYS == "pinned"


def test_paths_are_relative_to_the_manifest_and_follow_links(tmp_path, monkeypatch):
    write_plugin(tmp_path / "real")
    (tmp_path / "configs").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir("/")
    file = write_manifest(tmp_path / "configs", "demo: {path: ../link}")
    assert resolve_plugins(file) == resolve_plugins(file) == {"demo": "probe_demo"}
    importlib.import_module("probe_demo")
    assert resolve_plugins(file) == {"demo": "probe_demo"}


def test_resolving_twice_puts_one_finder_in_front(tmp_path):
    write_plugin(tmp_path / "lab")
    file = write_manifest(tmp_path, "demo: {path: lab}")
    resolve_plugins(file)
    resolve_plugins(file)
    assert [isinstance(one, PluginFinder) for one in sys.meta_path].count(True) == 1
    assert isinstance(sys.meta_path[0], PluginFinder)


def test_another_folder_takes_over_until_the_plugin_is_imported(tmp_path):
    write_plugin(tmp_path / "one", says="one")
    write_plugin(tmp_path / "two", says="two")
    resolve_plugins(write_manifest(tmp_path, "demo: {path: one}"))
    second = write_manifest(tmp_path, "demo: {path: two}")
    resolve_plugins(second)
    assert importlib.import_module("probe_demo").SAYS == "two"
    first = write_manifest(tmp_path, "demo: {path: one}")
    with pytest.raises(PluginError) as caught:
        resolve_plugins(first)
    assert caught.value.what == (
        f"E-LOADED plugin 'demo': 'probe_demo' was already imported from "
        f"{tmp_path}/two/probe_demo/__init__.py, not from {tmp_path}/one"
    )
    assert caught.value.where == f"{first}:3"
    assert caught.value.fix == "start a new Python process: one process holds one copy of a plugin"


def test_a_folder_that_vanishes_is_not_replaced_by_an_installed_copy(tmp_path, monkeypatch):
    write_plugin(tmp_path / "installed")
    write_plugin(tmp_path / "pinned")
    monkeypatch.syspath_prepend(tmp_path / "installed")
    resolve_plugins(write_manifest(tmp_path, "demo: {path: pinned}"))
    (tmp_path / "pinned").rename(tmp_path / "gone")
    with pytest.raises(ModuleNotFoundError, match=r"probe_demo is no longer in .*pinned"):
        importlib.import_module("probe_demo")


def test_a_manifest_may_name_no_plugin_and_hold_notes(tmp_path):
    file = tmp_path / "plugins.yaml"
    file.write_text("schema: 1\nplugins: {}\nx-mine: [anything]\n")
    assert resolve_plugins(file) == {}


def test_every_problem_is_told_at_once_in_the_order_of_the_file(tmp_path):
    write_plugin(tmp_path / "lab")
    file = write_manifest(
        tmp_path,
        """
        RX_one: {path: lab}
        demo: {path: lab, pth: x}
        away: {path: nowhere}
        git-one: {git: "https://example.org/x", tag: v1*}
        """,
    )
    with pytest.raises(Problems) as caught:
        resolve_plugins(file)
    told = [(e.where.rpartition(":")[2], e.what.split()[0]) for e in caught.value.errors]
    assert told == [*[("4", "E-NAME"), ("5", "E-KEY"), ("6", "E-PATH-MISSING"), ("7", "E-TAG")]]
    assert not any("probe_demo" in f.folders for f in sys.meta_path if isinstance(f, PluginFinder))


def test_a_manifest_without_the_registry_is_an_error(tmp_path, monkeypatch):
    write_manifest(tmp_path, "{}")
    monkeypatch.setattr("specloom.plugins.installed", dict)
    with pytest.raises(PluginError, match="nothing installed can resolve it"):
        Plugins.for_file(tmp_path / "run.yaml")


def command(*arguments):
    return CliRunner().invoke(plugins, [str(a) for a in arguments])


def test_list_shows_broken_plugins_beside_working_ones(tmp_path):
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


def test_list_tells_a_plugin_that_is_imported_from_elsewhere(tmp_path):
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
    assert rows["registry"]["version"] == "0.1.0"
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
        f"{shipped} is not what the classes are:",
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
