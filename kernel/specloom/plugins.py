"""Find plugins, and turn references such as ``rx.RXGlobal`` into classes.

Plugins are found by entry point, or, where a manifest (``plugins.yaml``) stands beside the run
file or above it, only in that manifest. A plugin is imported when something refers to it, so a
broken one harms only the graphs that name it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Self, TypeAlias

import pluggy

from specloom.contract import hooks
from specloom.contract.errors import (
    ConfigError,
    PluginError,
    UnavailableError,
    did_you_mean,
    memory_error,
    printable,
    warn,
)
from specloom.contract.memory import is_out_of_memory
from specloom.logs import LABEL, WarningLogObserver

MANIFEST = "plugins.yaml"
RECORD = "run.json"
SAVED = ("pipeline.yaml", RECORD)
"""The files of a run's folder for which the plugins of the run's record count."""
RESOLVER = "registry"
"""The name of the plugin that resolves manifests."""
#: The module of each plugin, or its name; any object with hooks will do.
Modules: TypeAlias = Mapping[str, Any]
KINDS = {
    "nodes": "node",
    "losses": "loss",
    "trainers": "trainer",
    "sources": "source",
    "tasks": "task",
    "executors": "executor",
}


#: The module of each plugin that this program loaded by itself, by the plugin's name.
loaded: dict[str, str] = {}


class LocatedModule(str):
    """The name of a module, with the folder that it is imported from.

    So the descriptor of a plugin is found without looking for the module.
    """

    folder: Path

    def __new__(cls, name: str, folder: Path) -> Self:
        """The name of a module in ``folder``."""
        located = super().__new__(cls, name)
        located.folder = folder
        return located


class _Manager(pluggy.PluginManager):
    """Looks for hooks of a module among its functions alone, not among all of its names."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> pluggy.HookimplOpts | None:
        """The options of a hook that ``plugin`` implements under a name; None if it is none."""
        if isinstance(plugin, ModuleType) and not callable(vars(plugin).get(name)):
            return None
        return super().parse_hookimpl_opts(plugin, name)


