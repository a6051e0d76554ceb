"""Plugins and their classes from Python, without a run file: for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from specloom.contract.errors import ConfigError, PluginError, did_you_mean
from specloom.plugins import Plugins
from specloom_registry.fetch import fetch
from specloom_registry.importing import import_hook, shadowed
from specloom_registry.model import entry, metadata, package
from specloom_registry.model.source import Source, check_subdir, check_tag, check_url
from specloom_registry.store.store import Store

KINDS = ("nodes", "losses", "trainers", "sources")
KEYS = ("repo", "git", "tag", "commit", "subdir", "tag-pattern", "path", "provides")


class NodeRegistry:
    """Plugins that were loaded by hand; all registries of a process share them.

    >>> registry = NodeRegistry()
    >>> registry.load_plugin("lab", {"path": "/nowhere"})
    Traceback (most recent call last):
    specloom.contract.errors.ConfigError: E-PATH-MISSING plugin 'lab': '/nowhere' is no folder
      fix: correct the path
    """

    _modules: dict[str, str] = {}
    _provided: dict[str, str] = {}

    def __init__(self, *, offline: bool = False, allow_file: bool = False) -> None:
        self.offline, self.allow_file = offline, allow_file

    def load_plugin(self, name: str, config: Mapping[str, Any]) -> list[str]:
        """Make a plugin importable: from a tag, through the store, or from a folder.

        Args:
            name: The plugin's name, the prefix of its references.
            config: ``{"repo": URL, "tag": TAG}`` or ``{"path": FOLDER}``; besides ``commit``,
                ``subdir``, ``tag-pattern``, and ``provides``, the classes that must be there.

        Returns:
            The references of what the plugin offers, such as ``rx.RXGlobal``.

        Raises:
            ConfigError: The configuration, or the plugin, is not as it should be.
            PluginError: The plugin cannot be had, imported, or lacks what it should provide.
        """
        for key in config:
            if key not in KEYS:
                what = f"E-KEY unknown key {key!r} in plugin {name!r}"
                raise ConfigError(what, fix=did_you_mean(key, KEYS))
        if not entry.NAME.fullmatch(name):
            what, fix = f"E-NAME {name!r} is no plugin name", "use lower-case letters and digits"
            raise ConfigError(what, fix=fix)
        found = self._local(name, config) if "path" in config else self._remote(name, config)
        self._modules[name] = found.module
        found_all = self._plugins().offers(KINDS, name)
        offered = {label: target for label, target in found_all.items() if ":" in target}
        by_path = {target.replace(":", "."): label for label, target in offered.items()}
        for wanted in _texts(config.get("provides", ()), name):
            label = by_path.get(wanted) or (wanted if wanted in found_all else None)
            if label is None and wanted.partition(".")[0] == found.top:
                label = self._by_import(wanted, name)
            if label is None:
                fix = did_you_mean(wanted, [*by_path, *offered], otherwise="correct 'provides'")
                raise PluginError(f"E-PROVIDES plugin {name!r} has no {wanted!r}", fix=fix)
        self._provided.update(by_path)
        return sorted(offered)

    @classmethod
    def get(cls, reference: str) -> type:
        """The class behind ``plugin.Name``, a bare ``Name``, or a full ``package.module.Class``.

        Raises:
            PluginError: No loaded or installed plugin offers it.
        """
        label = cls._provided.get(reference, reference)
        plugins = cls._plugins()
        if ":" in label:
            found: type = plugins.load(label, reference)
            return found
        return plugins.find(label, KINDS, "")[1]

    @classmethod
    def _plugins(cls) -> Plugins:
        from specloom.plugins import installed

        return Plugins({**installed(), **cls._modules})

    def _by_import(self, wanted: str, name: str) -> str | None:
        """A class that the plugin has, but does not offer by a hook."""
        module, _, attribute = wanted.rpartition(".")
        try:
            self._plugins().load(f"{module}:{attribute}", name)
        except PluginError:
            return None
        self._provided[wanted] = f"{module}:{attribute}"
        return wanted

    def _local(self, name: str, config: Mapping[str, Any]) -> package.Package:
        folder = Path(str(config["path"])).expanduser().resolve()
        if not folder.is_dir():
            what = f"E-PATH-MISSING plugin {name!r}: {config['path']!r} is no folder"
            raise ConfigError(what, fix="correct the path")
        found = package.read(name, folder, "")
        metadata.check_kernel(name, metadata.facts(found), "")
        _install(found, None)
        return found

    def _remote(self, name: str, config: Mapping[str, Any]) -> package.Package:
        url, tag = str(config.get("repo") or config.get("git") or ""), str(config.get("tag") or "")
        owner = f"plugin {name!r}"
        if not url or not tag:
            what = f"E-SOURCE {owner} has no {'tag' if url else 'repo and no path'}"
            raise ConfigError(what, fix="name 'repo' and 'tag', or 'path'")
        check_url(url, owner, "", allow_file=self.allow_file)
        check_tag(tag, owner, "")
        more = {
            key.replace("-", "_"): str(config[key])
            for key in ("commit", "subdir", "tag-pattern")
            if key in config
        }
        if "subdir" in more:
            check_subdir(more["subdir"], owner, "")
        source, store = Source(url, tag, **more), Store()
        how = fetch.Fetching(store, offline=self.offline, allow_file=self.allow_file)
        with store.kept():
            one = self._known(how, name, source) or fetch.resolve(how, name, source, "").tree
        found = package.read(name, store.tree(one), "")
        about = metadata.facts(found)
        metadata.check_version(name, source, about.version, "")
        metadata.check_kernel(name, about, "")
        store.check(one, owner)
        store.remember(self._key(source), tree=one)
        _install(found, store)
        return found

    def _known(self, how: fetch.Fetching, name: str, source: Source) -> str:
        """The tree that a tag had when it was fetched before; a tag is not asked for twice."""
        one = str(how.store.state(self._key(source)).get("tree", ""))
        return one if one and how.store.has(one) else ""

    def _key(self, source: Source) -> str:
        return f"tag-{metadata.digest(source.written).removeprefix('sha256:')}"


def _install(found: package.Package, store: Store | None) -> None:
    from specloom.contract.errors import raise_all

    shadowed.let_go([found])
    raise_all(import_hook.already_imported([found]))
    caches = {found.top: store.root / "pyc"} if store else {}
    import_hook.install([found], {}, caches)


def _texts(value: Iterable[Any], name: str) -> list[str]:
    if isinstance(value, str) or not all(isinstance(one, str) for one in value):
        what = f"E-PROVIDES plugin {name!r}: 'provides' is no list of names"
        raise ConfigError(what, fix="write it such as ['package.module.Class']")
    return list(value)
