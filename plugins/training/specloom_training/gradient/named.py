"""Optimisers and schedulers of torch by name, their parameters checked before anything is made."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import or_
from types import GenericAlias, NoneType
from typing import Any, get_args, get_type_hints

import torch
from torch import Tensor
from torch.optim import Optimizer, lr_scheduler

from specloom import ConfigError, SpecloomError, did_you_mean
from specloom_training.reading import misfits

PLATEAU = "reduce_on_plateau"
#: What a run file cannot give, or the trainer gives itself.
OURS = {"self", "params", "optimizer", "last_epoch", "scale_fn", "capturable", "differentiable"}
#: They take functions or other schedulers, which a run file cannot hold.
NOT_BY_NAME = {
    "LRScheduler",
    "_LRScheduler",
    "LambdaLR",
    "MultiplicativeLR",
    "SequentialLR",
    "ChainedScheduler",
}


def optimizers() -> dict[str, type[Optimizer]]:
    """Every optimiser of torch by its name in run files: ``adamw``, ``sgd`` …"""
    found = {n: c for n, c in vars(torch.optim).items() if isinstance(c, type)}
    return {n.lower(): c for n, c in found.items() if issubclass(c, Optimizer) and c != Optimizer}


def schedulers() -> dict[str, type[Any]]:
    """Every scheduler of torch by its name in run files: ``cosine_annealing``, ``step`` …"""
    found: dict[str, type[Any]] = {PLATEAU: lr_scheduler.ReduceLROnPlateau}
    for name, cls in vars(lr_scheduler).items():
        base = lr_scheduler.LRScheduler
        if isinstance(cls, type) and issubclass(cls, base) and name not in NOT_BY_NAME:
            snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removesuffix("LR")).lower()
            if cls is not lr_scheduler.ReduceLROnPlateau:
                found[snake] = cls
    return found


def find(name: str, known: Mapping[str, type[Any]]) -> tuple[str, type[Any]] | None:
    """The optimiser or scheduler that a user means, also by torch's own name."""
    wanted = _bare(name)
    for key, cls in known.items():
        if wanted in (_bare(key), _bare(cls.__name__)):
            return key, cls
    return None


def _bare(name: str) -> str:
    return name.replace("_", "").lower().removesuffix("lr")


def parameters(cls: type[Any]) -> dict[str, inspect.Parameter]:
    """What a run file may give to an optimiser or scheduler."""
    found = inspect.signature(cls).parameters
    return {name: one for name, one in found.items() if name not in OURS}


def wrong(
    kind: str,
    name: str,
    options: Mapping[str, Any],
    known: Mapping[str, type[Any]],
    at: Callable[[str], str],
    given: set[str] | None = None,
) -> Iterator[SpecloomError]:
    """What is wrong with the name and the parameters of an optimiser or scheduler.

    Args:
        kind: ``optimizer`` or ``scheduler``.
        name: The name that the user gave.
        options: The parameters that the user gave.
        known: Everything that has a name.
        at: The place of a parameter in the run file.
        given: What the trainer gives where the user does not.
    """
    if (found := find(name, known)) is None:
        what = f"there is no {kind} {name!r}"
        yield ConfigError(what, where=at("name"), fix=did_you_mean(name, known))
        return
    label, cls = found
    takes = parameters(cls)
    for key, value in options.items():
        if key not in takes:
            fix = did_you_mean(key, takes)
            yield ConfigError(f"{label} has no parameter {key!r}", where=at(key), fix=fix)
            continue
        for said in misfits(hint(cls, key), value, f"{label}: {key}"):
            yield ConfigError(said, where=at(key), fix=f"change {key}, or remove it")
    for key, one in takes.items():
        if one.default is one.empty and key not in options and key not in (given or ()):
            what = f"{label} needs the parameter {key!r}"
            yield ConfigError(what, where=at("name"), fix=f"add {key}: … to the {kind}")


def hint(cls: type[Any], name: str) -> Any:
    """The type of a parameter without tensors, which a run file cannot hold."""
    try:
        found = get_type_hints(cls.__init__)[name]
    except (NameError, KeyError, TypeError):
        default = inspect.signature(cls).parameters[name].default
        return Any if default in (None, inspect.Parameter.empty) else type(default)
    return _without_tensors(found)


def _without_tensors(found: Any) -> Any:
    if not (parts := get_args(found)):
        return found
    kept = tuple(_without_tensors(one) for one in parts if one is not Tensor)
    if getattr(found, "__origin__", None) is tuple:
        return GenericAlias(tuple, kept)
    if type(found).__name__ in ("UnionType", "_UnionGenericAlias", "Union"):
        return reduce(or_, kept)
    return found if NoneType not in parts else Any
