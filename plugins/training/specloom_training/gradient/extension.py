"""Training that goes on with more epochs, or fewer, than it was started with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from specloom import ConfigError, SpecloomError
from specloom_training.gradient.optimization import parameter_of_epochs

if TYPE_CHECKING:
    from specloom_training.gradient.settings import Settings

AGAIN = "run it again with another --out"


def find_problems(
    recorded: Mapping[str, Any], settings: Settings, place: str, where: str = ""
) -> Iterator[SpecloomError]:
    """Why a record cannot be continued with these settings; only ``epochs`` may differ.

    Args:
        recorded: The values of the record.
        settings: The settings of the phase now.
        place: What messages call the record.
        where: The place of ``epochs`` in the user's file.
    """
    before = recorded["settings"]
    now = json.loads(json.dumps(settings.plain()))
    differing = list(_differing(before, now, ""))
    if not differing:
        return
    if differing != ["trainer.max_epochs"]:
        names = [name.removeprefix("trainer.") for name in differing]
        listed = ", ".join(names).replace("max_epochs", "epochs")
        what = f"{place} was made with other settings of this phase: {listed}"
        yield ConfigError(what, fix=AGAIN)
        return
    yield from _problems_of_epochs(recorded, settings, where)


def _problems_of_epochs(
    recorded: Mapping[str, Any], settings: Settings, where: str
) -> Iterator[SpecloomError]:
    """Why training cannot go on to another number of epochs."""
    done = recorded["epoch"] + 1
    before = recorded["settings"]["trainer"]["max_epochs"]
    now = settings.trainer.max_epochs
    leave = f"leave epochs at {before}, or {AGAIN}"
    if now < done:
        what = f"epochs is {now}, but {done} epochs were trained"
        yield ConfigError(what, where=where, fix=f"give {done} or more, or {AGAIN}")
    if recorded["stopped"] and now > done:
        what = f"epochs is {now}, but early_stopping ended the training after {done}"
        yield ConfigError(what, where=where, fix=leave)
    name = parameter_of_epochs(settings.scheduler)
    if name:
        what = (
            f"epochs is {now}, was {before}, and {name} of the scheduler is the number of epochs: "
            "the learning rates until now would have been others"
        )
        yield ConfigError(what, where=where, fix=leave)


def _differing(before: Any, now: Any, path: str) -> Iterator[str]:
    """The names of the values that differ, with dots between nested ones."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        if before != now:
            yield path
        return
    for name in {**before, **now}:
        inner = f"{path}.{name}".removeprefix(".")
        yield from _differing(before.get(name), now.get(name), inner)
