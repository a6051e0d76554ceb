"""Which checks a class gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

import torch

from specloom.contract.abilities import (
    AffineNode,
    AffineReader,
    LinearNode,
    LinearReader,
    MergeableMetric,
    Metric,
    MonotoneNode,
    MonotoneReader,
    Stateful,
    Trainable,
)
from specloom.contract.nodes import StripWise
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
Applies: TypeAlias = Callable[[Any], bool]
Checks: TypeAlias = Iterator[tuple[str, Callable[[], None]]]


def _always(node: Any) -> bool:
    return True


def _takes_images(node: Any) -> bool:
    ports = node.inputs.values()
    return any(port.names[:3] == ("B", "H", "W") for port in ports)


def _has_absent_inputs(node: Any) -> bool:
    """Whether an input may be absent while the node runs."""
    ports = node.inputs.values()
    return any(port.optional or port.for_fit for port in ports)


def _works_image_by_image(node: Any) -> bool:
    return getattr(node, "locality", "") != "batch"


def _works_on_tiles(node: Any) -> bool:
    locality = getattr(node, "locality", "")
    return _takes_images(node) and locality in ("pixel", "halo")


def _works_in_strips(node: Any) -> bool:
    return isinstance(node, StripWise)


def _works_on_pixels(node: Any) -> bool:
    """Whether a pixel's outputs may not depend on all others of its batch."""
    locality = getattr(node, "locality", "batch")
    return bool(float_images(node)) and locality != "batch"


def _is_stateful(node: Any) -> bool:
    return isinstance(node, Stateful)


def _is_metric(node: Any) -> bool:
    return isinstance(node, Metric)


def _is_mergeable(node: Any) -> bool:
    return isinstance(node, MergeableMetric)


def _is_affine(node: Any) -> bool:
    return isinstance(node, AffineNode)


def _is_linear(node: Any) -> bool:
    return isinstance(node, LinearNode)


def _reads_linear(node: Any) -> bool:
    return isinstance(node, LinearReader)


def _reads_affine(node: Any) -> bool:
    return isinstance(node, AffineReader)


def _is_monotone(node: Any) -> bool:
    return isinstance(node, MonotoneNode)


def _reads_monotone(node: Any) -> bool:
    return isinstance(node, MonotoneReader)


def _is_selective(node: Any) -> bool:
    return hasattr(node, "forward_for")


def _is_fitted_on_images(node: Any) -> bool:
    return needs_fit(node) and bool(float_images(node))


def _is_fitted_on_valid_pixels(node: Any) -> bool:
    return _is_fitted_on_images(node) and "valid" in node.inputs


def _is_torch(node: Any) -> bool:
    return hasattr(node, "named_parameters")


def _can_be_unfrozen(node: Any) -> bool:
    return _is_torch(node) and isinstance(node, Trainable)


def _has_parameters(node: Any) -> bool:
    return _is_torch(node) and bool(getattr(node, "trainable", ()))


def _runs_on_the_gpu(node: Any) -> bool:
    return _is_torch(node) and torch.cuda.is_available()


def _has_generator(node: Any) -> bool:
    return _is_torch(node) and hasattr(node, "seed")


PARAMETERS: tuple[Check, ...] = (construction.init_only_stores, construction.params_are_annotated)

NODES: tuple[tuple[Applies, tuple[Check, ...]], ...] = (
    (
        _always,
        (
            construction.ports_are_documented,
            construction.ports_shadow_nothing,
            construction.forward_matches_ports,
            construction.protocols_are_whole,
            running.outputs_are_honest,
            running.inputs_are_left_alone,
            running.same_twice,
            running.state_round_trips,
        ),
    ),
    (_takes_images, (construction.locality_is_declared,)),
    (_has_absent_inputs, (running.optional_inputs_work,)),
    (_works_image_by_image, (dependence.batch_of_two_equals_two_of_one,)),
    (_works_on_tiles, (dependence.locality_is_true,)),
    (_works_in_strips, (dependence.strips_equal_the_image,)),
    (_works_on_pixels, (dependence.nan_is_contained,)),
    (_is_stateful, (running.foreign_state_is_refused,)),
    (_is_metric, (measuring.measures_a_stage,)),
    (_is_mergeable, (merging.measure_merges, merging.merge_of_one_part_is_exact)),
    (_is_affine, (running.forward_lazy_equals_forward,)),
    (_is_linear, (running.forward_lazy_equals_forward,)),
    (_is_monotone, (running.forward_lazy_equals_forward,)),
    (_is_selective, (running.selected_outputs_equal_all,)),
    (_reads_affine, (running.lazy_input_equals_values,)),
    (_reads_linear, (running.linear_input_equals_values,)),
    (_reads_monotone, (running.monotone_input_equals_values,)),
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
        _is_fitted_on_images,
        (
            fitting.fit_withstands_offset,
            fitting.nan_pixel_left_out_of_fit,
            fitting.nothing_to_fit_is_refused,
            construction.valid_is_offered,
        ),
    ),
    (_is_fitted_on_valid_pixels, (fitting.invalid_pixel_left_out_of_fit,)),
    (_can_be_unfrozen, (learning.frozen_at_first, learning.freeze_round_trips)),
    (_has_parameters, (learning.gradient_arrives,)),
    (_is_torch, (learning.gradient_is_finite,)),
    (device.may_not_wait, (device.never_waits_for_the_device,)),
    (_runs_on_the_gpu, (device.same_on_the_gpu,)),
    (_has_generator, (learning.generator_seeded,)),
)

OTHERS: Mapping[str, tuple[Check, ...]] = {
    "sources": (
        *PARAMETERS,
        offering.source_is_whole,
        offering.batches_match_the_source,
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
        yield from _named((renaming.renames_are_sound,), cls)
    if getattr(cls, "earlier_defaults", {}):
        yield from _named((renaming.earlier_defaults_are_sound,), cls)
    if kind in OTHERS:
        yield from _named(OTHERS[kind], cls)
        return
    yield from _named(PARAMETERS, cls)
    try:
        node = example(cls)
    except Exception:
        node = None  # init_only_stores, above, meets the same error and reports it
    if node is not None:
        for applies, checks in NODES:
            if applies(node):
                yield from _named(checks, cls)
    if kind == "losses":
        yield from _named((measuring.loss_is_weighted,), cls)


def _named(checks: Iterable[Check], cls: Any) -> Checks:
    """Each check by its name, with the class bound."""
    for check in checks:
        yield check.__name__, partial(check, cls)


def failures_of(cls: Any, kind: str = "nodes") -> dict[str, str]:
    """What is wrong with a class: the error of each check that fails, by the check's name."""
    failures = {}
    for name, check in checks_of(cls, kind):
        try:
            check()
        except Exception as error:
            failures[name] = f"{type(error).__name__}: {error}"
    return failures
