"""What metric nodes collected on parts of a stage, merged: as if one of them had seen it all."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from specloom.testing.comparing import CLOSE, agree
from specloom.testing.driving import run, saved
from specloom.testing.making import batch_for, cut, fitted


def measure_merges(cls: Any) -> None:
    """Nodes that measured parts of a stage, merged in order, equal one that measured all of it."""
    node = fitted(cls)
    images = _images(node)
    whole = _measured(node, images)
    splits = {
        "two parts": [images[:1], images[1:]],
        "three parts": [images[:2], images[2:3], images[3:]],
        "an empty part and all": [[], images],
        "all and an empty part": [images, []],
    }
    for how, parts in splits.items():
        _start(node)
        for part in parts:
            node.measure_merge(_collected(cls, part))
        agree(_end(node), whole, node, f"when {how} are merged", CLOSE)


def merge_of_one_part_is_exact(cls: Any) -> None:
    """What is merged into a node that has collected nothing is its state, bit for bit."""
    node = fitted(cls)
    images = _images(node)
    for how, part in {"a part": images, "an empty part": []}.items():
        state = _collected(cls, part)
        _start(node)
        node.measure_merge(copy.deepcopy(state))
        merged = saved(node, node.measure_state())
        agree(merged, state, node, f"when {how} is merged into a fresh node")


def _images(node: Any) -> list[dict[str, Any]]:
    """Four batches of one image each."""
    batch = batch_for(node, {"B": 4}, for_fit=True, optional=True)
    return [cut(node, batch, "B", slice(i, i + 1)) for i in range(4)]


def _collected(cls: Any, batches: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The state of another node after these batches."""
    node = fitted(cls)
    _start(node)
    for batch in batches:
        run(node, batch)
    return saved(node, node.measure_state())


def _measured(node: Any, batches: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a node measures on these batches."""
    _start(node)
    for batch in batches:
        run(node, batch)
    return _end(node)


def _start(node: Any) -> None:
    node.measure_start("val")


def _end(node: Any) -> dict[str, Any]:
    return copy.deepcopy(dict(node.measure_end()))
