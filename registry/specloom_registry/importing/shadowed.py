"""Copies of pinned plugins that are installed in the environment: the pinned ones win."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from importlib.machinery import BuiltinImporter, FileFinder, FrozenImporter, PathFinder
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


def _modules_on_path() -> set[str] | None:
    """Return the top-level modules that ``sys.path`` may have, in lower case; None if unknown.

    One look at each folder instead of one for each plugin: there are as many folders as packages
    that were installed for editing.
    """
    found = set[str]()
    for place in sys.path:
        folder = place or str(Path.cwd())
        if folder not in sys.path_importer_cache:
            return None
        finder = sys.path_importer_cache[folder]
        if finder is None:  # there is nothing that holds modules
            continue
        if not isinstance(finder, FileFinder):  # of an archive, say
            return None
        with suppress(OSError), os.scandir(finder.path) as entries:
            for entry in entries:
                module, _, _suffix = entry.name.partition(".")
                found.add(module.lower())
    return found


def installed_folder(plugin: Package, on_path: Collection[str] | None = None) -> Path | None:
    """Return the folder of the environment's own copy of a plugin; None if there is no other.

    Args:
        plugin: The plugin.
        on_path: What ``_modules_on_path`` returns.
    """
    for finder in sys.meta_path:
        if isinstance(finder, OTHER_FINDERS) or finder in OTHER_FINDERS:
            continue
        if finder is PathFinder and on_path is not None and plugin.top.lower() not in on_path:
            continue
        spec = finder.find_spec(plugin.top, None)
        if spec is not None and spec.origin:
            folder = Path(spec.origin).resolve().parent
            if folder in [file.resolve().parent for file in plugin.files]:
                return None
            return folder
    return None


def installed_folders(plugins: Iterable[Package]) -> dict[str, Path]:
    """Return the folders of the environment's own copies of plugins, by the plugins' names."""
    found = {}
    on_path = _modules_on_path()
    for plugin in plugins:
        folder = installed_folder(plugin, on_path)
        if folder is not None:
            found[plugin.name] = folder
    return found


def foreign_modules(
    plugins: Iterable[Package], copies: Mapping[str, Path] | None = None
) -> list[SpecloomError]:
    """Return an error for each plugin whose top-level module another distribution brings.

    Args:
        plugins: The plugins.
        copies: What ``installed_folders`` returns for them, if it is known.
    """
    plugins = list(plugins)
    if copies is None:
        copies = installed_folders(plugins)
    errors: list[SpecloomError] = []
    for plugin in plugins:
        if plugin.name not in copies or _is_installed(plugin):
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


def installed_copy_warning(plugin: Package, folder: Path) -> str:
    """Return a warning of the environment's copy in ``folder``; empty if it has the same bytes."""
    if _same_files(plugin, folder):
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
    if not folder.is_dir():  # within an archive
        return False
    if package.is_file():
        return tree.file_hashes(folder) == tree.file_hashes(package.parent)
    if module.is_file():
        installed = folder / module.name
        return is_file(installed) and installed.read_bytes() == module.read_bytes()
    return True  # importing it reports that it is gone
