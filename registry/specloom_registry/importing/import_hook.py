"""Imports of pinned plugins, from their own folders and before the environment's packages.

The finder stands first in ``sys.meta_path``, so an installed copy cannot hide the pinned one. It
answers for the top-level modules of plugins alone, and for what lies within those that are in the
store: of these only sources are read, and their byte code is kept outside their folders.

A plugin's files are verified when its top-level module is imported, so that one that is found
wrong harms only the graphs that use it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    SOURCE_SUFFIXES,
    FileFinder,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
)
from importlib.metadata import Distribution
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import PluginError, SpecloomError
from specloom.contract.hooks import GROUP
from specloom_registry.model.requirements import normal

if TYPE_CHECKING:
    from specloom_registry.model.package import Package


class StoredLoader(SourceFileLoader):
    """Loads a source file of the store; its byte code goes elsewhere."""

    cache = ""

    def get_code(self, fullname: str) -> CodeType | None:
        """The module's code."""
        with _cached_in(self.cache):
            return super().get_code(fullname)


class PinnedDistribution(Distribution):
    """What ``importlib.metadata`` may know of a pinned plugin: name, version, entry point."""

    def __init__(self, package: Package) -> None:
        self._package = package

    def read_text(self, filename: str) -> str | None:
        """One of the two files that it has."""
        one = self._package
        name = one.project.get("name", one.top.replace("_", "-"))
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {one.version}\n"
        offered = f"[{GROUP}]\n{one.name} = {one.module}\n"
        return {"METADATA": about, "entry_points.txt": offered}.get(filename)

    def locate_file(self, path: Any) -> Path:
        """A file within the plugin's folder."""
        return self._package.home / str(path)


class PluginFinder(MetaPathFinder):
    """Finds the top-level modules of plugins, each in one folder and nowhere else."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}
        self.guards: dict[str, Callable[[], None]] = {}
        self.caches: dict[str, Path] = {}
        self.pinned: dict[str, PinnedDistribution] = {}
        self.listed = False

    def find_distributions(self, context: Any = None) -> Iterator[Distribution]:
        """The distribution of a pinned plugin, when it is asked for by name.

        So ``importlib.metadata`` tells the version that is pinned, not that of an installed copy;
        what is listed as installed does not change, unless ``list_pinned`` says so.
        """
        name = normal(getattr(context, "name", None) or "")
        if not name and self.listed:
            yield from set(self.pinned.values())
        elif name in self.pinned:
            yield self.pinned[name]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module in its plugin's folder; None for every other module.

        Raises:
            ModuleNotFoundError: The folder is no longer there; another copy must not stand in.
            SpecloomError: The plugin's files are not those that were locked.
        """
        top = fullname.partition(".")[0]
        if (folder := self.folders.get(top)) is None:
            return None
        if top in self.caches and fullname != top:
            return _stored(fullname, path or (), self.caches[top])
        if fullname != top:
            return None
        if (guard := self.guards.get(top)) is not None:
            guard()
        if top in self.caches:
            spec = _stored(fullname, [str(folder)], self.caches[top])
        else:
            spec = PathFinder.find_spec(fullname, [str(folder)], target)
        if spec is None:
            raise ModuleNotFoundError(f"{fullname} is no longer in {folder}", name=fullname)
        return spec


def install(
    plugins: Iterable[Package],
    guards: dict[str, Callable[[], None]] | None = None,
    caches: dict[str, Path] | None = None,
) -> None:
    """Make plugins importable; called again, it takes new plugins up and new folders over.

    Args:
        plugins: The plugins.
        guards: What to call before a plugin's top-level module is imported, by that module.
        caches: Where byte code is kept of plugins in the store, by top-level module.
    """
    finder = next((one for one in sys.meta_path if isinstance(one, PluginFinder)), None)
    if finder is None:
        finder = PluginFinder()
        sys.meta_path.insert(0, finder)
    for plugin in plugins:
        finder.guards.pop(plugin.top, None)
        finder.caches.pop(plugin.top, None)
        finder.folders[plugin.top] = plugin.folder
        if plugin.version:
            names = (plugin.top, str(plugin.project.get("name", plugin.top)))
            finder.pinned |= dict.fromkeys(map(normal, names), PinnedDistribution(plugin))
    finder.guards |= guards or {}
    finder.caches |= caches or {}


def list_pinned() -> list[str]:
    """List pinned plugins as if they were installed, for tests that look them up; their folders."""
    found = [one for one in sys.meta_path if isinstance(one, PluginFinder)]
    for one in found:
        one.listed = True
    return [str(folder) for one in found for folder in one.folders.values()]


def already_imported(plugins: Iterable[Package]) -> list[SpecloomError]:
    """An error for each plugin that this process has imported from another place."""
    errors: list[SpecloomError] = []
    for plugin in plugins:
        if (module := sys.modules.get(plugin.top)) is None:
            continue
        loaded = getattr(module, "__file__", None)
        if loaded is None or Path(loaded).resolve() not in map(Path.resolve, plugin.files):
            errors.append(
                PluginError(
                    f"E-LOADED plugin {plugin.name!r}: {plugin.top!r} was already imported from "
                    f"{loaded or 'elsewhere'}, not from {plugin.folder}",
                    where=plugin.where,
                    fix="start a new Python process: one process holds one copy of a plugin",
                )
            )
    return errors


@lru_cache
def _loader(folder: str) -> type[StoredLoader]:
    """A loader that keeps byte code in this folder."""
    return type("StoredLoader", (StoredLoader,), {"cache": folder})


def _stored(fullname: str, folders: Iterable[str], cache: Path) -> ModuleSpec | None:
    """The module in one of the folders, from its source."""
    for folder in folders:
        spec = FileFinder(folder, (_loader(str(cache)), SOURCE_SUFFIXES)).find_spec(fullname)
        if spec is not None and spec.loader is None:  # a folder without __init__.py
            inner = ModuleSpec(fullname, None, is_package=True)
            inner.submodule_search_locations = list(spec.submodule_search_locations or ())
            return inner
        if spec is not None:
            return spec
    return None


@contextmanager
def _cached_in(cache: str) -> Iterator[None]:
    before = sys.pycache_prefix
    sys.pycache_prefix = cache
    try:
        yield
    finally:
        sys.pycache_prefix = before
