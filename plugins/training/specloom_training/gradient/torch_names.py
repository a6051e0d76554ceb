"""Optimisers and schedulers of torch by name, their parameters checked before anything is made."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Container, Iterator, Mapping
from functools import reduce
from operator import or_
from types import GenericAlias, NoneType
from typing import Any, get_args, get_origin, get_type_hints

import torch
from torch import Tensor
from torch.optim import Optimizer, lr_scheduler

from specloom import ConfigError, SpecloomError, did_you_mean
from specloom_training.parsing import type_errors

PLATEAU = "reduce_on_plateau"
#: What a run file cannot hold, or the trainer sets itself.
NOT_IN_RUN_FILES = {
    "self",
    "params",
    "optimizer",
    "last_epoch",
    "scale_fn",
    "capturable",
    "differentiable",
}
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
    return {
        name.lower(): cls
        for name, cls in vars(torch.optim).items()
        if isinstance(cls, type) and issubclass(cls, Optimizer) and cls != Optimizer
    }


def schedulers() -> dict[str, type[Any]]:
    """Every scheduler of torch by its name in run files: ``cosine_annealing``, ``step`` …"""
    plateau = lr_scheduler.ReduceLROnPlateau
    classes: dict[str, type[Any]] = {PLATEAU: plateau}
    for name, cls in vars(lr_scheduler).items():
        if name in NOT_BY_NAME or cls is plateau or not _is_scheduler(cls):
            continue
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removesuffix("LR"))
        classes[words.lower()] = cls
    return classes


def _is_scheduler(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, lr_scheduler.LRScheduler)


def find(name: str, classes: Mapping[str, type[Any]]) -> tuple[str, type[Any]] | None:
    """The optimiser or scheduler that a user means, also by torch's own name."""
    wanted = _normalise(name)
    for key, cls in classes.items():
        if wanted in (_normalise(key), _normalise(cls.__name__)):
            return key, cls
    return None


def _normalise(name: str) -> str:
    return name.replace("_", "").lower().removesuffix("lr")


def parameters(cls: type[Any]) -> dict[str, inspect.Parameter]:
    """The parameters of an optimiser or scheduler that a run file can hold."""
    signature = inspect.signature(cls).parameters
    return {name: one for name, one in signature.items() if name not in NOT_IN_RUN_FILES}


def find_problems(
    kind: str,
    name: str,
    options: Mapping[str, Any],
    classes: Mapping[str, type[Any]],
    at: Callable[[str], str],
    set_by_trainer: Container[str] = (),
) -> Iterator[SpecloomError]:
    """What is wrong with the name and the parameters of an optimiser or scheduler.

    Args:
        kind: ``optimizer`` or ``scheduler``.
        name: The user's name for it.
        options: The user's parameters.
        classes: The optimisers or schedulers by name.
        at: The place of a parameter in the run file.
        set_by_trainer: Parameters that the trainer sets where the user does not.
    """
    found = find(name, classes)
    if found is None:
        what = f"there is no {kind} {name!r}"
        yield ConfigError(what, where=at("name"), fix=did_you_mean(name, classes))
        return
    label, cls = found
    accepted = parameters(cls)
    for key, value in options.items():
        if key in accepted:
            for what in type_errors(type_of_parameter(cls, key), value, f"{label}: {key}"):
                yield ConfigError(what, where=at(key), fix=f"change {key}, or remove it")
        else:
            what = f"{label} has no parameter {key!r}"
            yield ConfigError(what, where=at(key), fix=did_you_mean(key, accepted))
    for key, one in accepted.items():
        required = one.default is inspect.Parameter.empty
        if required and key not in options and key not in set_by_trainer:
            what = f"{label} needs the parameter {key!r}"
            yield ConfigError(what, where=at("name"), fix=f"add {key}: … to the {kind}")


def type_of_parameter(cls: type[Any], name: str) -> Any:
    """The type of a parameter without tensors, which a run file cannot hold."""
    try:
        annotation = get_type_hints(cls.__init__)[name]
    except (NameError, KeyError, TypeError):
        default = inspect.signature(cls).parameters[name].default
        if default in (None, inspect.Parameter.empty):
            return Any
        return type(default)
    return _without_tensors(annotation)


def _without_tensors(annotation: Any) -> Any:
    arguments = get_args(annotation)
    if not arguments:
        return annotation
    remaining = tuple(_without_tensors(one) for one in arguments if one is not Tensor)
    if get_origin(annotation) is tuple:
        return GenericAlias(tuple, remaining)
    if type(annotation).__name__ in ("UnionType", "_UnionGenericAlias", "Union"):
        return reduce(or_, remaining)
    if NoneType in arguments:
        return Any
    return annotation
