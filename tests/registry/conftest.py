"""What every test of the registry gets: a world of its own, and a process left as it was."""

import sys
from pathlib import Path

import pytest

from specloom_registry.importing.import_hook import PluginFinder

sys.path.insert(0, str(Path(__file__).parent))

from registry_world import GIT, World, open_up  # its folder must be found first


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECLOOM_STORE", str(tmp_path / "store"))
    for key, value in GIT.items():
        monkeypatch.setenv(key, value)
    yield World(tmp_path)
    open_up(tmp_path / "store")


@pytest.fixture(autouse=True)
def clean_imports():
    """No test leaves a plugin, or what it pinned, behind."""
    before, path = list(sys.meta_path), list(sys.path)
    pinned = {id(f): dict(f.folders) for f in before if isinstance(f, PluginFinder)}
    yield
    sys.meta_path[:], sys.path[:] = before, path
    for finder in before:
        if isinstance(finder, PluginFinder):
            finder.folders = pinned[id(finder)]
            finder.pinned = {}
    for name in [name for name in sys.modules if name.startswith(("probe_", "acme_"))]:
        del sys.modules[name]
