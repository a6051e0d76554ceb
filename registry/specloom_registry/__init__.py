"""Plugins named by a manifest, ``plugins.yaml``: from Git tags and local folders, locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import impl
from specloom.plugins import RECORD

if TYPE_CHECKING:
    from specloom import Run
    from specloom_registry.catalogue.node_registry import NodeRegistry

__all__ = [
    "NodeRegistry",
    "describe_pins",
    "describe_run",
    "find_command",
    "install_pins",
    "pack_tree",
    "register_commands",
    "register_observers",
    "resolve_plugins",
    "store_tree",
]


@impl
def resolve_plugins(manifest: Path) -> Mapping[str, str] | None:
    """Make the manifest's plugins importable; return the module of each, by plugin name.

    Nothing is imported. Either every plugin of the manifest can be found, or nothing changes. For
    the record of a run, ``run.json``, they are those that it pins; None if it pins none.

    Raises:
        ConfigError: The manifest, or a plugin's folder, is not as it should be.
        PluginError: A plugin was already imported from elsewhere in this process.
    """
    if manifest.name == RECORD:
        from specloom_registry.provenance.recorded import activate_recorded

        return activate_recorded(manifest)
    from specloom_registry.importing.activate import activate

    return activate(manifest)


@impl
def describe_pins(manifest: Path) -> Sequence[Mapping[str, Any]] | None:
    """The plugins that an active manifest pins, as plain values."""
    from specloom_registry.importing import pins

    return pins.describe_pins(manifest)


@impl
def install_pins(pins: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """Make pinned plugins importable; give the trees that are not here."""
    from specloom_registry.importing.pins import install_pins

    return install_pins(pins)


@impl
def pack_tree(tree: str) -> Mapping[str, bytes]:
    """The files of a tree in the store."""
    from specloom_registry.importing.pins import pack_tree

    return pack_tree(tree)


@impl
def store_tree(tree: str, files: Mapping[str, bytes]) -> bool:
    """Put a tree into the store."""
    from specloom_registry.importing.pins import store_tree

    store_tree(tree, files)
    return True


@impl
def find_command(name: str) -> str | None:
    """The plugin of the index that has a command; None if none has it."""
    from specloom_registry.model import index

    for plugin, entry in index.read().items():
        if name in entry.get("commands", ()):
            return plugin
    return None


@impl
def describe_run(run: Run) -> Mapping[str, Any]:
    """Plugins with versions, data files with hashes, packages and the machine."""
    from specloom_registry.provenance.observer import circumstances

    return circumstances(run)


@impl
def register_observers() -> Mapping[str, str]:
    """Offer the observer that completes ``run.json``."""
    return {"Provenance": "specloom_registry.provenance.observer:Provenance"}


@impl
def register_commands() -> Mapping[str, str]:
    """Offer the commands on plugins, on what they offer, and on recorded runs."""
    return {
        "compare": "specloom_registry.commands.reproduce:compare",
        "init": "specloom_registry.commands.new:init",
        "new": "specloom_registry.commands.new:new",
        "nodes": "specloom_registry.commands.nodes:nodes",
        "plugins": "specloom_registry.commands.plugins:plugins",
        "reproduce": "specloom_registry.commands.reproduce:reproduce",
        "schema": "specloom_registry.commands.nodes:schema",
    }


def __getattr__(name: str) -> object:
    """Return ``NodeRegistry``, imported when it is used."""
    if name == "NodeRegistry":
        from specloom_registry.catalogue.node_registry import NodeRegistry

        return NodeRegistry
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
