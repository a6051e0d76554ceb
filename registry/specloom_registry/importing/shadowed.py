"""Copies of pinned plugins that are installed in the environment: the pinned ones win."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.machinery import BuiltinImporter, FrozenImporter
from importlib.metadata import (
    DistributionFinder,
    MetadataPathFinder,
    entry_points,
    packages_distributions,
)
from pathlib import Path
from typing import TYPE_CHECKING

from specloom.contract.errors import ConfigError, SpecloomError
from specloom.contract.hooks import GROUP
from specloom_registry.base.paths import is_file
from specloom_registry.importing.import_hook import PluginFinder
from specloom_registry.model.requirements import normalize_name
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom_registry.model.package import Package

OTHER_FINDERS = (PluginFinder, BuiltinImporter, FrozenImporter)


def installed_folder(plugin: Package) -> Path | None:
    """Return the folder of the environment's own copy of a plugin; None if there is no other."""
    own = [file.resolve().parent for file in plugin.files]
    for finder in sys.meta_path:
        if isinstance(finder, OTHER_FINDERS) or finder in OTHER_FINDERS:
            continue
        spec = finder.find_spec(plugin.top, None)
        if spec is not None and spec.origin:
            folder = Path(spec.origin).resolve().parent
            if folder in own:
                return None
            return folder
    return None


def foreign_modules(plugins: Iterable[Package]) -> list[SpecloomError]:
    """Return an error for each plugin whose top-level module another distribution brings."""
    errors: list[SpecloomError] = []
    for plugin in plugins:
        if installed_folder(plugin) is None or _is_installed(plugin):
            continue
        owners = _owners(plugin.top)
        if owners:
            errors.append(
                ConfigError(
                    f"E-SHADOW plugin {plugin.name!r} brings the module {plugin.top!r}, which the "
                    f"environment has from {', '.join(owners)}",
                    where=plugin.where,
                    fix="use another plugin: its author must rename the module",
                )
            )
    return errors


def _is_installed(plugin: Package) -> bool:
    """Check whether the environment has the plugin's own distribution, with the same module."""
    name = normalize_name(str(plugin.project.get("name", plugin.top)))
    for distribution in MetadataPathFinder.find_distributions(
        DistributionFinder.Context(name=name)
    ):
        for entry_point in distribution.entry_points.select(group=GROUP, name=plugin.name):
            if entry_point.module.partition(".")[0] == plugin.top:
                return True
    return False


def _owners(module: str) -> list[str]:
    """Return the distributions that bring a top-level module, also those that are editable."""
    found = set(packages_distributions().get(module, ()))
    for entry_point in entry_points(group=GROUP):
        if entry_point.module.partition(".")[0] == module and entry_point.dist is not None:
            found.add(entry_point.dist.name)
    return sorted(found)


def installed_copy_warning(plugin: Package) -> str:
    """Return a warning of the environment's copy, if it is another one; empty otherwise."""
    folder = installed_folder(plugin)
    if folder is None or _same_files(plugin, folder):
        return ""
    name = normalize_name(str(plugin.project.get("name", plugin.top)))
    context = DistributionFinder.Context(name=name)
    copy = f"another copy in {folder}"
    for distribution in MetadataPathFinder.find_distributions(context):
        copy = f"another copy, {distribution.version} in {folder}"
        break
    used = "that of the manifest"
    if plugin.version:
        used = f"that of the manifest, {plugin.version},"
    return f"W-INSTALLED {plugin.name}: the environment has {copy}; {used} is used"


def _same_files(plugin: Package, folder: Path) -> bool:
    """Check whether the copy in a folder has the bytes of the pinned one."""
    package, module = plugin.files
    if package.is_file():
        return tree.file_hashes(folder) == tree.file_hashes(package.parent)
    if module.is_file():
        installed = folder / module.name
        return is_file(installed) and installed.read_bytes() == module.read_bytes()
    return True  # importing it reports that it is gone
