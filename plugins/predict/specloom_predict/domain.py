"""Whether a cube is like those of a pipeline's fit, and which of its pixels are unjudged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import SpecloomError
from specloom_predict.tile_plan import is_map
from specloom_predict.tiled_run import to_array
from specloom_statistics import (
    DomainMeasure,
    DomainPixels,
    DomainReference,
    measure_domain,
    sample_positions,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from specloom import Batch, Graph, Run
    from specloom_predict.tiled_run import Windowed

NOT_COMPARED = (
    "cubes cannot be compared with what the pipeline was fitted on: it stores nothing of it"
)
"""The note for pipelines without a record, such as those of earlier versions."""

PIXELS_A_BAND = 10
"""A fit on fewer pixels a band gives unseen pixels far higher scores than its own."""


class SampledScene:
    """A scene that remembers some pixels of the tiles that are read, and which pixels are valid.

    Args:
        scene: The scene.
        size: Its rows and columns.
        only_finite: Whether pixels that are not finite in every band count as invalid.
        as_float32: Whether its pixels are converted to float32.
    """

    def __init__(
        self,
        scene: Windowed,
        size: tuple[int, int],
        *,
        only_finite: bool = False,
        as_float32: bool = False,
    ) -> None:
        self._scene = scene
        self._size = size
        self._only_finite = only_finite
        self._as_float32 = as_float32
        self._rows, self._columns = sample_positions(*size)
        self._pixels: NDArray[np.float64] | None = None
        #: Which pixels may be used, bool (H, W); None where the cube does not say.
        self.valid: NDArray[np.bool_] | None = None

    def window(self, rows: slice, cols: slice) -> Batch:
        """The part of the scene in some rows and columns, as a batch of one."""
        batch = dict(self._scene.window(rows, cols))
        if self._as_float32:
            batch["cube"] = to_array(batch["cube"]).astype(np.float32)
        self._take(to_array(batch["cube"])[0], rows, cols)
        valid = batch.get("valid")
        if valid is not None:
            self._valid()[rows, cols] = to_array(valid)[0]
        if self._only_finite:
            finite = np.isfinite(to_array(batch["cube"])[0]).all(axis=-1)
            if valid is None:
                self._valid()[rows, cols] = finite
            else:
                self._valid()[rows, cols] &= finite
        return batch

    def sample(self) -> DomainPixels | None:
        """The pixels so far; None where nothing was read."""
        if self._pixels is None:
            return None
        height, width = self._size
        usable = np.ones(len(self._rows), bool)
        if self.valid is not None:
            usable = self.valid[self._rows, self._columns]
        return DomainPixels(self._pixels, self._rows / height, self._columns / width, usable)

    def values(self, of_map: NDArray[Any]) -> NDArray[Any]:
        """The values of a map (H, W) at these pixels, (N,)."""
        found: NDArray[Any] = of_map[self._rows, self._columns]
        return found

    def part(self, rows: slice, columns: slice) -> dict[str, NDArray[Any]]:
        """What is known of a part that was read: ``pixels`` (n, C), and ``valid`` (h, w)."""
        found: dict[str, NDArray[Any]] = {}
        if self._pixels is not None:
            found["pixels"] = self._pixels[self._inside(rows, columns)]
        if self.valid is not None:
            found["valid"] = self.valid[rows, columns]
        return found

    def add_part(self, rows: slice, columns: slice, known: Mapping[str, NDArray[Any]]) -> None:
        """Take in what another process knows of a part that it read, as ``part`` gives it."""
        pixels = known.get("pixels")
        if pixels is not None:
            self._pixels_of(pixels.shape[1])[self._inside(rows, columns)] = pixels
        valid = known.get("valid")
        if valid is not None:
            self._valid()[rows, columns] = valid

    def _valid(self) -> NDArray[np.bool_]:
        if self.valid is None:
            self.valid = np.ones(self._size, bool)
        return self.valid

    def _take(self, cube: NDArray[Any], rows: slice, cols: slice) -> None:
        height, width, bands = cube.shape
        top = rows.start or 0
        left = cols.start or 0
        inside = self._inside(slice(top, top + height), slice(left, left + width))
        pixels = cube[self._rows[inside] - top, self._columns[inside] - left]
        self._pixels_of(bands)[inside] = pixels

    def _pixels_of(self, bands: int) -> NDArray[np.float64]:
        """The sampled pixels, (N, C), NaN where they were not read yet."""
        if self._pixels is None:
            self._pixels = np.full((len(self._rows), bands), np.nan)
        return self._pixels

    def _inside(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Which of the sampled pixels lie in some rows and columns, (N,)."""
        inside: NDArray[np.bool_] = (self._rows >= rows.start) & (self._rows < rows.stop)
        inside &= (self._columns >= columns.start) & (self._columns < columns.stop)
        return inside


