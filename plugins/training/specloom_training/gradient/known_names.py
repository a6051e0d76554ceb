"""Optimisers and schedulers that every supported torch has, checked without importing torch.

Only what is surely right is known here. Whatever else a run file has is checked with the classes of
torch itself, which also give the messages.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Literal, get_args, get_origin

PAIR = tuple[float, float]
ADAM = {
    "lr": float,
    "betas": PAIR,
    "eps": float,
    "weight_decay": float,
    "amsgrad": bool,
    "maximize": bool,
}
OPTIMIZERS: Mapping[str, Mapping[str, Any]] = {
    "adam": ADAM,
    "adamw": ADAM,
    "adamax": {"lr": float, "betas": PAIR, "eps": float, "weight_decay": float},
    "nadam": {"lr": float, "betas": PAIR, "eps": float, "weight_decay": float},
    "radam": {"lr": float, "betas": PAIR, "eps": float, "weight_decay": float},
    "rmsprop": {"lr": float, "alpha": float, "eps": float, "momentum": float},
    "sgd": {
        "lr": float,
        "momentum": float,
        "dampening": float,
        "weight_decay": float,
        "nesterov": bool,
    },
}
"""The types of the parameters of optimisers, none of which is needed."""

SCHEDULERS: Mapping[str, Mapping[str, Any]] = {
    "constant": {"factor": float, "total_iters": int},
    "cosine_annealing": {"T_max": int, "eta_min": float},
    "cosine_annealing_warm_restarts": {"T_0": int, "T_mult": int, "eta_min": float},
    "exponential": {"gamma": float},
    "linear": {"start_factor": float, "end_factor": float, "total_iters": int},
    "polynomial": {"total_iters": int, "power": float},
    "reduce_on_plateau": {
        "mode": Literal["min", "max"],
        "factor": float,
        "patience": int,
        "threshold": float,
        "threshold_mode": Literal["rel", "abs"],
        "cooldown": int,
        "eps": float,
    },
    "step": {"step_size": int, "gamma": float},
}
"""The types of the parameters of schedulers."""

NEEDED: Mapping[str, frozenset[str]] = {
    "cosine_annealing": frozenset({"T_max"}),
    "cosine_annealing_warm_restarts": frozenset({"T_0"}),
    "exponential": frozenset({"gamma"}),
    "step": frozenset({"step_size"}),
}
"""The parameters that schedulers cannot be made without."""


def is_right(
    name: str,
    options: Mapping[str, Any],
    known: Mapping[str, Mapping[str, Any]],
    set_by_trainer: Container[str] = (),
) -> bool:
    """Whether a name and its parameters are surely right; False where only torch knows.

    Args:
        name: The name of an optimiser or scheduler.
        options: Its parameters.
        known: ``OPTIMIZERS`` or ``SCHEDULERS``.
        set_by_trainer: Parameters that the trainer sets where the user does not.
    """
    types = known.get(name)
    if types is None:
        return False
    for key in NEEDED.get(name, ()):
        if key not in options and key not in set_by_trainer:
            return False
    return all(key in types and _fits(types[key], value) for key, value in options.items())


def _fits(expected: Any, value: object) -> bool:
    """Whether a value has a type of the tables."""
    if expected is float:
        return type(value) in (int, float)
    if get_origin(expected) is Literal:
        return isinstance(value, str) and value in get_args(expected)
    if expected == PAIR:
        return isinstance(value, list | tuple) and _is_pair(value)
    return type(value) is expected


def _is_pair(values: list[Any] | tuple[Any, ...]) -> bool:
    """Whether a list has two numbers."""
    return len(values) == 2 and all(_fits(float, value) for value in values)
