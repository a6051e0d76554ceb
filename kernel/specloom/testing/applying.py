"""Which checks a class gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

import torch

from specloom.contract.abilities import (
    AffineNode,
    AffineReader,
    MergeableMetric,
    Metric,
    Stateful,
    Trainable,
)
from specloom.testing import (
    construction,
    dependence,
    device,
    fitting,
    learning,
    measuring,
    merging,
    offering,
    renaming,
    running,
    tickets,
    working,
)
from specloom.testing.driving import needs_fit
from specloom.testing.making import example, float_images

Check: TypeAlias = Callable[[Any], None]
Checks: TypeAlias = Iterator[tuple[str, Callable[[], None]]]


def _takes_images(node: Any) -> bool:
    return any(port.names[:3] == ("B", "H", "W") for port in node.inputs.values())


def _is_torch(node: Any) -> bool:
    return hasattr(node, "named_parameters")


PARAMETERS: tuple[Check, ...] = (construction.init_only_stores, construction.params_are_annotated)

NODES: tuple[tuple[Callable[[Any], object], tuple[Check, ...]], ...] = (
    (
        lambda node: True,
        (
            construction.ports_are_told,
            construction.ports_shadow_nothing,
            construction.forward_matches_ports,
            construction.protocols_are_whole,
            running.outputs_are_honest,
            running.inputs_are_left_alone,
            running.same_twice,
            running.state_round_trips,
        ),
    ),
    (_takes_images, (construction.locality_is_told,)),
    (
        lambda node: any(p.optional or p.for_fit for p in node.inputs.values()),
        (running.optional_inputs_work,),
    ),
    (
        lambda node: getattr(node, "locality", "") != "batch",
        (dependence.batch_of_two_equals_two_of_one,),
    ),
    (
        lambda node: _takes_images(node) and getattr(node, "locality", "") in ("pixel", "halo"),
        (dependence.locality_is_true,),
    ),
    (
        lambda node: float_images(node) and getattr(node, "locality", "batch") != "batch",
        (dependence.nan_is_contained,),
    ),
    (lambda node: isinstance(node, Stateful), (running.foreign_state_is_refused,)),
    (lambda node: isinstance(node, Metric), (measuring.measures_a_stage,)),
    (
        lambda node: isinstance(node, MergeableMetric),
        (merging.measure_merges, merging.merge_of_one_part_is_exact),
    ),
    (lambda node: isinstance(node, AffineNode), (running.mapped_equals_forward,)),
    (lambda node: isinstance(node, AffineReader), (running.absorbs_truly,)),
    (
        needs_fit,
        (
            fitting.unfitted_refuses,
            fitting.fit_marks_as_fitted,
            fitting.fit_forgets,
            fitting.fit_same_order_is_bit_identical,
            fitting.fit_order_independent,
            fitting.fit_merges,
            fitting.fit_merge_of_one_part_is_exact,
            fitting.replayed_passes_equal_living,
        ),
    ),
    (
        lambda node: needs_fit(node) and float_images(node),
        (
            fitting.fit_withstands_offset,
            fitting.nan_pixel_left_out_of_fit,
            fitting.nothing_to_fit_is_refused,
            construction.valid_is_offered,
        ),
    ),
    (
        lambda node: needs_fit(node) and float_images(node) and "valid" in node.inputs,
        (fitting.invalid_pixel_left_out_of_fit,),
    ),
    (
        lambda node: _is_torch(node) and isinstance(node, Trainable),
        (learning.frozen_at_first, learning.freeze_round_trips),
    ),
    (lambda node: _is_torch(node) and getattr(node, "trainable", ()), (learning.gradient_arrives,)),
    (_is_torch, (learning.gradient_is_finite,)),
    (device.may_not_wait, (device.never_waits_for_the_device,)),
    (lambda node: _is_torch(node) and torch.cuda.is_available(), (device.same_on_the_gpu,)),
    (lambda node: _is_torch(node) and hasattr(node, "seed"), (learning.generator_seeded,)),
)

OTHERS: Mapping[str, tuple[Check, ...]] = {
    "sources": (
        *PARAMETERS,
        offering.source_is_whole,
        offering.source_tells_the_truth,
        offering.source_same_twice,
        tickets.tickets_read_what_batches_hold,
    ),
    "trainers": (*PARAMETERS, offering.trainer_is_whole),
    "observers": (offering.observer_needs_nothing,),
    "commands": (offering.command_is_documented,),
    **working.CHECKS,
}


def checks_of(cls: Any, kind: str = "nodes") -> Checks:
    """Yield ``(name, check)`` for each check that applies to a class.

    Args:
        cls: A node's class, or what ``kind`` says.
        kind: ``nodes``, ``losses``, ``sources``, ``trainers``, ``observers``, ``commands``,
            ``tasks`` or ``executors``.
    """
    if getattr(cls, "renamed", {}):
        yield renaming.renames_are_sound.__name__, partial(renaming.renames_are_sound, cls)
    if kind in OTHERS:
        yield from ((check.__name__, partial(check, cls)) for check in OTHERS[kind])
        return
    yield from ((check.__name__, partial(check, cls)) for check in PARAMETERS)
    try:
        node = example(cls)
    except Exception:
        node = None  # init_only_stores, given above, meets the same error and reports it
    for applies, checks in NODES if node is not None else ():
        if applies(node):
            yield from ((check.__name__, partial(check, cls)) for check in checks)
    if kind == "losses":
        yield measuring.loss_is_weighted.__name__, partial(measuring.loss_is_weighted, cls)


def failures_of(cls: Any, kind: str = "nodes") -> dict[str, str]:
    """What is wrong with a class: the error of each check that fails, by the check's name."""
    failures = {}
    for name, check in checks_of(cls, kind):
        try:
            check()
        except Exception as error:
            failures[name] = f"{type(error).__name__}: {error}"
    return failures
