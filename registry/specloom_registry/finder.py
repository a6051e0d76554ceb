"""Imports of pinned plugins, from their own folders and before the environment's packages.

The finder stands first in ``sys.meta_path``, so an installed copy cannot hide the pinned one. It
answers for the top-level modules of plugins alone; what lies within a package is found through
that package, as always.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from specloom.errors import PluginError, SpecloomError

if TYPE_CHECKING:
    from specloom_registry.package import Package


class PluginFinder(MetaPathFinder):
    """Finds the top-level modules of plugins, each in one folder and nowhere else."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module in its plugin's folder; None for every other module.

        Raises:
            ModuleNotFoundError: The folder is no longer there; another copy must not stand in.
        """
        if (folder := self.folders.get(fullname)) is None:
            return None
        spec = PathFinder.find_spec(fullname, [str(folder)], target)
        if spec is None:
            raise ModuleNotFoundError(f"{fullname} is no longer in {folder}", name=fullname)
        return spec


def install(plugins: Iterable[Package]) -> None:
    """Make plugins importable; called again, it takes new plugins up and new folders over."""
    finder = next((one for one in sys.meta_path if isinstance(one, PluginFinder)), None)
    if finder is None:
        finder = PluginFinder()
        sys.meta_path.insert(0, finder)
    finder.folders |= {plugin.top: plugin.folder for plugin in plugins}


def already_imported(plugins: Iterable[Package]) -> list[SpecloomError]:
    """An error for each plugin that this process has imported from another place."""
    errors: list[SpecloomError] = []
    for plugin in plugins:
        if (module := sys.modules.get(plugin.top)) is None:
            continue
        loaded = getattr(module, "__file__", None)
        if loaded is None or Path(loaded).resolve() not in plugin.files:
            errors.append(
                PluginError(
                    f"E-LOADED plugin {plugin.name!r}: {plugin.top!r} was already imported from "
                    f"{loaded or 'elsewhere'}, not from {plugin.folder}",
                    where=plugin.where,
                    fix="start a new Python process: one process holds one copy of a plugin",
                )
            )
    return errors
