"""Deciders in a graph: their thresholds, and what they read."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from specloom import Batch, Graph

THRESHOLD = "logit_threshold"
"""The threshold of a decider that names none."""

GATE = "image_threshold"
"""The threshold below which an image has no decisions."""


def has_threshold(node: Any) -> bool:
    """Whether a node is a decider whose threshold can be set."""
    if "logits" not in node.inputs or "decisions" not in node.outputs:
        return False
    return hasattr(node, "calibrate")


def thresholds_of(node: Any) -> tuple[str, ...]:
    """The thresholds of a decider; the first is the usual one."""
    if hasattr(node, "thresholds"):
        names: tuple[str, ...] = node.thresholds
        return names
    return (THRESHOLD,)


def is_gated(node: Any) -> bool:
    """Whether a decider decides nothing in images whose score is below a threshold."""
    return GATE in thresholds_of(node)


class DeciderInputs:
    """What a decider reads, as values of a plan.

    Args:
        graph: The graph.
        name: The decider.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        self._node: Any = graph.nodes[name]
        incoming = graph.incoming(name)
        self.logits = incoming["logits"][0]
        """The logits, as ``node.port``."""
        self.valid: str | None = None
        """The valid pixels, as ``node.port``; None where they are not connected."""
        if "valid" in incoming:
            self.valid = incoming["valid"][0]
        self.ends = set(chain.from_iterable(incoming.values()))
        """Everything that the decider reads, as ``node.port``."""

    def valid_of(self, values: Batch) -> Tensor | None:
        """The valid pixels of a batch; None where all are."""
        if self.valid is None:
            return None
        valid: Tensor | None = values[self.valid]
        return valid

    def levels(self, values: Batch, parameter: str) -> Tensor:
        """The largest value of a threshold with which each pixel is decided, (B, H, W, 1).

        NaN where nothing is decided.
        """
        logits: Tensor = values[self.logits]
        valid = self.valid_of(values)
        if hasattr(self._node, "decision_levels"):
            levels: Tensor = self._node.decision_levels(parameter, logits, valid)
            return levels
        if valid is None:
            return logits
        return logits.masked_fill(~valid, float("nan"))

    def image_scores(self, values: Batch) -> Tensor:
        """The score of each image that a gated decider compares with its gate, (B,)."""
        scores: Tensor = self._node.image_scores(values[self.logits], self.valid_of(values))
        return scores


def inputs_of(graph: Graph, name: str) -> set[str]:
    """The values that a node reads, as ``node.port``."""
    return set(chain.from_iterable(graph.incoming(name).values()))


def metric_node(graph: Graph, decider: str) -> str | None:
    """The node that reads the decider's decisions and the targets."""
    for name in graph.nodes:
        if "targets" not in graph.incoming(name):
            continue
        if any(end.startswith(f"{decider}.") for end in inputs_of(graph, name)):
            return name
    return None


def inputs_of_metric_node(graph: Graph, decider: str) -> dict[str, list[str]]:
    """What that node reads, by port."""
    name = metric_node(graph, decider)
    if name is None:
        return {}
    return graph.incoming(name)
