"""What metric nodes collected on parts of a stage, merged: as if one of them had seen it all."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from specloom.testing.comparing import CLOSE, Values, agree
from specloom.testing.driving import run, saved
from specloom.testing.making import fitted
from specloom.testing.measuring import measured, stage_end, stage_images


def measure_merges(cls: Any) -> None:
    """Nodes that measured parts of a stage, merged in order, equal one that measured all of it."""
    node = fitted(cls)
    images = stage_images(node)
    whole = measured(node, images)
    splits = {
        "two parts": [images[:1], images[1:]],
        "three parts": [images[:2], images[2:3], images[3:]],
        "an empty part and all": [[], images],
        "all and an empty part": [images, []],
    }
    for how, parts in splits.items():
        node.measure_start("val")
        for part in parts:
            node.measure_merge(_collected(cls, part))
        agree(stage_end(node), whole, node, f"when {how} are merged", CLOSE)


def merge_of_one_part_is_exact(cls: Any) -> None:
    """What is merged into a node that has collected nothing is its state, bit for bit."""
    node = fitted(cls)
    images = stage_images(node)
    for how, part in {"a part": images, "an empty part": []}.items():
        state = _collected(cls, part)
        node.measure_start("val")
        node.measure_merge(copy.deepcopy(state))
        merged = saved(node, node.measure_state())
        agree(merged, state, node, f"when {how} is merged into a fresh node")


def _collected(cls: Any, batches: Sequence[Values]) -> Values:
    """The state of another node after these batches."""
    node = fitted(cls)
    node.measure_start("val")
    for batch in batches:
        run(node, batch)
    return saved(node, node.measure_state())
