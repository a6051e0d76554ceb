"""What can be said of a plugin, its sources, trainers, observers and commands."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom.contract.nodes import STAGES
from specloom.contract.ports import Port
from specloom.contract.sources import Source
from specloom.plugins import Plugins
from specloom.testing.comparing import agree, hold
from specloom.testing.describing import describe_plugin
from specloom.testing.exporting import with_exports
from specloom.testing.making import example

if TYPE_CHECKING:
    from specloom.contract.nodes import Batch

PYTHON_KINDS = ("nodes", "losses", "trainers", "sources")
LOOK = ("axes", "dtype", "fields", "per_stage")
HEAVY = ("torch", "numpy", "scipy", "h5py", "matplotlib", "pandas", "sklearn")


def import_is_light(module: Any) -> None:
    """The plugin's module imports nothing heavy, so that ``specloom --help`` stays quick."""
    code = f"import sys, {module.__name__}; print(*(m for m in {HEAVY} if m in sys.modules))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{module.__name__}: {done.stderr}")
    imported = done.stdout.strip()
    if imported:
        raise AssertionError(f"{module.__name__}: it imports {imported}")


def hooks_are_known(plugin: Any) -> None:
    """Every hook that is implemented exists, with arguments of those names."""
    import pluggy

    from specloom.contract import hooks

    manager = pluggy.PluginManager(hooks.GROUP)
    manager.add_hookspecs(hooks)
    manager.register(plugin, "plugin")
    manager.check_pending()
    hold(manager.get_hookcallers(plugin), plugin, "it implements no hook")


def kinds_are_registered(prefix: str, plugin: Any) -> None:
    """Kinds of value are ports, and ports of a kind of this plugin look as it was registered."""
    kinds: dict[str, Any] = getattr(plugin, "register_ports", dict)()
    for name, kind in kinds.items():
        hold(isinstance(kind, Port), plugin, f"the kind {name!r} is {kind!r}, not a Port")
    offered = Plugins({prefix: plugin})
    for label, target in offered.offers(("nodes", "losses", "sources"), prefix).items():
        if ":" not in target:
            continue  # an old name of another
        cls = offered.load(target, label)
        for name, port in _ports(cls):
            owner, _, kind = port.kind.partition(".")
            if owner == prefix:
                hold(kind in kinds, cls, f"{name} is of the kind {port.kind}, which is not offered")
                same = _looks_like(port, kinds[kind])
                hold(same, cls, f"{name} differs from the kind {port.kind} in {', '.join(LOOK)}")


def descriptor_is_current(prefix: str, plugin: Any) -> None:
    """``nodes.json``, which is read in place of the classes, says what the classes say."""
    plugins = Plugins({prefix: plugin})
    file = plugins.descriptor(prefix)
    written = {}
    if file:
        written = json.loads(file.read_text("utf-8"))
    found = json.loads(json.dumps(describe_plugin(plugins, prefix)))
    names = sorted(written.keys() | found.keys())
    outdated = [name for name in names if written.get(name) != found.get(name)]
    what = f"nodes.json of {prefix} is out of date for {', '.join(outdated)}"
    hold(not outdated, plugin, f"{what}: run specloom plugins describe {prefix} --write")


def exports_are_current(prefix: str, plugin: Any) -> None:
    """``__init__.py`` offers to Python what the hooks offer, where it has the comments for it."""
    file = Path(plugin.__file__)
    text = file.read_text("utf-8")
    offered = Plugins({prefix: plugin}).offers(PYTHON_KINDS, prefix)
    names = {label.partition(".")[2]: target for label, target in offered.items()}
    fix = f"run specloom plugins describe {prefix} --write"
    is_current = with_exports(text, prefix, names) == text
    hold(is_current, plugin, f"the public names of {prefix} are out of date: {fix}")


def observer_needs_nothing(cls: Any) -> None:
    """An observer is made without arguments, and implements hooks that exist."""
    hooks_are_known(cls())


def source_is_whole(cls: Any) -> None:
    """A source has all methods of the protocol, and splits that exist."""
    source = example(cls)
    hold(isinstance(source, Source), cls, "it lacks one of outputs, sizes, splits, count, batches")
    splits = list(source.splits())
    exist = set(splits) <= set(STAGES)
    hold(splits and exist, cls, f"its splits are {splits}, not of {STAGES}")


def batches_match_the_source(cls: Any) -> None:
    """The batches of each split are as many as ``count``, and match the ports and the sizes."""
    source = example(cls)
    for split in source.splits():
        expected = source.count(split)
        number = 0
        for batch in source.batches(split):
            number += 1
            _check_batch(source, split, batch)
        matches = expected is None or expected == number
        hold(matches, cls, f"it counts {expected} batches of {split} and gives {number}")


def source_same_twice(cls: Any) -> None:
    """Two sources with the same parameters give the same batches, bit for bit."""
    for split in example(cls).splits():
        first = _batches(cls, split)
        second = _batches(cls, split)
        agree(first, second, cls, f"in {split} when it is read again")


def trainer_is_whole(cls: Any) -> None:
    """A trainer has ``check``, which looks before anything runs, and ``train``."""
    missing = [name for name in ("check", "train") if not callable(getattr(cls, name, None))]
    hold(not missing, cls, f"it lacks {', '.join(missing)}")


def command_is_documented(command: Any) -> None:
    """A command is one of click's, and has a help text."""
    import click

    hold(isinstance(command, click.Command), command, "it is no click command")
    hold(command.help, command, f"the command {command.name!r} has no help text")


def _ports(cls: Any) -> Iterator[tuple[str, Port]]:
    """The inputs and outputs of a class, by name."""
    for side in ("inputs", "outputs"):
        yield from getattr(cls, side, {}).items()


def _looks_like(port: Port, kind: Port) -> bool:
    return all(getattr(port, part) == getattr(kind, part) for part in LOOK)


def _check_batch(source: Any, split: str, batch: Batch) -> None:
    """A batch has the required ports, no unknown ones, and the sizes of the source."""
    cls = type(source)
    required = {name for name, port in source.outputs.items() if not port.optional}
    matches = required <= set(batch) <= set(source.outputs)
    what = f"a batch of {split} has {sorted(batch)}, not {sorted(source.outputs)}"
    hold(matches, cls, what)
    sizes = dict(source.sizes())
    sizes.pop("B", None)
    for name, value in batch.items():
        source.outputs[name].check(value, source, sizes, f"{cls.__name__}.{name}")


def _batches(cls: Any, split: str) -> list[Batch]:
    """The batches of a split of a new source, copied: a source may use its memory again."""
    return [copy.deepcopy(batch) for batch in example(cls).batches(split)]
