"""Imports of pinned plugins, from their own folders and before the environment's packages.

The finder stands first in ``sys.meta_path``, so an installed copy cannot hide the pinned one. It
answers for the modules of plugins alone. Only sources are read, and of local plugins extension
modules: no hash covers byte code, so that none is read or written.

A plugin's files are verified when its top-level module is imported, so that a damaged one harms
only the graphs that use it, and each module again when it is read.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from importlib.metadata import Distribution
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from specloom.contract.errors import PluginError, SpecloomError
from specloom.contract.hooks import GROUP
from specloom_registry.base.faults import PluginIntegrityError
from specloom_registry.model.requirements import normalize_name
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom_registry.model.package import Package


#: What verifies a plugin's files and returns their SHA-256 by path; None if none is known.
Check = Callable[[], Mapping[str, str] | None]


class SourceLoader(SourceFileLoader):
    """Loads a source file whose bytes are verified as they are read, without byte code.

    Args:
        fullname: The module's name.
        path: Its file.
        verify: Refuses bytes of a file that are not those of the plugin.
    """

    def __init__(self, fullname: str, path: str, verify: Callable[[str, bytes], None]) -> None:
        super().__init__(fullname, path)
        self._verify = verify

    def get_code(self, fullname: str) -> CodeType:
        """Return the module's code, compiled from its source."""
        path = self.get_filename(fullname)
        source = self.get_data(path)
        self._verify(path, source)
        code: CodeType = self.source_to_code(source, path)
        return code


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
        self.homes: dict[str, Path] = {}
        self.checks: dict[str, Check] = {}
        self.hashes: dict[str, Mapping[str, str]] = {}
        self.stored: set[str] = set()
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
            ModuleNotFoundError: The file is not there; another copy must not stand in.
            SpecloomError: The plugin's files are not those that were locked.
        """
        top = fullname.partition(".")[0]
        folder = self.folders.get(top)
        if folder is None:
            return None
        if fullname != top:
            inner = self._find_file(fullname, path or ())
            if inner is None:  # other finders would take byte code
                raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
            return inner
        if top in self.checks:
            hashes = self.checks[top]()
            if hashes is not None:
                self.hashes[top] = hashes
        spec = self._find_file(fullname, [str(folder)])
        if spec is None:
            raise ModuleNotFoundError(f"{fullname} is no longer in {folder}", name=fullname)
        return spec

    def _find_file(self, fullname: str, folders: Iterable[str]) -> ModuleSpec | None:
        """Return the module in one of the folders, from its source or as an extension module."""
        top = fullname.partition(".")[0]
        verify = partial(self._verify, top)
        loaders: list[tuple[Any, list[str]]] = [
            (partial(SourceLoader, verify=verify), SOURCE_SUFFIXES)
        ]
        if top not in self.stored:
            loaders.insert(0, (ExtensionFileLoader, EXTENSION_SUFFIXES))
        for folder in folders:
            spec = FileFinder(folder, *loaders).find_spec(fullname)
            if spec is None:
                continue
            if spec.loader is None:  # a folder without __init__.py
                namespace = ModuleSpec(fullname, None, is_package=True)
                namespace.submodule_search_locations = list(spec.submodule_search_locations or ())
                return namespace
            if isinstance(spec.loader, ExtensionFileLoader):
                verify(str(spec.origin), Path(str(spec.origin)).read_bytes())
            return spec
        return None

    def _verify(self, top: str, file: str, data: bytes) -> None:
        """Refuse a module that no hash covers, or whose bytes have another hash.

        Raises:
            PluginIntegrityError: It is one.
        """
        home = self.homes[top]
        path = Path(file)
        inside = ""
        if path.is_relative_to(home):
            inside = path.relative_to(home).as_posix()
        what = ""
        if not inside:
            what = f"lies outside its folder {home}"
        elif tree.is_ignored(inside):
            what = "lies where tools put what no hash covers"
        elif top in self.hashes:
            expected = self.hashes[top].get(inside)
            if expected is None:
                what = "is not among the files that were verified"
            elif expected != hashlib.sha256(data).hexdigest():
                what = "was changed after it was verified"
        if what:
            raise PluginIntegrityError(
                f"E-STORE module {top!r}: {file} {what}",
                fix="start again; if it stays: specloom plugins sync --repair",
            )


def install(
    plugins: Iterable[Package],
    checks: Mapping[str, Check] | None = None,
    stored: Collection[str] = (),
) -> None:
    """Make plugins importable; a further call adds new plugins and replaces folders.

    Args:
        plugins: The plugins.
        checks: What to call before a plugin's top-level module is imported, by that module.
        stored: The top-level modules of plugins in the store, which bring no extension modules.
    """
    finder = _installed_finder()
    if finder is None:
        finder = PluginFinder()
        sys.meta_path.insert(0, finder)
    for plugin in plugins:
        finder.checks.pop(plugin.top, None)
        finder.hashes.pop(plugin.top, None)
        finder.stored.discard(plugin.top)
        finder.folders[plugin.top] = plugin.folder
        finder.homes[plugin.top] = plugin.home
        if plugin.version:
            distribution = PinnedDistribution(plugin)
            for name in (plugin.top, str(plugin.project.get("name", plugin.top))):
                finder.pinned[normalize_name(name)] = distribution
    finder.checks.update(checks or {})
    finder.stored.update(stored)


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
