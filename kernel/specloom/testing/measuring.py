"""What a node computes over a stage: the metrics of a whole split, and the sums behind a loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

from specloom.testing.comparing import CLOSE, agree, hold
from specloom.testing.driving import run
from specloom.testing.making import batch_for, cut, fitted


def measures_a_stage(cls: Any) -> None:
    """``measure_end`` gives the per-stage outputs, whatever the batch size; a new stage forgets."""
    node = fitted(cls)
    batch = batch_for(node, {"B": 4}, for_fit=True, optional=True)
    images = [cut(node, batch, "B", slice(i, i + 1)) for i in range(4)]
    whole = _measured(node, [batch])
    _check_ports(node, whole)
    again = _measured(node, [batch])
    agree(again, whole, node, "when a second stage has the same data", CLOSE)
    smaller = _measured(node, images)
    agree(smaller, whole, node, "when the batches are smaller", CLOSE)
    backwards = _measured(node, images[::-1])
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


def _check_ports(node: Any, measured: Mapping[str, Any]) -> None:
    """The values are those of the per-stage outputs; only optional ones may be absent."""
    ports = {}
    required = set()
    for name, port in node.outputs.items():
        if not port.per_stage:
            continue
        ports[name] = port
        if not port.optional:
            required.add(name)
    are_promised = required <= set(measured) <= set(ports)
    what = f"measure_end gives {sorted(measured)}, its per_stage outputs are {sorted(ports)}"
    hold(are_promised, node, what)
    for name, value in measured.items():
        ports[name].check(value, node, {}, f"{type(node).__name__}.{name}")


def _measured(node: Any, batches: list[dict[str, Any]]) -> dict[str, Any]:
    node.measure_start("val")
    for batch in batches:
        run(node, batch)
    return copy.deepcopy(dict(node.measure_end()))
