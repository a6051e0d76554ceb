"""What can be said of a plugin, its sources, trainers, observers and commands."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from specloom.contract.nodes import STAGES
from specloom.contract.ports import Port
from specloom.contract.sources import Source
from specloom.plugins import Plugins
from specloom.testing.comparing import agree, hold
from specloom.testing.describing import describe_plugin
from specloom.testing.exporting import with_exports
from specloom.testing.making import example

PYTHON_KINDS = ("nodes", "losses", "trainers", "sources")
LOOK = ("axes", "dtype", "fields", "per_stage")
HEAVY = ("torch", "numpy", "scipy", "h5py", "matplotlib", "pandas", "sklearn")


def import_is_light(module: Any) -> None:
    """The plugin's module imports nothing heavy, so that ``specloom --help`` stays quick."""
    code = f"import sys, {module.__name__}; print(*(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode or done.stdout.strip():
        what = done.stderr if done.returncode else f"it imports {done.stdout.strip()}"
        raise AssertionError(f"{module.__name__}: {what}")


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
        for side in ("inputs", "outputs"):
            for name, port in getattr(cls, side, {}).items():
                owner, _, kind = port.kind.partition(".")
                if owner != prefix:
                    continue
                hold(kind in kinds, cls, f"{name} is of the kind {port.kind}, which is not offered")
                same = all(getattr(port, part) == getattr(kinds[kind], part) for part in LOOK)
                hold(same, cls, f"{name} differs from the kind {port.kind} in {', '.join(LOOK)}")


def descriptor_is_current(prefix: str, plugin: Any) -> None:
    """``nodes.json``, which is read in place of the classes, says what the classes say."""
    plugins = Plugins({prefix: plugin})
    file = plugins.descriptor(prefix)
    told = json.loads(file.read_text("utf-8")) if file else {}
    found = json.loads(json.dumps(describe_plugin(plugins, prefix)))
    odd = sorted(k for k in told.keys() | found.keys() if told.get(k) != found.get(k))
    fix = f"run specloom plugins describe {prefix} --write"
    hold(not odd, plugin, f"nodes.json of {prefix} is out of date for {', '.join(odd)}: {fix}")


def exports_are_current(prefix: str, plugin: Any) -> None:
    """``__init__.py`` offers to Python what the hooks offer, where it has the comments for it."""
    file = Path(plugin.__file__)
    text = file.read_text("utf-8")
    offered = Plugins({prefix: plugin}).offers(PYTHON_KINDS, prefix)
    names = {label.partition(".")[2]: target for label, target in offered.items()}
    fix = f"run specloom plugins describe {prefix} --write"
    current = with_exports(text, prefix, names) == text
    hold(current, plugin, f"the public names of {prefix} are out of date: {fix}")


def observer_needs_nothing(cls: Any) -> None:
    """An observer is made without arguments, and implements hooks that exist."""
    hooks_are_known(cls())


def source_is_whole(cls: Any) -> None:
    """A source has all methods of the protocol, and splits that exist."""
    source = example(cls)
    hold(isinstance(source, Source), cls, "it lacks one of outputs, sizes, splits, count, batches")
    splits = list(source.splits())
    hold(splits and set(splits) <= set(STAGES), cls, f"its splits are {splits}, not of {STAGES}")


def source_tells_the_truth(cls: Any) -> None:
    """The batches of each split are as many as told, and fit the ports and the sizes told."""
    source = example(cls)
    for split in source.splits():
        told, number = source.count(split), 0
        known = {axis: size for axis, size in source.sizes().items() if axis != "B"}
        for batch in source.batches(split):
            number += 1
            needed = {name for name, port in source.outputs.items() if not port.optional}
            good = needed <= set(batch) <= set(source.outputs)
            hold(good, cls, f"a batch of {split} has {sorted(batch)}, not {sorted(source.outputs)}")
            sizes = dict(known)
            for name, value in batch.items():
                source.outputs[name].check(value, source, sizes, f"{cls.__name__}.{name}")
        hold(told in (None, number), cls, f"it counts {told} batches of {split} and gives {number}")


def source_same_twice(cls: Any) -> None:
    """Two sources with the same parameters give the same batches, bit for bit."""
    for split in example(cls).splits():
        first, second = ([copy.deepcopy(b) for b in example(cls).batches(split)] for _ in "ab")
        agree(first, second, cls, f"in {split} when it is read again")


def trainer_is_whole(cls: Any) -> None:
    """A trainer has ``check``, which looks before anything runs, and ``train``."""
    lacking = [name for name in ("check", "train") if not callable(getattr(cls, name, None))]
    hold(not lacking, cls, f"it lacks {', '.join(lacking)}")


def command_is_documented(command: Any) -> None:
    """A command is one of click's, and has a help text."""
    import click

    hold(isinstance(command, click.Command), command, "it is no click command")
    hold(command.help, command, f"the command {command.name!r} has no help text")
