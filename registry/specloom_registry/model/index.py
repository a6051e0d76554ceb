"""The plugins that are known by name: ``index.yaml``, which comes with the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from specloom.contract.errors import ConfigError, did_you_mean

PLACES = (Path(__file__).parents[2] / "index.yaml", Path(__file__).parents[1] / "index.yaml")


def read() -> dict[str, dict[str, Any]]:
    """The plugins of the index: URL, folder, tag pattern and versions, by name."""
    from specloom.runfile import yaml

    file = next((place for place in PLACES if place.is_file()), None)
    found: dict[str, dict[str, Any]] = yaml.read(file).value["plugins"] if file else {}
    return found


def known(name: str) -> dict[str, str]:
    """The manifest's line for a plugin of the index, without a tag.

    Raises:
        ConfigError: The index has no such plugin.
    """
    plugins = read()
    if name not in plugins:
        fix = did_you_mean(name, plugins) if plugins else ""
        if not fix.startswith("did"):
            fix = "say where it is, with --git and --tag, or with --path"
        raise ConfigError(f"E-INDEX the index has no plugin {name!r}", fix=fix)
    one = plugins[name]
    line = {
        "git": one["git"],
        "subdir": one.get("folder", ""),
        "tag-pattern": one.get("tag-pattern", ""),
    }
    return {key: value for key, value in line.items() if value}
