"""A run that was stopped goes on: with what it was started with, or with more of the same."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from specloom.contract.errors import ConfigError, SpecloomError, raise_all, shown
from specloom.contract.phases import Extendable
from specloom.execution.loading import load
from specloom.execution.run import Run
from specloom.execution.run_folder import interrupted_run
from specloom.runfile.overrides import override
from specloom.runfile.yaml import Document, Keys, read

ABSENT = object()
MOST_SHOWN = 3


class Difference(NamedTuple):
    """A value of a run file that is not as it was when the run was started.

    Args:
        keys: Where it is in the file.
        before: The value then, or ``ABSENT``.
        now: The value now, or ``ABSENT``.
        where: Its place in the file or among the options.
    """

    keys: Keys
    before: Any
    now: Any
    where: str

    def __str__(self) -> str:
        path = ".".join(map(str, self.keys)) or "the file"
        return f"{path} is {_described(self.now)}, was {_described(self.before)}"


class Resumed(NamedTuple):
    """A run to be continued.

    Args:
        run: The run.
        changes: Each value that is not as it was, in words.
    """

    run: Run
    changes: list[str]


def resume(
    folder: Path,
    path: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    device: str | None = None,
    seed: int | None = None,
    observed: bool = False,
) -> Resumed:
    """The run that was stopped in ``folder``, to be continued.

    Args:
        folder: The folder of its results.
        path: The run file; it may differ from the one that the run was started with only in
            parameters that its phases can extend, such as the number of epochs.
        overrides: Changes of the run file, or of the recorded one where there is no ``path``.
        device: In place of the recorded one.
        seed: The recorded one, or an error.
        observed: Whether observers of plugins watch.

    Raises:
        ConfigError: There is no such run, or it cannot go on with these settings.
        SpecloomError: Something of the run is wrong; ``Problems`` where it is several things.
    """
    arguments = interrupted_run(folder)
    recorded: Document = arguments["path"]
    requested = _requested(recorded, path, overrides)
    differences = list(_differences(recorded.value, requested.value, requested))
    changes = [str(one) for one in differences]
    if seed is not None and seed != arguments["seed"]:
        seeds = f"the seed is {seed}, was {arguments['seed']}"
        raise _refused(folder, [seeds, *changes], "--seed")
    if not all(_is_of_phase(one) for one in differences):
        raise _refused(folder, changes, differences[0].where)
    for one in differences:
        _apply(recorded, one)
    if device is not None:
        arguments["device"] = device
    run = load(**arguments, observed=observed)
    run.folder = folder
    run.resumed = True
    _require_extendable(run, folder, differences)
    return Resumed(run, changes)


def _requested(recorded: Document, path: Path | None, overrides: Sequence[str]) -> Document:
    """What is to be run now: the file, or a copy of the recorded one, with the overrides."""
    if path is None:
        value = json.loads(json.dumps(recorded.value))
        document = Document(recorded.name, value)
    else:
        document = read(path)
    for text in overrides:
        override(document, text)
    return document


def _differences(
    before: Any, now: Any, requested: Document, keys: Keys = ()
) -> Iterator[Difference]:
    """Where a value of the requested file, at ``keys``, is another than before."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            old = before.get(key, ABSENT)
            new = now.get(key, ABSENT)
            if old in (ABSENT, None) and isinstance(new, dict):
                old = {}
            if new in (ABSENT, None) and isinstance(old, dict):
                new = {}
            yield from _differences(old, new, requested, (*keys, key))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, pair in enumerate(zip(before, now, strict=True)):
            yield from _differences(*pair, requested, (*keys, number))
    elif not _is_same(before, now):
        yield Difference(keys, before, now, requested.where(*keys))


def _is_same(before: Any, now: Any) -> bool:
    """Whether two values say the same in a run file; NaN is NaN, and 1 is not true."""
    if before is ABSENT or now is ABSENT:
        return before is now
    return json.dumps(before, sort_keys=True) == json.dumps(now, sort_keys=True)


def _is_of_phase(difference: Difference) -> bool:
    """Whether it is a parameter of a phase, which the phase may be able to extend."""
    keys = difference.keys
    has_form = len(keys) == 4 and keys[0] == "phases" and keys[2] == "config"
    return has_form and difference.now is not ABSENT


def _apply(recorded: Document, difference: Difference) -> None:
    """Set one value of the recorded file to what it is now."""
    _phases, number, _config, name = difference.keys
    phase = recorded.value["phases"][number]
    if phase.get("config") is None:
        phase["config"] = {}
    phase["config"][name] = difference.now
    recorded.places[difference.keys] = difference.where


def _require_extendable(run: Run, folder: Path, differences: Sequence[Difference]) -> None:
    """Accept changes that the phases can go on with.

    Raises:
        ConfigError: A phase cannot.
    """
    problems: list[SpecloomError] = []
    for one in differences:
        _phases, number, _config, name = one.keys
        _label, phase = run.phases[int(number)]
        if not isinstance(phase, Extendable) or name not in phase.extendable:
            raise _refused(folder, [str(other) for other in differences], one.where)
        at = partial(run.graph.document.where, "phases", number, "config")
        problems += phase.extension_problems(run, at)
    raise_all(problems)


def _refused(folder: Path, changes: Sequence[str], where: str) -> ConfigError:
    listed = "; ".join(changes[:MOST_SHOWN])
    if len(changes) > MOST_SHOWN:
        listed = f"{listed}; and {len(changes) - MOST_SHOWN} more"
    what = f"{folder} holds a run with other settings: {listed}"
    fix = (
        f"go on with 'specloom run --resume {folder}' alone, or start another run with another "
        "--out"
    )
    return ConfigError(what, where=where, fix=fix)


def _described(value: Any) -> str:
    if value is ABSENT:
        return "not set"
    return shown(value)