class Plugins:
    """The plugins of one run.

    Args:
        modules: Plugin modules, or their names, by plugin name; None finds the installed ones.
        manifest: The manifest, or the run's record, that the modules came from.
    """

    def __init__(self, modules: Modules | None = None, manifest: Path | None = None) -> None:
        self.manager = _Manager(hooks.GROUP)
        self.manager.add_hookspecs(hooks)
        self.manifest = manifest
        if modules is None:
            modules = {**installed(), **loaded}
        self.modules = dict(modules)
        self._broken: set[str] = set()

    @classmethod
    def for_file(cls, file: Path) -> Self:
        """The plugins for a file.

        For a saved pipeline in the folder of a run they are those that the run's record pins, as
        far as they are at hand; else those of the nearest manifest; else the installed ones.

        Raises:
            PluginError: There is a manifest and no installed plugin can resolve it.
        """
        manifest = find_manifest(file)
        record = find_record(file)
        if manifest is None and record is None:
            return cls()
        modules = installed_resolver()  # it also watches every run, and is not pinned itself
        available = cls(modules)
        for name in modules:
            available.need(name)
        for place in (record, manifest):
            if place is None:
                continue
            resolved = available.manager.hook.resolve_plugins(manifest=place)
            if resolved is not None:
                return cls({**loaded, **modules, **resolved}, place)
        if manifest is None:
            return cls()
        what = f"{manifest} names plugins, but nothing installed can resolve it"
        fix = "install the registry (it comes with specloom), or remove the file"
        raise PluginError(what, where=str(manifest), fix=fix)

    def pins(self) -> list[dict[str, Any]]:
        """The plugins that the manifest pins, as values that JSON holds; none without one."""
        if self.manifest is None:
            return []
        found = resolver_hooks().describe_pins(manifest=self.manifest)
        return [dict(pin) for pin in found or ()]

    def need(self, name: str, where: str = "") -> Any:
        """The plugin of that name, imported and held to the hook specs on first use.

        Raises:
            PluginError: It is absent, fails to import, or has a hook that no spec knows.
        """
        registered = self.manager.get_plugin(name)
        if registered is not None:
            return registered
        if name not in self.modules:
            raise self._absent(name, where)
        module = self.modules[name]
        if isinstance(module, str):
            fix = f"repair or remove the plugin {name!r}; graphs that do not use it still work"
            with _as_plugin_error(f"plugin {name!r} fails to import", where, fix):
                module = import_module(module)
        self.add(name, module, where)
        return module

    @property
    def present_manifest(self) -> Path | None:
        """The manifest; where a run's record pins plugins, the one that names the others."""
        if self.manifest is None or self.manifest.name != RECORD:
            return self.manifest
        return find_manifest(self.manifest) or self.manifest

    def _absent(self, name: str, where: str) -> PluginError:
        """The error for a plugin that is not among these, though it may be installed."""
        if self.manifest is None:
            others = self.modules.keys() - {RESOLVER}
            otherwise = f"run: specloom plugins add {name}, or install it"
            fix = did_you_mean(name, others, otherwise=otherwise)
            return PluginError(f"no plugin {name!r} is installed", where=where, fix=fix)
        if name in installed():
            what = f"plugin {name!r} is installed, but {self.present_manifest} does not name it"
            return PluginError(what, where=where, fix=not_named_fix(name))
        fix = did_you_mean(name, self.modules, otherwise=f"run: specloom plugins add {name}")
        return PluginError(f"no plugin {name!r} is in {self.manifest}", where=where, fix=fix)

    def add(self, name: str, module: object, where: str = "") -> None:
        """Register a plugin or an observer and hold it to the hook specs."""
        try:
            self.manager.register(module, name=name)
            self.manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as e:
            if self.manager.get_plugin(name) is module:
                self.manager.unregister(module)
            reason = " ".join(str(e).split())
            what = f"{name!r} does not follow the hook specs: {reason}"
            fix = "use only the hooks and arguments of specloom.contract.hooks"
            raise PluginError(what, where=where, fix=fix) from e

    def working(self) -> Iterator[tuple[str, Any]]:
        """Every plugin that can be imported, with its name; broken ones are passed over."""
        names = self.modules.keys() - self._broken
        for name in sorted(names):
            try:
                yield name, self.need(name)
            except PluginError:
                self._broken.add(name)

    def first_answer(self, hook: str, **arguments: Any) -> Any:
        """The first answer of a plugin to a hook marked ``firstresult``; None without one.

        Every plugin is imported for it.
        """
        for _name, _plugin in self.working():
            pass
        return getattr(self.manager.hook, hook)(**arguments)

    def offers(
        self,
        kinds: Iterable[str],
        name: str = "",
        where: str = "",
    ) -> dict[str, str]:
        """What plugins offer, ``{"rx.RXGlobal": "module:Class"}``; of one plugin or of all.

        Behind an old name stands the present one: ``{"rx.GlobalRX": "RXGlobal"}``.
        """
        if name:
            plugin = self.need(name, where)
            return self._offers_of(plugin, kinds, name, where)
        found: dict[str, str] = {}
        for each, plugin in self.working():
            with suppress(PluginError):
                found |= self._offers_of(plugin, kinds, each, where)
        return found

    def _offers_of(
        self,
        plugin: Any,
        kinds: Iterable[str],
        name: str,
        where: str,
    ) -> dict[str, str]:
        """What one plugin offers.

        Raises:
            PluginError: A hook of it fails, or offers something else than texts by name.
        """
        found: dict[str, str] = {}
        fix = f"repair or remove the plugin {name!r}"
        for kind in kinds:
            hook = f"register_{kind}"
            with _as_plugin_error(f"plugin {name!r} fails in {hook}", where, fix):
                register = getattr(plugin, hook, dict)
                offered = list(register().items())
            for key, target in offered:
                if not isinstance(key, str) or not isinstance(target, str):
                    what = f"plugin {name!r} offers {key!r}: {target!r} in {hook}"
                    fix = f"repair the plugin {name!r}: offer {{'Name': 'module:Class'}}"
                    raise PluginError(what, where=where, fix=fix)
                found[f"{name}.{key}"] = target
        return found

    def find(
        self,
        reference: str,
        kinds: tuple[str, ...],
        where: str,
    ) -> tuple[str, type]:
        """The full name and the class behind ``plugin.Name``, or behind a bare unique ``Name``.

        Raises:
            PluginError: There is no such plugin or name, or several plugins offer a bare name.
        """
        plugin, _, name = reference.rpartition(".")
        if "." in plugin and plugin not in self.modules:
            # The path of a class, as other systems have it: a plugin may offer the class itself.
            nearest = self._nearest(reference, kinds)
            if nearest.startswith("did you mean"):
                what = f"no plugin {plugin!r} is installed"
                raise PluginError(what, where=where, fix=nearest)
        offered = self.offers(kinds, plugin, where)
        labels = [label for label in offered if _name_in(label) == name]
        if len(labels) > 1:
            listed = ", ".join(labels)
            what = f"{name!r} is offered by several plugins"
            raise PluginError(what, where=where, fix=f"write one of: {listed}")
        if not labels:
            nouns = " or ".join(KINDS[kind] for kind in kinds)
            what = f"no plugin offers {reference!r} as a {nouns}"
            fix = self._nearest(reference, kinds)
            raise PluginError(what, where=where, fix=fix)
        label = labels[0]
        target = offered[label]
        if ":" not in target:
            present = f"{_plugin_in(label)}.{target}"
            warn(f"{label} is now called {present}: change it", where)
            return self.find(present, kinds, where)
        cls = self.load(target, label, where)
        return label, cls

    def _nearest(self, reference: str, kinds: tuple[str, ...]) -> str:
        """The fix for a name that no plugin offers: what the user may have meant."""
        for kind in KINDS:
            if reference in self.offers((kind,)):
                return f"{reference} is among the {kind}: use it there"
        labels = {_name_in(label): label for label in self.offers(kinds)}
        _plugin, _, name = reference.rpartition(".")
        fix = did_you_mean(name, labels, otherwise="install a plugin that offers one")

        def with_plugin(word: re.Match[str]) -> str:
            return labels.get(word[0], word[0])

        return re.sub(r"\w+", with_plugin, fix)

    def load(self, target: str, label: str, where: str = "") -> Any:
        """Import what ``"module:Name"`` names.

        Raises:
            PluginError: It cannot be imported.
        """
        module_name, _, attribute = target.partition(":")
        what = f"{label} cannot be imported"
        fix = f"repair the plugin {_plugin_in(label)!r}, or install what it needs"
        with _as_plugin_error(what, where, fix):
            module = import_module(module_name)
            return getattr(module, attribute)

    def runtime(self, device: str = "cpu") -> Any:
        """The array library behind the nodes, for ``auto``, ``cpu`` or ``cuda``."""
        runtime = self.load("specloom.torch:TorchRuntime", "the torch runtime")
        return runtime(device)

    def reference(self, cls: type) -> str:
        """The reference under which a plugin offers ``cls`` as a node or a loss.

        Raises:
            ConfigError: No plugin does.
        """
        label = self._label_of(cls, ("nodes", "losses"))
        if label:
            return label
        what = f"{cls.__qualname__} is offered by no plugin, so a saved pipeline could not name it"
        raise ConfigError(what, fix="offer it in a plugin's register_nodes")

    def source_reference(self, cls: type) -> str:
        """The reference under which a plugin offers ``cls`` as a source.

        Raises:
            ConfigError: No plugin does.
        """
        label = self._label_of(cls, ("sources",))
        if label:
            return label
        what = f"{cls.__qualname__} is offered by no plugin, so other processes could not name it"
        raise ConfigError(what, fix="offer it in a plugin's register_sources")

    def trainer_reference(self, cls: type) -> str:
        """The reference under which a plugin offers ``cls`` as a phase.

        Raises:
            ConfigError: No plugin does.
        """
        label = self._label_of(cls, ("trainers",))
        if label:
            return label
        what = f"{cls.__qualname__} is offered by no plugin, so a run file could not name it"
        raise ConfigError(what, fix="offer it in a plugin's register_trainers")

    def _label_of(self, cls: type, kinds: Iterable[str]) -> str:
        """The reference under which a plugin offers a class; empty where none does."""
        target = f"{cls.__module__}:{cls.__qualname__}"
        for label, offered in self.offers(kinds).items():
            if offered == target:
                return label
        return ""

    def top(self, name: str) -> str:
        """The top-level package or module of a plugin."""
        module = self.modules[name]
        module_name: str = module
        if not isinstance(module, str):
            module_name = module.__name__
        top, _, _inner = module_name.partition(".")
        return top

    def version(self, name: str) -> str:
        """The version of a plugin's distribution; empty where it has none."""
        distribution = self.top(name).replace("_", "-")
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            return ""

    def versions(self, references: Iterable[str]) -> dict[str, str]:
        """The versions of the plugins that references such as ``rx.RXGlobal`` name."""
        names = {_plugin_in(reference) for reference in references}
        return {name: self.version(name) for name in sorted(names)}

    def descriptor(self, name: str) -> Path | None:
        """The ``nodes.json`` that a plugin ships: its ports, parameters and documentation."""
        for folder in self._package_folders(name):
            file = folder / "nodes.json"
            if file.is_file():
                return file
        return None

    def _package_folders(self, name: str) -> list[Path]:
        """The folders of a plugin's package; none for a plugin that is a single file."""
        module = self.modules[name]
        if isinstance(module, LocatedModule):
            return [module.folder / self.top(name)]
        spec = find_spec(self.top(name))
        if spec is None:
            return []
        return [Path(folder) for folder in spec.submodule_search_locations or ()]

    def described_commands(self) -> dict[str, dict[str, str]]:
        """The commands in the descriptors of plugins: a line of help by name, by plugin.

        No plugin is imported, and one with a damaged descriptor is passed over.
        """
        found: dict[str, dict[str, str]] = {}
        for name in sorted(self.modules):
            with suppress(OSError, ValueError, RecursionError, TypeError, AttributeError):
                file = self.descriptor(name)
                if file is not None:
                    descriptor = json.loads(file.read_text("utf-8"))
                    found[name] = _command_help(descriptor)
        return found

    def observers(self) -> dict[str, Any]:
        """A fresh observer of each class that plugins offer, and the one that logs.

        Broken ones are passed over.
        """
        found: dict[str, Any] = {LABEL: WarningLogObserver()}
        offers = self.offers(("observers",))
        for label, target in offers.items():
            with suppress(Exception):
                observer = self.load(target, label)
                found[label] = observer()
        return found


