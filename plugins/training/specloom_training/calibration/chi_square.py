"""The distribution of what a decider reads, where a detector before it says what that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from specloom import ConfigError

if TYPE_CHECKING:
    from specloom import Graph


class ScaledChiSquare(NamedTuple):
    """A score with a chi-square distribution, times a scale, plus an offset."""

    freedom: int
    scale: float
    offset: float


def detector_of(graph: Graph, decider: str) -> str | None:
    """The detector with chi-square scores that the decider reads, directly or as logits."""
    name = decider
    port = "logits"
    while True:
        ends = graph.incoming(name).get(port)
        if not ends:
            return None
        name = _node_of(ends[0])
        node: Any = graph.nodes.get(name)
        if hasattr(node, "degrees_of_freedom"):
            return name
        if not hasattr(node, "logit_map"):
            return None
        port = "scores"


def distribution(graph: Graph, decider: str) -> ScaledChiSquare:
    """The distribution of what the decider reads of a normal pixel.

    Raises:
        ConfigError: The detector's scores have another distribution, or fall as they are mapped.
    """
    detector = detector_of(graph, decider)
    assert detector is not None, "check() finds a decider without one"
    node: Any = graph.nodes[detector]
    freedom = node.degrees_of_freedom()
    if freedom is None:
        raise ConfigError(
            f"the scores of {detector} are not chi-square distributed, as it was trained",
            where=graph.where("nodes", detector),
            fix="use method: empirical or peaks_over_threshold",
        )
    scale = 1.0
    offset = 0.0
    name = _node_of(graph.incoming(decider)["logits"][0])
    while name != detector:
        head: Any = graph.nodes[name]
        factor, added = head.logit_map()
        offset += scale * added
        scale *= factor
        name = _node_of(graph.incoming(name)["scores"][0])
    if scale <= 0:
        raise ConfigError(
            f"the logits of {decider} fall as the scores of {detector} rise (factor {scale:.3g})",
            where=graph.where("nodes", decider),
            fix="set a scale over 0 in the node between them",
        )
    return ScaledChiSquare(freedom, scale, offset)


def _node_of(end: str) -> str:
    """The node of ``node.port``."""
    return end.rpartition(".")[0]
