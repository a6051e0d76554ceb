"""What the summary says of the outputs for one cube, in numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_predict.tile_plan import is_map
from specloom_predict.writers.layout import row_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom import Graph, Port
    from specloom_statistics import DomainMeasure

KINDS = {
    "objects": "",
    "largest": "pixels",
    "decided": "share",
    "unjudged": "share",
    "level": "",
    "shape": "",
    "seconds": "seconds",
}
"""The columns of numbers, and what each measures."""

OF_DECISIONS = ("objects", "largest", "decided")
"""The columns that only a map of decisions gives."""

OF_DOMAIN = ("level", "shape")
"""The columns that only a pipeline gives which stores what it was fitted on."""

WHOLE = ("objects", "largest")
"""The columns of whole numbers."""


@dataclass(frozen=True)
class Measures:
    """Numbers about one cube and the outputs for it; None where one is not known.

    Args:
        objects: Connected regions of decided pixels, which touch at a side or a corner.
        largest: Pixels of the largest of them.
        decided: Share of decided pixels among those that could be assessed.
        unjudged: Share of pixels that could not be assessed.
        level: How much darker or brighter the cube is than those that the pipeline was fitted on,
            1 being the limit.
        shape: How much its spectra differ from theirs, 1 being the limit.
        seconds: How long the cube took.
        doubts: Why the cube as a whole cannot be assessed; empty where it can.
    """

    objects: int | None = None
    largest: int | None = None
    decided: float | None = None
    unjudged: float | None = None
    level: float | None = None
    shape: float | None = None
    seconds: float | None = None
    doubts: Sequence[str] = ()

    def values(self) -> dict[str, float | None]:
        """The numbers by column."""
        return {name: getattr(self, name) for name in KINDS}

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {**asdict(self), "doubts": list(self.doubts)}


def measures_from(record: Mapping[str, Any]) -> Measures | None:
    """The measures in the record of a folder; None where it has none, as in version 0.2."""
    found = record.get("measures")
    if not isinstance(found, dict):
        return None
    known = {one.name for one in fields(Measures)}
    return Measures(**{name: value for name, value in found.items() if name in known})


def has_decisions(graph: Graph, ends: Mapping[str, str]) -> bool:
    """Whether one of the outputs that are made is a map of decisions."""
    return any(_is_of_decisions(graph.port(end)) for end in ends.values())


def decisions_among(graph: Graph, ends: Mapping[str, str], made: Collection[str]) -> str:
    """The output ``decisions``, or the first one that is a map of decisions; empty without one.

    Args:
        graph: The graph.
        ends: The outputs, each as ``node.port``.
        made: The names of those that have a value.
    """
    names = [name for name in ends if name in made and _is_of_decisions(graph.port(ends[name]))]
    if "decisions" in names:
        return "decisions"
    return next(iter(names), "")


def measure(
    decisions: NDArray[np.bool_] | None,
    pixels: int,
    unjudged: int,
    domain: DomainMeasure | None,
    seconds: float,
) -> Measures:
    """Measure what was made of one cube, decisions a few rows at a time.

    Args:
        decisions: The map of decisions, (H, W), if there is one.
        pixels: How many pixels the cube has.
        unjudged: How many of them could not be assessed.
        domain: How the cube compares with those of the fit; None where that is not known.
        seconds: How long the cube took.
    """
    found: dict[str, Any] = {}
    if decisions is not None:
        found = _objects(decisions, pixels - unjudged)
    doubts = []
    if unjudged == pixels:
        doubts.append("no pixel could be assessed")
    if domain is not None:
        found |= {"level": domain.level, "shape": domain.shape}
        doubts += domain.reasons
    share = unjudged / pixels
    return Measures(**found, unjudged=share, seconds=seconds, doubts=doubts)


def _is_of_decisions(port: Port) -> bool:
    return is_map(port) and port.dtype == "bool" and port.names[3:] in ((), ("1",))


def _objects(decisions: NDArray[np.bool_], judged: int) -> dict[str, Any]:
    """The number of objects, the pixels of the largest, and the share of decided pixels."""
    from specloom_objects import Regions

    height, width = decisions.shape
    regions = Regions()
    for rows in row_blocks(height, width * 8):
        regions.scan(np.asarray(decisions[rows]))
    regions.join()
    areas = regions.areas[1:]
    decided = int(areas.sum())
    share = decided / judged if judged else None
    return {"objects": regions.count, "largest": int(areas.max(initial=0)), "decided": share}