def install_pins(pins: Sequence[Mapping[str, Any]]) -> list[str]:
    """Make pinned plugins importable in this process, before any of them is imported.

    Args:
        pins: What ``Plugins.pins`` gave in another process.

    Returns:
        The trees that this machine does not have; then nothing is installed.

    Raises:
        PluginError: A plugin was already imported from elsewhere in this process.
    """
    if not pins:
        return []
    missing = resolver_hooks().install_pins(pins=pins)
    return list(missing or ())


def pack_tree(tree: str) -> dict[str, bytes]:
    """The files of a pinned plugin by path, for a machine that does not have them.

    Raises:
        PluginError: They are not here, or not as they were pinned.
    """
    return dict(resolver_hooks().pack_tree(tree=tree))


def store_tree(tree: str, files: Mapping[str, bytes]) -> None:
    """Put the files of a pinned plugin where ``install_pins`` finds them.

    Raises:
        PluginError: They are not as they were pinned, or cannot be written.
    """
    resolver_hooks().store_tree(tree=tree, files=files)


def resolver_hooks() -> Any:
    """The hooks of the plugin that resolves manifests, without any other plugin."""
    modules = installed_resolver()
    plugins = Plugins(modules)
    for name in modules:
        plugins.need(name)
    return plugins.manager.hook


