"""From tags to imported code: lock, sync, run, in real repositories."""

import json
import sys

import pytest

from specloom.plugins import Plugins
from specloom_registry import resolve_plugins


def test_a_plugin_from_a_tag_runs_from_the_store(world, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    commit = world.repo("rx").git("rev-parse", "HEAD")
    world.wants("rx@v1.0.0")
    done = world.run("lock")
    assert done.stdout == f"rx: new -> 1.0.0 (v1.0.0 {commit[:12]})\n{world.lock}\n"
    assert world.locked()["plugins"]["rx"]["source"]["commit"] == commit
    assert world.run("sync").stdout == "fetched: nothing\n"
    assert resolve_plugins(world.manifest) == {"rx": "acme_rx"}
    name, cls = Plugins.for_file(world.project / "run.yaml").find("rx.Twice", ("nodes",), "")
    assert (name, cls.__module__) == ("rx.Twice", "acme_rx.nodes")
    assert sys.modules["acme_rx.nodes"].__file__ == str(world.tree() / "acme_rx/nodes.py")
    assert not list(world.store.rglob("*.pyc"))
    assert world.leftovers() == []


@pytest.mark.parametrize("command", ["list", "sync", "verify", "outdated", "lock"])
def test_every_answer_can_be_had_as_json(world, command):
    world.repo("rx")
    world.wants("rx@v1.0.0")
    world.run("lock")
    json.loads(world.run(command, "--json").stdout)
