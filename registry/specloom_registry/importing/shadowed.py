"""Copies of pinned plugins that are installed in the environment: the pinned ones win."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib.machinery import BuiltinImporter, FrozenImporter
from importlib.metadata import DistributionFinder, MetadataPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom_registry.importing.import_hook import PluginFinder
from specloom_registry.model.requirements import normal
from specloom_registry.store import tree

if TYPE_CHECKING:
    from specloom_registry.model.package import Package

OTHERS = (PluginFinder, BuiltinImporter, FrozenImporter)
KINDS = ("nodes", "losses", "trainers", "sources", "observers")


def folder_of(plugin: Package) -> Path | None:
    """The folder of the environment's own copy of a plugin; None if there is none elsewhere."""
    for one in sys.meta_path:
        spec = None if isinstance(one, OTHERS) or one in OTHERS else one.find_spec(plugin.top, None)
        if spec is not None and spec.origin:
            folder = Path(spec.origin).resolve().parent
            mine = [file.resolve().parent for file in plugin.files]
            return None if folder in mine else folder
    return None


def let_go(plugins: Iterable[Package]) -> None:
    """Forget installed copies of which nothing is in use yet, so that the pinned ones are taken.

    The command line asks installed plugins for their commands before it knows of a manifest. A
    copy of which a class may be in use stays; ``already_imported`` then tells.
    """
    for plugin in plugins:
        loaded = getattr(sys.modules.get(plugin.top), "__file__", None)
        if loaded is None or folder_of(plugin) != Path(loaded).resolve().parent:
            continue
        if "torch" in sys.modules and _in_use(plugin):
            continue
        for name in [name for name in sys.modules if name.partition(".")[0] == plugin.top]:
            del sys.modules[name]


def remark(plugin: Package) -> str:
    """What the user should know of the environment's copy, if it is not the same; else nothing."""
    folder, mine = folder_of(plugin), next(filter(Path.is_file, plugin.files), None)
    if folder is None or mine is None:
        return ""
    if mine.name == "__init__.py":
        same = tree.file_hashes(folder) == tree.file_hashes(mine.parent)
    else:
        same = (folder / mine.name).read_bytes() == mine.read_bytes()
    if same:
        return ""
    name = normal(str(plugin.project.get("name", plugin.top)))
    context = DistributionFinder.Context(name=name)
    known = next(iter(MetadataPathFinder.find_distributions(context)), None)
    copy = f"another copy, {known.version} in {folder}" if known else f"another copy in {folder}"
    used = f"that of the manifest, {plugin.version}," if plugin.version else "that of the manifest"
    return f"W-INSTALLED {plugin.name}: the environment has {copy}; {used} is used"


def _in_use(plugin: Package) -> bool:
    """Whether a class that the loaded copy offers has been imported: an object may be of it."""
    offered = set[str]()
    for kind in KINDS:
        with suppress(Exception):
            hook: Any = getattr(sys.modules[plugin.module], f"register_{kind}", dict)
            offered |= {target.partition(":")[0] for target in hook().values()}
    return not offered.isdisjoint(sys.modules)
