"""What the summary says of the outputs for one cube, in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_predict.tile_plan import is_map
from specloom_predict.writers.layout import Map, row_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom import Port
    from specloom_cubes import Cube
    from specloom_predict.predictor import Predictor

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

WHOLE = ("objects", "largest")
"""The columns of whole numbers."""


@dataclass(frozen=True)
class Measures:
    """Numbers about one cube and the outputs for it; None where one is not known.

    Args:
        objects: Connected regions of decided pixels, which touch at a side or a corner.
        largest: Pixels of the largest of them.
        decided: Share of decided pixels among those that could be assessed.
        unjudged: Share of pixels that could not be assessed: their score is NaN, or, without
            a map of scores, a band of the cube is.
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


def has_decisions(predictor: Predictor) -> bool:
    """Whether one of the outputs that are made is a map of decisions."""
    graph = predictor.run.graph
    return any(_is_of_decisions(graph.port(end)) for end in predictor.ends.values())


def measure(
    predictor: Predictor, arrays: Mapping[str, Any], cube: Cube, seconds: float
) -> Measures:
    """Measure the outputs for one cube, a few rows at a time.

    Args:
        predictor: What made them.
        arrays: The outputs by name.
        cube: The cube.
        seconds: How long it took.
    """
    graph = predictor.run.graph
    ports = {name: graph.port(end) for name, end in predictor.ends.items() if name in arrays}
    maps = [Map(name, arrays[name]) for name, port in ports.items() if is_map(port)]
    decisions = preferred(
        [one for one in maps if one.decides and one.values.ndim == 2], "decisions"
    )
    scores = preferred([one for one in maps if one.values.dtype.kind == "f"], "scores")
    unjudged = _unjudged_pixels(scores, cube)
    height, width = cube.shape[:2]
    pixels = height * width
    doubts = []
    if unjudged == pixels:
        doubts.append("no pixel could be assessed")
    found: dict[str, Any] = {}
    if decisions is not None:
        found = _objects(decisions.values, pixels - unjudged)
    return Measures(**found, unjudged=unjudged / pixels, seconds=seconds, doubts=doubts)


def preferred(maps: Sequence[Map], name: str) -> Map | None:
    """The map of that name, or the first one, or None."""
    for one in maps:
        if one.name == name:
            return one
    return maps[0] if maps else None


def _is_of_decisions(port: Port) -> bool:
    return is_map(port) and port.dtype == "bool" and port.names[3:] in ((), ("1",))


def _unjudged_pixels(scores: Map | None, cube: Cube) -> int:
    """How many pixels have no score; without scores, how many lack a value in a band."""
    height, width, bands = cube.shape
    unjudged = 0
    for rows in row_blocks(height, width * bands * 4):
        values = scores.bands[rows] if scores is not None else cube.clean(rows)
        unjudged += int(np.isnan(values).any(axis=-1).sum())
    return unjudged


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
