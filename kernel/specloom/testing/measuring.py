"""What a node computes over a stage: the metrics of a whole split, and the sums behind a loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

from specloom.testing.comparing import CLOSE, Values, agree, hold
from specloom.testing.driving import run
from specloom.testing.making import batch_for, cut, fitted


def measures_a_stage(cls: Any) -> None:
    """``measure_end`` gives the per-stage outputs, whatever the batch size; a new stage forgets."""
    node = fitted(cls)
    batch = stage_batch(node)
    images = stage_images(node)
    whole = measured(node, [batch])
    _check_ports(node, whole)
    again = measured(node, [batch])
    agree(again, whole, node, "when a second stage has the same data", CLOSE)
    smaller = measured(node, images)
    agree(smaller, whole, node, "when the batches are smaller", CLOSE)
    backwards = measured(node, images[::-1])
    agree(backwards, whole, node, "when the batches come in reverse", CLOSE)


def loss_is_weighted(cls: Any) -> None:
    """The output ``loss`` is a finite scalar, equal to weight * sum / count of ``pooled``."""
    node = fitted(cls)
    made = run(node, batch_for(node))
    hold("loss" in made, node, "it has no output 'loss'")
    tensor = made["loss"]
    hold(tensor.ndim == 0, node, f"its loss has shape {tuple(tensor.shape)}")
    loss = float(tensor)
    hold(math.isfinite(loss), node, f"its loss is {loss}")
    total, count = node.pooled()
    mean = float(total) / max(float(count), 1)
    tolerance = CLOSE * (1 + abs(loss))
    is_mean = abs(mean - loss) <= tolerance
    is_weighted_mean = abs(node.weight * mean - loss) <= tolerance
    what = f"its loss is {loss}, but pooled() gives {float(total)} / {float(count)}"
    hold(is_mean or is_weighted_mean, node, what)


def _check_ports(node: Any, values: Mapping[str, Any]) -> None:
    """The values are those of the per-stage outputs; only optional ones may be absent."""
    ports = {}
    required = set()
    for name, port in node.outputs.items():
        if not port.per_stage:
            continue
        ports[name] = port
        if not port.optional:
            required.add(name)
    are_promised = required <= set(values) <= set(ports)
    what = f"measure_end gives {sorted(values)}, its per_stage outputs are {sorted(ports)}"
    hold(are_promised, node, what)
    for name, value in values.items():
        ports[name].check(value, node, {}, f"{type(node).__name__}.{name}")


def stage_batch(node: Any) -> Values:
    """A batch of four images with every input that a stage may have."""
    return batch_for(node, {"B": 4}, for_fit=True, optional=True)


def stage_images(node: Any) -> list[Values]:
    """The same images, each as a batch of its own."""
    batch = stage_batch(node)
    images = []
    for number in range(4):
        part = slice(number, number + 1)
        images.append(cut(node, batch, "B", part))
    return images


def measured(node: Any, batches: Sequence[Values]) -> Values:
    """What a node measures in a stage of these batches."""
    node.measure_start("val")
    for batch in batches:
        run(node, batch)
    return stage_end(node)


def stage_end(node: Any) -> Values:
    """A copy of what a node measured in the stage that ends."""
    return copy.deepcopy(dict(node.measure_end()))
