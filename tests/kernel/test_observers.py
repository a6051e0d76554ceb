"""Observers: each run makes its own, and a broken one harms nobody."""

import types

from specloom import Graph, Plugins, Run, impl

SEEN: list[str] = []


class Watcher:
    @impl
    def run_started(self, run):
        SEEN.append("started")

    @impl
    def run_ended(self, run, error):
        SEEN.append("ended")


class Broken:
    def __init__(self):
        raise RuntimeError("broken")


class Empty:
    outputs = {}

    def sizes(self):
        return {}

    def splits(self):
        return ()

    def count(self, split):
        return 0

    def batches(self, split):
        return iter(())


def offering(**observers):
    @impl
    def register_observers():
        return {name: f"{__name__}:{name}" for name in observers}

    module = types.ModuleType("watching")
    module.register_observers = register_observers
    return Plugins({"watching": module})


def test_two_observed_runs_with_the_same_plugins(monkeypatch):
    import sys

    monkeypatch.setitem(
        sys.modules, __name__, types.SimpleNamespace(Watcher=Watcher, Broken=Broken)
    )
    plugins = offering(Watcher=1, Broken=1)
    SEEN.clear()
    for _ in range(2):
        Run(Graph({}, []), Empty(), plugins=plugins, observed=True).run()
    assert SEEN == ["started", "ended"] * 2
    assert [name for name, _ in plugins.manager.list_name_plugin()] == ["watching"]
