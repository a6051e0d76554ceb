"""Imports of pinned plugins, from their own folders and before the environment's packages.

The finder stands first in ``sys.meta_path``, so an installed copy cannot hide the pinned one. It
answers for the top-level modules of plugins alone, and for what lies within those that are in the
store: of these only sources are read, and their byte code is stored outside their folders.

A plugin's files are verified when its top-level module is imported, so that a damaged one harms
only the graphs that use it.
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
from specloom_registry.model.requirements import normalize_name

if TYPE_CHECKING:
    from specloom_registry.model.package import Package


class StoredLoader(SourceFileLoader):
    """Loads a source file of the store; its byte code goes to another folder."""

    cache = ""

    def get_code(self, fullname: str) -> CodeType | None:
        """The module's code."""
        with _cached_in(self.cache):
            return super().get_code(fullname)


class PinnedDistribution(Distribution):
    """What ``importlib.metadata`` reports of a pinned plugin: name, version, entry point."""

    def __init__(self, package: Package) -> None:
        self._package = package

    def read_text(self, filename: str) -> str | None:
        """Return one of the two files that it has."""
        package = self._package
        if filename == "METADATA":
            name = package.project.get("name", package.top.replace("_", "-"))
            return f"Metadata-Version: 2.1\nName: {name}\nVersion: {package.version}\n"
        if filename == "entry_points.txt":
            return f"[{GROUP}]\n{package.name} = {package.module}\n"
        return None

    def locate_file(self, path: Any) -> Path:
        """Return a file within the plugin's folder."""
        return self._package.home / str(path)


class PluginFinder(MetaPathFinder):
    """Finds the top-level modules of plugins, each in one folder and nowhere else."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}
        self.checks: dict[str, Callable[[], None]] = {}
        self.caches: dict[str, Path] = {}
        self.pinned: dict[str, PinnedDistribution] = {}
        self.listed = False

    def find_distributions(self, context: Any = None) -> Iterator[Distribution]:
        """Yield the distribution of a pinned plugin, if it is looked up by name.

        So ``importlib.metadata`` reports the version that is pinned, not that of an installed copy;
        what is listed as installed does not change, unless ``list_pinned`` was called.
        """
        name = normalize_name(getattr(context, "name", None) or "")
        if not name and self.listed:
            yield from set(self.pinned.values())
        elif name in self.pinned:
            yield self.pinned[name]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module in its plugin's folder; None for every other module.

        Raises:
            ModuleNotFoundError: The folder is no longer there; another copy must not stand in.
            SpecloomError: The plugin's files are not those that were locked.
        """
        top = fullname.partition(".")[0]
        folder = self.folders.get(top)
        cache = self.caches.get(top)
        if folder is None:
            return None
        if fullname != top:
            if cache is None:
                return None
            return _find_source(fullname, path or (), cache)
        if top in self.checks:
            self.checks[top]()
        if cache is None:
            spec = PathFinder.find_spec(fullname, [str(folder)], target)
        else:
            spec = _find_source(fullname, [str(folder)], cache)
        if spec is None:
            raise ModuleNotFoundError(f"{fullname} is no longer in {folder}", name=fullname)
        return spec


def install(
    plugins: Iterable[Package],
    checks: dict[str, Callable[[], None]] | None = None,
    caches: dict[str, Path] | None = None,
) -> None:
    """Make plugins importable; a further call adds new plugins and replaces folders.

    Args:
        plugins: The plugins.
        checks: What to call before a plugin's top-level module is imported, by that module.
        caches: Where the byte code of plugins in the store goes, by top-level module.
    """
    finder = _installed_finder()
    if finder is None:
        finder = PluginFinder()
        sys.meta_path.insert(0, finder)
    for plugin in plugins:
        finder.checks.pop(plugin.top, None)
        finder.caches.pop(plugin.top, None)
        finder.folders[plugin.top] = plugin.folder
        if plugin.version:
            distribution = PinnedDistribution(plugin)
            for name in (plugin.top, str(plugin.project.get("name", plugin.top))):
                finder.pinned[normalize_name(name)] = distribution
    finder.checks.update(checks or {})
    finder.caches.update(caches or {})


def _installed_finder() -> PluginFinder | None:
    for finder in sys.meta_path:
        if isinstance(finder, PluginFinder):
            return finder
    return None


def list_pinned() -> list[str]:
    """List pinned plugins as if they were installed, for tests that look them up; their folders."""
    finder = _installed_finder()
    if finder is None:
        return []
    finder.listed = True
    return [str(folder) for folder in finder.folders.values()]


def already_imported(plugins: Iterable[Package]) -> list[SpecloomError]:
    """Return an error for each plugin that this process has imported from another place."""
    errors: list[SpecloomError] = []
    for plugin in plugins:
        module = sys.modules.get(plugin.top)
        if module is None:
            continue
        file = getattr(module, "__file__", None)
        if file is None or Path(file).resolve() not in map(Path.resolve, plugin.files):
            errors.append(
                PluginError(
                    f"E-LOADED plugin {plugin.name!r}: {plugin.top!r} was already imported from "
                    f"{file or 'elsewhere'}, not from {plugin.folder}",
                    where=plugin.where,
                    fix="start a new Python process: one process holds one copy of a plugin",
                )
            )
    return errors


@lru_cache
def _loader(cache: str) -> type[StoredLoader]:
    """Return a loader whose byte code goes to this folder."""
    return type("StoredLoader", (StoredLoader,), {"cache": cache})


def _find_source(fullname: str, folders: Iterable[str], cache: Path) -> ModuleSpec | None:
    """Return the module in one of the folders, from its source."""
    for folder in folders:
        spec = FileFinder(folder, (_loader(str(cache)), SOURCE_SUFFIXES)).find_spec(fullname)
        if spec is not None and spec.loader is None:  # a folder without __init__.py
            namespace = ModuleSpec(fullname, None, is_package=True)
            namespace.submodule_search_locations = list(spec.submodule_search_locations or ())
            return namespace
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
