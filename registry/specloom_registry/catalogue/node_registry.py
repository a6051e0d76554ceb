"""Plugins and their classes from Python, without a run file: for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from specloom.contract.errors import ConfigError, PluginError, did_you_mean, raise_all
from specloom.plugins import LocatedModule, Plugins, loaded
from specloom_registry.fetch import fetch
from specloom_registry.importing import import_hook, shadowed
from specloom_registry.model import entry, metadata, package
from specloom_registry.model.source import Source, check_subdir, check_tag, check_url
from specloom_registry.packages import compatibility
from specloom_registry.store.store import Store

KINDS = ("nodes", "losses", "trainers", "sources")
CONFIG_KEYS = ("repo", "git", "tag", "commit", "subdir", "tag-pattern", "path", "provides")


class NodeRegistry:
    """Plugins that a program loads itself; all registries of a process share them.

    Pipelines that are made afterwards save, load and run with them, as with installed ones.

    >>> registry = NodeRegistry()
    >>> registry.load_plugin("lab", {"path": "/nowhere"})
    Traceback (most recent call last):
    specloom.contract.errors.ConfigError: E-PATH-MISSING plugin 'lab': '/nowhere' is not a folder
      fix: correct the path
    """

    _provided: dict[str, str] = {}

    def __init__(self, *, offline: bool = False, allow_file: bool = False) -> None:
        self.offline = offline
        self.allow_file = allow_file

    def load_plugin(self, name: str, config: Mapping[str, Any]) -> list[str]:
        """Make a plugin importable: from a tag, through the store, or from a folder.

        Args:
            name: The plugin's name, the prefix of its references.
            config: ``{"repo": URL, "tag": TAG}`` or ``{"path": FOLDER}``; optional are ``commit``,
                ``subdir``, ``tag-pattern``, and ``provides``, the classes that must be there.

        Returns:
            The references of what the plugin offers, such as ``rx.RXGlobal``.

        Raises:
            ConfigError: The configuration, or the plugin, is not as it should be.
            PluginError: The plugin is not available, cannot be imported, or lacks what it should
                provide.
        """
        for key in config:
            if key not in CONFIG_KEYS:
                what = f"E-KEY unknown key {key!r} in plugin {name!r}"
                raise ConfigError(what, fix=did_you_mean(key, CONFIG_KEYS))
        if not entry.NAME.fullmatch(name):
            what = f"E-NAME {name!r} is not a plugin name"
            raise ConfigError(what, fix="use lower-case letters and digits")
        if "path" in config:
            found = self._load_local(name, config)
        else:
            found = self._load_remote(name, config)
        self._check_requirements(name, found)
        loaded[name] = LocatedModule(found.module, found.folder)
        offered = self._plugins().offers(KINDS, name)
        classes = {reference: path for reference, path in offered.items() if ":" in path}
        by_path = {path.replace(":", "."): reference for reference, path in classes.items()}
        for wanted in _strings(config.get("provides", ()), name):
            if wanted in by_path or wanted in offered:
                continue
            if wanted.partition(".")[0] == found.top and self._import_class(wanted, name):
                continue
            fix = did_you_mean(wanted, [*by_path, *classes], otherwise="correct 'provides'")
            raise PluginError(f"E-PROVIDES plugin {name!r} has no {wanted!r}", fix=fix)
        self._provided.update(by_path)
        return sorted(classes)

    def load_plugins(self, plugins: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Make several plugins importable; each repository is fetched once.

        Args:
            plugins: The configurations for ``load_plugin`` by the plugins' names, those that
                others require first.

        Returns:
            The references of what the plugins offer.

        Raises:
            ConfigError: A configuration, or a plugin, is not as it should be.
            PluginError: A plugin is not available, cannot be imported, or lacks something.
        """
        store = Store()
        context = fetch.FetchContext(store, offline=self.offline, allow_file=self.allow_file)
        missing = {}
        for name, config in plugins.items():
            if "path" in config:
                continue
            source = self._source(name, config)
            if not self._fetched_tree(store, source):
                missing[name] = source
        with store.without_gc(), fetch.shared_repositories(context, missing.values()):
            for name, source in missing.items():
                exported = fetch.fetch_tag(context, name, source, "")
                store.remember(self._key(source), tree=exported.tree)
        offered = []
        for name, config in plugins.items():
            offered += self.load_plugin(name, config)
        return offered

    @classmethod
    def get(cls, reference: str) -> type:
        """Return the class of ``plugin.Name``, a bare ``Name``, or a ``package.module.Class``.

        Raises:
            PluginError: No loaded or installed plugin offers it.
        """
        name = cls._provided.get(reference, reference)
        plugins = cls._plugins()
        if ":" in name:
            found: type = plugins.load(name, reference)
            return found
        return plugins.find(name, KINDS, "")[1]

    @property
    def plugins(self) -> Plugins:
        """The plugins that were loaded, and the installed ones."""
        return self._plugins()

    @classmethod
    def _plugins(cls) -> Plugins:
        return Plugins()

    @staticmethod
    def _check_requirements(name: str, found: package.Package) -> None:
        """Check that the plugins that a plugin needs were loaded before, or are installed.

        Raises:
            ConfigError: One is not there, or has another version.
        """
        plugins = Plugins()
        versions = {other: plugins.version(other) for other in plugins.modules if other != name}
        line = entry.Entry(name, "")
        needs = [(line, metadata.read_metadata(found))]
        for problem in compatibility.plugin_problems(needs, versions):
            fix = "load it first with load_plugin, in a version that fits, or install it"
            raise ConfigError(problem.what, fix=fix)

    def _import_class(self, path: str, name: str) -> bool:
        """Import a class that the plugin has but does not offer by a hook; whether there is one."""
        module, _, attribute = path.rpartition(".")
        try:
            self._plugins().load(f"{module}:{attribute}", name)
        except PluginError:
            return False
        self._provided[path] = f"{module}:{attribute}"
        return True

    def _load_local(self, name: str, config: Mapping[str, Any]) -> package.Package:
        folder = Path(str(config["path"])).expanduser().resolve()
        if not folder.is_dir():
            what = f"E-PATH-MISSING plugin {name!r}: {config['path']!r} is not a folder"
            raise ConfigError(what, fix="correct the path")
        found = package.read(name, folder, "")
        metadata.check_kernel(name, metadata.read_metadata(found), "")
        _install(found, None)
        return found

    def _load_remote(self, name: str, config: Mapping[str, Any]) -> package.Package:
        source = self._source(name, config)
        store = Store()
        context = fetch.FetchContext(store, offline=self.offline, allow_file=self.allow_file)
        with store.without_gc():
            tree = self._fetched_tree(store, source)
            if not tree:
                tree = fetch.fetch_tag(context, name, source, "").tree
        found = package.read(name, store.tree_folder(tree), "")
        found_metadata = metadata.read_metadata(found)
        metadata.check_version(name, source, found_metadata.version, "")
        metadata.check_kernel(name, found_metadata, "")
        check = partial(store.check, tree, f"plugin {name!r}")
        check()
        store.remember(self._key(source), tree=tree)
        _install(found, check)
        return found

    def _source(self, name: str, config: Mapping[str, Any]) -> Source:
        """Return where the configuration says that the plugin comes from."""
        owner = f"plugin {name!r}"
        url = str(config.get("repo") or config.get("git") or "")
        tag = str(config.get("tag") or "")
        fix = "name 'repo' and 'tag', or 'path'"
        if not url:
            raise ConfigError(f"E-SOURCE {owner} has no repo and no path", fix=fix)
        if not tag:
            raise ConfigError(f"E-SOURCE {owner} has no tag", fix=fix)
        check_url(url, owner, "", allow_file=self.allow_file)
        check_tag(tag, owner, "")
        source = Source(
            git=url,
            tag=tag,
            commit=str(config.get("commit", "")),
            subdir=str(config.get("subdir", "")),
            tag_pattern=str(config.get("tag-pattern", "")),
        )
        if "subdir" in config:
            check_subdir(source.subdir, owner, "")
        return source

    def _fetched_tree(self, store: Store, source: Source) -> str:
        """Return the tree that a tag had when it was fetched before: it is not fetched again."""
        tree = str(store.state(self._key(source)).get("tree", ""))
        if tree and store.has_tree(tree):
            return tree
        return ""

    def _key(self, source: Source) -> str:
        return f"tag-{metadata.digest(source.to_dict()).removeprefix('sha256:')}"


def _install(plugin: package.Package, check: import_hook.Check | None) -> None:
    """Make a plugin importable; ``check`` verifies one in the store, None is for a local one."""
    raise_all(shadowed.foreign_modules([plugin]))
    raise_all(import_hook.already_imported([plugin]))
    if check is None:
        import_hook.install([plugin])
    else:
        import_hook.install([plugin], {plugin.top: check}, [plugin.top])


def _strings(value: Iterable[Any], name: str) -> list[str]:
    if isinstance(value, str) or not all(isinstance(item, str) for item in value):
        what = f"E-PROVIDES plugin {name!r}: 'provides' is not a list of names"
        raise ConfigError(what, fix="write, for example, ['package.module.Class']")
    return list(value)
