"""Plugins from local folders: the manifest is read strictly, and the named folder is what runs."""

import importlib
import sys

import pytest
from local_world import write_manifest, write_plugin

from specloom import PluginError, Problems, SpecloomWarning
from specloom.plugins import Plugins
from specloom_registry import resolve_plugins
from specloom_registry.importing.import_hook import PluginFinder


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
    with pytest.warns(SpecloomWarning, match="W-INSTALLED demo: the environment has another copy"):
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
    with pytest.raises(ModuleNotFoundError, match=r"no longer in .*pinned"):
        importlib.import_module("probe_demo")


def test_a_manifest_may_name_no_plugin_and_hold_notes(tmp_path):
    file = tmp_path / "plugins.yaml"
    file.write_text("schema: 1\nplugins: {}\nx-mine: [anything]\n")
    assert resolve_plugins(file) == {}


def test_every_problem_is_reported_together_in_the_order_of_the_file(tmp_path):
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
    reported = [(e.where.rpartition(":")[2], e.what.split()[0]) for e in caught.value.errors]
    assert reported == [*[("4", "E-NAME"), ("5", "E-KEY"), ("6", "E-PATH-MISSING"), ("7", "E-TAG")]]
    assert not any("probe_demo" in f.folders for f in sys.meta_path if isinstance(f, PluginFinder))


def test_a_manifest_without_the_registry_is_an_error(tmp_path, monkeypatch):
    write_manifest(tmp_path, "{}")
    monkeypatch.setattr("specloom.plugins.installed_resolver", dict)
    with pytest.raises(PluginError, match="nothing installed can resolve it"):
        Plugins.for_file(tmp_path / "run.yaml")
