"""The plugins that are known by name: ``index.yaml``, which comes with the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from specloom.contract.errors import ConfigError, did_you_mean

SOURCE_TREE_FILE = Path(__file__).parents[2] / "index.yaml"
INSTALLED_FILE = Path(__file__).parents[1] / "index.yaml"


def read() -> dict[str, dict[str, Any]]:
    """Read the plugins of the index: URL, folder, tag pattern and versions, by name."""
    from specloom.runfile import yaml

    for file in (SOURCE_TREE_FILE, INSTALLED_FILE):
        if file.is_file():
            plugins: dict[str, dict[str, Any]] = yaml.read(file).value["plugins"]
            return plugins
    return {}


def find_source(name: str) -> dict[str, str]:
    """Return the manifest's line for a plugin of the index, without a tag.

    Raises:
        ConfigError: The index has no such plugin.
    """
    plugins = read()
    if name not in plugins:
        fix = "name its place with --git and --tag, or with --path"
        suggestion = did_you_mean(name, plugins)
        if suggestion.startswith("did you mean"):
            fix = suggestion
        raise ConfigError(f"E-INDEX the index has no plugin {name!r}", fix=fix)
    plugin = plugins[name]
    line = {
        "git": plugin["git"],
        "subdir": plugin.get("folder", ""),
        "tag-pattern": plugin.get("tag-pattern", ""),
    }
    return {key: value for key, value in line.items() if value}
