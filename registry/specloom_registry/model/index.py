"""The plugins that are known by name: ``index.yaml``, which comes with the registry.

The index names folders and tags of one repository. The repository is the one that
``SPECLOOM_INDEX`` names, else ``index:`` of the manifest, else ``git:`` of the index, which is
there once the repository is published.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from specloom.contract.errors import ConfigError, did_you_mean

INSTALLED_FILE = Path(__file__).parents[1] / "index.yaml"
SOURCE_TREE_FILE = Path(__file__).parents[2] / "index.yaml"
VARIABLE = "SPECLOOM_INDEX"


def read() -> dict[str, dict[str, Any]]:
    """Read the plugins of the index: folder, tag pattern, versions, needs and commands, by name."""
    plugins: dict[str, dict[str, Any]] = _read_file().get("plugins", {})
    return plugins


def find_source(name: str, configured: str = "") -> dict[str, str]:
    """Return the manifest's line for a plugin of the index, without a tag.

    Args:
        name: The plugin.
        configured: The URL that the manifest has under ``index``; empty if it has none.

    Raises:
        ConfigError: The index has no such plugin, or its repository is not configured.
    """
    plugins = read()
    if name not in plugins:
        fix = "name its place with --git and --tag, or with --path"
        suggestion = did_you_mean(name, plugins)
        if suggestion.startswith("did you mean"):
            fix = suggestion
        raise ConfigError(f"E-INDEX the index has no plugin {name!r}", fix=fix)
    plugin = plugins[name]
    url = os.environ.get(VARIABLE) or configured or _read_file().get("git", "")
    if not url:
        options = f"--git URL --subdir {plugin['folder']} --tag-pattern '{plugin['tag-pattern']}'"
        raise ConfigError(
            f"E-INDEX the index has the plugin {name!r}, but its repository is not configured",
            fix=f"set {VARIABLE}, or 'index:' in plugins.yaml, to the URL of the repository of "
            f"specloom, or use {options}",
        )
    line = {
        "git": url,
        "subdir": plugin["folder"],
        "tag-pattern": plugin["tag-pattern"],
    }
    return {key: value for key, value in line.items() if value}


def find_needed(names: Iterable[str]) -> set[str]:
    """Find the plugins that plugins of the index need, directly or through others."""
    plugins = read()
    needed = set[str]()
    waiting = list(names)
    while waiting:
        plugin = plugins.get(waiting.pop(), {})
        new = set(plugin.get("needs", [])) - needed
        needed |= new
        waiting.extend(new)
    return needed


def where_configured() -> str:
    """Return what names the repository of the index, for messages about its URL."""
    if os.environ.get(VARIABLE):
        return VARIABLE
    return "index"


def _read_file() -> dict[str, Any]:
    from specloom.runfile import yaml

    for file in (INSTALLED_FILE, SOURCE_TREE_FILE):
        if file.is_file():
            value: dict[str, Any] = yaml.read(file).value
            return value
    return {}
