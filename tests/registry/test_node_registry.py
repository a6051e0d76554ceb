"""Plugins and classes from Python: ``registry.load_plugin(name, config)`` and ``get``."""

import pytest
from registry_world import Repo, plugin_files

from specloom import ConfigError, PluginError, SpecloomError, plugins
from specloom_registry import NodeRegistry
from specloom_registry.fetch import git


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr("specloom.plugins.loaded", {})
    monkeypatch.setattr("specloom_registry.catalogue.node_registry.loaded", plugins.loaded)
    monkeypatch.setattr(NodeRegistry, "_provided", {})


@pytest.fixture
def registry():
    return NodeRegistry(allow_file=True)


def test_a_plugin_is_loaded_from_a_tag(world, registry):
    repo = world.repo("rx")
    config = {"repo": repo.url, "tag": "v1.0.0", "provides": ["acme_rx.nodes.Twice"]}
    assert registry.load_plugin(name="rx", config=config) == ["rx.Twice"]
    cls = NodeRegistry.get("acme_rx.nodes.Twice")
    assert cls is NodeRegistry.get("rx.Twice") is registry.get("Twice")
    assert world.store.as_posix() in __import__("acme_rx").__file__
    world.origins.rename(world.root / "gone")
    assert registry.load_plugin("rx", config) == ["rx.Twice"]


def test_a_plugin_is_loaded_from_a_folder(world, registry):
    for name, text in plugin_files("lab").items():
        (world.root / "lab" / name).parent.mkdir(parents=True, exist_ok=True)
        (world.root / "lab" / name).write_text(text)
    config = {"path": str(world.root / "lab"), "provides": ["lab.Twice", "acme_lab.nodes.Port"]}
    assert registry.load_plugin("lab", config) == ["lab.Twice"]
    assert NodeRegistry.get("acme_lab.nodes.Port").__name__ == "Port"


WRONG = [
    (
        {"repo": "https://x.org/a"},
        "E-SOURCE plugin 'rx' has no tag",
        "name 'repo' and 'tag', or 'path'",
    ),
    ({}, "E-SOURCE plugin 'rx' has no repo and no path", "name 'repo' and 'tag', or 'path'"),
    ({"repos": 1}, "E-KEY unknown key 'repos' in plugin 'rx'", "did you mean 'repo'?"),
    (
        {"path": "/nowhere"},
        "E-PATH-MISSING plugin 'rx': '/nowhere' is not a folder",
        "correct the path",
    ),
]


@pytest.mark.parametrize(("config", "what", "fix"), WRONG)
def test_a_wrong_configuration_is_reported(world, registry, config, what, fix):
    with pytest.raises(ConfigError) as caught:
        registry.load_plugin("rx", config)
    assert (caught.value.what, caught.value.fix) == (what, fix)


def test_a_class_that_is_not_there_is_reported(world, registry):
    config = {"repo": world.repo("rx").url, "tag": "v1.0.0"}
    with pytest.raises(PluginError) as caught:
        registry.load_plugin("rx", {**config, "provides": ["acme_rx.nodes.Thrice"]})
    assert caught.value.what == "E-PROVIDES plugin 'rx' has no 'acme_rx.nodes.Thrice'"
    assert caught.value.fix == "did you mean 'acme_rx.nodes.Twice'?"
    with pytest.raises(ConfigError, match="'provides' is not a list of names"):
        registry.load_plugin("rx", {**config, "provides": "acme_rx.nodes.Twice"})
    with pytest.raises(PluginError):
        NodeRegistry.get("rx.Nothing")


def test_files_of_this_machine_need_a_word_and_offline_fetches_nothing(world):
    config = {"repo": world.repo("rx").url, "tag": "v1.0.0"}
    with pytest.raises(ConfigError, match="is a local repository"):
        NodeRegistry().load_plugin("rx", config)
    with pytest.raises(SpecloomError, match="E-OFFLINE"):
        NodeRegistry(offline=True, allow_file=True).load_plugin("rx", config)


