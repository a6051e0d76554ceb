"""What a stage gathers: the metrics of a whole split, and the sums behind a loss."""

from __future__ import annotations

import copy
from typing import Any

import torch

from specloom.testing.comparing import CLOSE, agree, hold
from specloom.testing.driving import run
from specloom.testing.making import batch_for, cut, fitted


def measures_a_stage(cls: Any) -> None:
    """``measure_end`` gives the per-stage outputs, whatever the batch size; a new stage forgets."""
    node = fitted(cls)
    batch = batch_for(node, {"B": 4}, for_fit=True, optional=True)
    images = [cut(node, batch, "B", slice(i, i + 1)) for i in range(4)]
    whole = _measured(node, [batch])
    ports = {name: port for name, port in node.outputs.items() if port.per_stage}
    good = {name for name in ports if not ports[name].optional} <= set(whole) <= set(ports)
    hold(
        good, node, f"measure_end gives {sorted(whole)}, its per_stage outputs are {sorted(ports)}"
    )
    for name, value in whole.items():
        ports[name].check(value, node, {}, f"{cls.__name__}.{name}")
    agree(_measured(node, [batch]), whole, node, "when a second stage gathers the same", CLOSE)
    agree(_measured(node, images), whole, node, "when the batches are smaller", CLOSE)
    agree(_measured(node, images[::-1]), whole, node, "when the batches come in reverse", CLOSE)


def loss_is_weighted(cls: Any) -> None:
    """The output ``loss`` is a finite scalar, equal to weight * sum / count of ``pooled``."""
    node = fitted(cls)
    made = run(node, batch_for(node))
    hold("loss" in made, node, "it has no output 'loss'")
    hold(made["loss"].ndim == 0, node, f"its loss has shape {tuple(made['loss'].shape)}")
    hold(bool(torch.isfinite(made["loss"])), node, f"its loss is {float(made['loss'])}")
    total, count = (float(part) for part in node.pooled())
    loss, mean = float(made["loss"]), total / max(count, 1)
    good = min(abs(mean - loss), abs(node.weight * mean - loss)) <= CLOSE * (1 + abs(loss))
    hold(good, node, f"its loss is {loss}, but pooled() gives {total} / {count}")


def _measured(node: Any, batches: list[dict[str, Any]]) -> dict[str, Any]:
    node.measure_start("val")
    for batch in batches:
        run(node, batch)
    return copy.deepcopy(dict(node.measure_end()))