def installed() -> dict[str, str]:
    """The module of every installed plugin, by name."""
    entries = metadata.entry_points(group=hooks.GROUP)
    return {entry.name: entry.value for entry in entries}


def installed_resolver() -> dict[str, str]:
    """The module of the plugin that resolves manifests, by its name; empty where there is none.

    It comes with the kernel: the entry points of all distributions take milliseconds to read.
    """
    try:
        own = metadata.distribution("specloom")
    except metadata.PackageNotFoundError:
        return {}
    entries = own.entry_points.select(group=hooks.GROUP, name=RESOLVER)
    return {entry.name: entry.value for entry in entries}


def find_manifest(file: Path) -> Path | None:
    """The nearest ``plugins.yaml`` in the run file's folder or above it.

    The search ends with the root of a Git repository, or with the user's home folder.
    """
    for folder in file.resolve().parents:
        manifest = folder / MANIFEST
        if manifest.is_file():
            return manifest
        if (folder / ".git").exists() or _is_home(folder):
            break
    return None


def _is_home(folder: Path) -> bool:
    """Whether a folder is the user's home; none is where there is no home."""
    with suppress(RuntimeError):
        return folder == Path.home().resolve()
    return False


def _plugin_in(label: str) -> str:
    """The plugin in a reference such as ``rx.RXGlobal``."""
    plugin, _, _name = label.partition(".")
    return plugin


def _name_in(label: str) -> str:
    """What follows the plugin in a reference such as ``rx.RXGlobal``."""
    _plugin, _, name = label.partition(".")
    return name


def find_record(file: Path) -> Path | None:
    """The record of the run that saved ``file``; None where no run did."""
    record = file.with_name(RECORD)
    if file.name in SAVED and record.is_file():
        return record
    return None


def not_named_fix(name: str) -> str:
    """The fix for a plugin that is installed, but not in the manifest."""
    return f"run: specloom plugins add {name}, or: specloom plugins init --installed"


def _command_help(descriptor: Mapping[str, Any]) -> dict[str, str]:
    """The line of help of each command in a descriptor."""
    lines = {}
    for name, offer in descriptor.items():
        if offer["kind"] == "commands":
            lines[name] = printable(offer["doc"])
    return lines


@contextmanager
def _as_plugin_error(what: str, where: str, fix: str) -> Iterator[None]:
    """Raise whatever goes wrong inside as a PluginError that says what failed."""
    try:
        yield
    except PluginError:
        raise
    except (Exception, SystemExit) as e:
        if is_out_of_memory(e):
            found = memory_error(e, what)
            raise UnavailableError(found.what, where=where, fix=found.fix) from e
        what = f"{what}: {type(e).__name__}: {e}"
        raise PluginError(what, where=where, fix=fix) from e