class FittedDomain:
    """What a pipeline was fitted on, with the scores that it gives to it.

    Args:
        run: The run of the pipeline.
        scores: The map of scores, as ``node.port``; empty where there is none.
    """

    def __init__(self, run: Run, scores: str) -> None:
        self._reference: DomainReference | None = None
        #: The scores of the stored pixels, (n,); empty where they are not compared.
        self.scores: NDArray[np.float64] = np.empty(0)
        record = run.graph.fitted_on
        if not record:
            return
        plain = {name: to_array(value) for name, value in record.items()}
        self._reference = DomainReference(plain)
        enough = self._reference.images_pixels >= PIXELS_A_BAND * self._reference.bands
        if enough and scores and _is_pixelwise(run.graph, scores):
            self.scores = _scores_of(run, scores, plain["pixels"])

    def measure(
        self, scene: SampledScene, unjudged: float, scores: NDArray[Any] | None
    ) -> DomainMeasure | None:
        """Compare a scene that was read; None where nothing can be compared.

        Args:
            scene: The scene.
            unjudged: The share of its unjudged pixels.
            scores: Its map of scores, (H, W), if there is one.
        """
        pixels = scene.sample()
        if self._reference is None or pixels is None:
            return None
        if pixels.pixels.shape[1] != self._reference.bands:
            return None
        return measure_domain(self._reference, pixels, unjudged, self._rank(scene, scores))

    def _rank(self, scene: SampledScene, scores: NDArray[Any] | None) -> float | None:
        """The share of the fit's scores below the median of a scene's; equal ones count half."""
        if scores is None or not len(self.scores):
            return None
        values = scene.values(scores)
        finite = values[np.isfinite(values)]
        if not len(finite):
            return None
        median = np.median(finite)
        below = np.mean(self.scores < median)
        return float(below + np.mean(self.scores == median) / 2)


def judged_by(graph: Graph, end: str) -> str:
    """The map of numbers that decides which pixels of an output are unjudged: those with NaN.

    It is the output itself where that is a map of one number a pixel; of decisions it is the
    nearest such map that they are made from. Empty where there is none.
    """
    ends = [end]
    seen: set[str] = set()
    while ends:
        following: list[str] = []
        for one in ends:
            if is_number_map(graph, one):
                return one
            following += _read_for(graph, one, seen)
        ends = following
    return ""


def is_number_map(graph: Graph, end: str) -> bool:
    """Whether a value is one number for each pixel, made by a node."""
    port = graph.port(end)
    is_thin = is_map(port) and port.names[3:] in ((), ("1",))
    return is_thin and port.dtype.startswith("float") and not end.startswith("batch.")


def unjudged_pixels(
    numbers: Iterable[NDArray[Any]], scene: SampledScene, size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Which pixels are unjudged, bool (H, W): invalid ones, and NaN in one of the maps."""
    found = np.zeros(size, bool)
    if scene.valid is not None:
        found |= ~scene.valid
    for one in numbers:
        found |= np.isnan(one.reshape(size))
    return found


def _read_for(graph: Graph, end: str, seen: set[str]) -> list[str]:
    """The values that a node reads which makes a value; none for nodes that were seen."""
    name = end.partition(".")[0]
    if name in seen or name not in graph.nodes:
        return []
    seen.add(name)
    found: list[str] = []
    for ends in graph.incoming(name).values():
        found += ends
    return found


def _is_pixelwise(graph: Graph, end: str) -> bool:
    """Whether the value of a pixel follows from this pixel alone."""
    nodes = graph.ancestors([end])
    return all(getattr(graph.nodes[name], "locality", "image") == "pixel" for name in nodes)


def _scores_of(run: Run, end: str, pixels: NDArray[Any]) -> NDArray[np.float64]:
    """The finite scores of pixels (n, C); none where the graph needs more than pixels."""
    batch = run.runtime.adopt({"cube": pixels[None, None]}, run.graph.batch)
    try:
        with run.inference():
            values = run.plan("predict", [end])(batch)[end]
    except SpecloomError:
        return np.empty(0)
    scores = to_array(values).astype(np.float64).ravel()
    return scores[np.isfinite(scores)]