PIPELINE = """
from pathlib import Path

import torch

from specloom import Pipeline, PluginError, Plugins, Run
from specloom_registry import NodeRegistry

registry = NodeRegistry(allow_file=True)
config = {{"repo": {url!r}, "tag": "v1.0.0", "provides": ["acme_rx.nodes.Twice"]}}
registry.load_plugin(name="rx", config=config)
twice = registry.get("rx.Twice")()
pipeline = Pipeline("doubled")
pipeline.add("twice", twice)
pipeline.connect("batch.cube", "twice.data")
pipeline.outputs["doubled"] = "twice.doubled"
pipeline.save_to_file("saved.yaml")
"""
LOADED = """
loaded = Pipeline.load("saved.yaml")
graph = loaded.graph()
assert type(graph.nodes["twice"]) is type(twice)
print(graph.nodes["twice"].forward(data=torch.ones(2))["doubled"].tolist())
print(Plugins().version("rx"), registry.plugins.version("rx"))
print("rx: 1.0.0" in Path("saved.yaml").read_text())
"""
APPLIED = """
import numpy as np
from specloom_predict import predict_all

np.save("scene.npy", np.ones((4, 4, 3), np.float32))
summary = predict_all("saved.yaml", ["scene.npy"], "out")
print(summary.failed, np.load(next(Path("out").rglob("doubled.npy"))).max())
"""


@pytest.mark.parametrize("where", ["", "schema: 1\nplugins: {}\n"])
def test_a_pipeline_of_a_loaded_plugin_is_saved_loaded_and_run(world, where):
    """With or without a manifest in the folder, which does not name the plugin."""
    repo = world.repo("rx")
    if where:
        world.manifest.write_text(where)
    done = world.python(PIPELINE.format(url=repo.url) + LOADED + APPLIED)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[2.0, 2.0]\n1.0.0 1.0.0\nTrue\n[] 2.0\n"


def test_what_a_loaded_plugin_requires_is_checked(world, registry):
    repo = world.repo("rx", needs=["specloom-base>=1,<2"])
    config = {"repo": repo.url, "tag": "v1.0.0"}
    with pytest.raises(ConfigError) as caught:
        registry.load_plugin("rx", config)
    assert str(caught.value) == (
        "E-REQUIRES plugin 'rx' needs plugin 'base' >=1,<2\n"
        "  fix: load it first with load_plugin, in a version that fits, or install it"
    )
    older = world.repo("base", version="0.9.0")
    registry.load_plugin("base", {"repo": older.url, "tag": "v0.9.0"})
    with pytest.raises(ConfigError, match=r"but 0[.]9[.]0 is named"):
        registry.load_plugin("rx", config)


def test_what_a_loaded_plugin_requires_may_be_loaded_before(world, registry):
    base = world.repo("base")
    repo = world.repo("rx", needs=["specloom-base>=1,<2"])
    registry.load_plugin("base", {"repo": base.url, "tag": "v1.0.0"})
    assert registry.load_plugin("rx", {"repo": repo.url, "tag": "v1.0.0"}) == ["rx.Twice"]


def test_several_plugins_of_one_repository_are_loaded_by_one_fetch(world, registry, monkeypatch):
    repo = Repo(world.origins / "all.git")
    configs = {}
    for name, needs in (("base", []), ("rx", ["specloom-base>=1,<2"])):
        files = plugin_files(name, needs=needs)
        repo.commit(files, under=f"plugins/{name}", tag=f"{name}-v1.0.0")
        configs[name] = {
            "repo": repo.url,
            "tag": f"{name}-v1.0.0",
            "subdir": f"plugins/{name}",
            "tag-pattern": f"{name}-v{{version}}",
        }
    fetched = []
    real = git._fetch

    def counted(folder, url, refspecs):
        fetched.append(url)
        real(folder, url, refspecs)

    monkeypatch.setattr(git, "_fetch", counted)
    assert registry.load_plugins(configs) == ["base.Twice", "rx.Twice"]
    assert fetched == [repo.url]
    assert registry.load_plugins(configs) == ["base.Twice", "rx.Twice"]
    assert fetched == [repo.url]
