"""What plugins in folders need and this environment does not have, found when they are imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING

from specloom.contract.errors import ConfigError, SpecloomError
from specloom_registry.model import requirements
from specloom_registry.model.metadata import PREFIX

if TYPE_CHECKING:
    from specloom_registry.model.package import Package


def unmet_warning(plugin: Package, plugins: Mapping[str, Package]) -> str:
    """Return a warning of the requirements of a plugin that are not met; empty otherwise.

    Args:
        plugin: The plugin, whose ``pyproject.toml`` was read.
        plugins: The plugins of the manifest, by name.
    """
    unmet = list(_unmet(plugin, plugins))
    if not unmet:
        return ""
    needs = ", and ".join(unmet)
    return f"W-REQUIRES {plugin.name} needs {needs}; install what it needs, or use another version"


def unmet_errors(plugin: Package, plugins: Mapping[str, Package]) -> list[SpecloomError]:
    """Return an error for each requirement of a plugin that is not met, as ``unmet_warning``."""
    errors: list[SpecloomError] = []
    for need in _unmet(plugin, plugins):
        what = f"E-REQUIRES plugin {plugin.name!r} needs {need}"
        fix = "install what it needs, or use another version of it"
        errors.append(ConfigError(what, where=plugin.where, fix=fix))
    return errors


def _unmet(plugin: Package, plugins: Mapping[str, Package]) -> Iterator[str]:
    """Yield each requirement that is not met, with what is there instead."""
    for text in plugin.project.get("dependencies", []):
        with suppress(ValueError):  # resolving the plugin reports a requirement that is malformed
            requirement = requirements.parse(str(text))
            if requirement.name == "specloom" or not requirement.applies():
                continue
            version = _version(requirement.name, plugins)
            if version is None:
                yield f"{requirement.text}, which is not installed"
            elif version and not requirement.allows(version):
                yield f"{requirement.text}, but {version} is used"


def _version(distribution: str, plugins: Mapping[str, Package]) -> str | None:
    """Return the version of a distribution that a run would use; None where there is none."""
    plugin = plugins.get(distribution.removeprefix(PREFIX))
    if distribution.startswith(PREFIX) and plugin is not None:
        return plugin.version
    return _installed_version(distribution)


@lru_cache
def _installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution; None where there is none."""
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return None
    # Its ``version`` parses all of the metadata as an e-mail, description included.
    head, _, _description = (found.read_text("METADATA") or "").partition("\n\n")
    for line in head.splitlines():
        name, _, value = line.partition(":")
        if name == "Version":
            return value.strip()
    return found.version
