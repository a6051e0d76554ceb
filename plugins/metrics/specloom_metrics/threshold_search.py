"""The best threshold from counts of scores in bins, made finer from pass to pass.

What a pass collects has a fixed size and merges in any order; the threshold that is found is that
of ``best_threshold``, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from specloom_metrics.curves import CRITERIA, middle_below, require_both_classes
from specloom_metrics.histogram import keys_of, scores_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY_BITS = 32
FIRST_SHIFT = 16
MOST_BINS = 1 << 18
"""The most bins of a later pass: 8 MB."""

NONE_LOW = (1 << KEY_BITS) - 1
"""The lowest key of a bin without scores; its highest one is 0."""


class Bins(NamedTuple):
    """Ranges of float32 scores, by their keys, divided into bins of equal width.

    Args:
        starts: The first key of each range, rising.
        range_bits: Each range holds so many keys, as a power of 2.
        shift: Each bin holds so many keys, as a power of 2.
    """

    starts: Sequence[int]
    range_bits: int
    shift: int

    @property
    def per_range(self) -> int:
        """How many bins a range has."""
        return 1 << (self.range_bits - self.shift)

    @property
    def size(self) -> int:
        """How many bins there are."""
        return len(self.starts) * self.per_range

    def as_json(self) -> dict[str, Any]:
        """The bins as plain values."""
        return self._asdict() | {"starts": list(self.starts)}


ALL_BINS = Bins((0,), KEY_BITS, FIRST_SHIFT)
"""65,536 bins, one for each value of the upper 16 bits of a float32."""


class ScoreBins:
    """How many normal and anomalous pixels score within each bin, and between which scores.

    Args:
        bins: The bins.
    """

    def __init__(self, bins: Bins = ALL_BINS) -> None:
        self.bins = bins
        #: Of normal and of anomalous pixels, (2, bins).
        self.counts = np.zeros((2, bins.size), np.int64)
        #: The lowest key of each bin, (bins,).
        self.lows = np.full(bins.size, NONE_LOW, np.int64)
        #: The highest key of each bin, (bins,).
        self.highs = np.zeros(bins.size, np.int64)

    @staticmethod
    def of_json(bins: Mapping[str, Any]) -> ScoreBins:
        """Empty bins, from what ``Bins.as_json`` gives."""
        return ScoreBins(Bins(**bins))

    def add(self, scores: Tensor, targets: Tensor) -> None:
        """Count float32 ``scores`` (N,) of pixels, which are anomalous by ``targets``.

        Those that are NaN do not count, as in ``best_threshold``.
        """
        scores = scores.detach().cpu()
        keys = keys_of(scores).numpy()
        places = self._places(keys)
        is_within = (places >= 0) & ~scores.isnan().numpy()
        places = places[is_within]
        keys = keys[is_within]
        classes = targets.cpu().numpy()[is_within]
        for row in (0, 1):
            found = places[classes == bool(row)]
            self.counts[row] += np.bincount(found, minlength=self.bins.size)
        np.minimum.at(self.lows, places, keys)
        np.maximum.at(self.highs, places, keys)

    def state(self) -> dict[str, Tensor]:
        """The bins with scores: their places, counts and extremes."""
        used = np.flatnonzero(self.counts.any(0))
        arrays = {
            "places": used,
            "counts": np.ascontiguousarray(self.counts[:, used]),
            "lows": self.lows[used],
            "highs": self.highs[used],
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one with the same bins."""
        arrays = {name: value.cpu().numpy() for name, value in state.items()}
        places = arrays["places"]
        self.counts[:, places] += arrays["counts"]
        self.lows[places] = np.minimum(self.lows[places], arrays["lows"])
        self.highs[places] = np.maximum(self.highs[places], arrays["highs"])

    def _places(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The bin of each key; -1 where it is in no range."""
        bins = self.bins
        starts = np.asarray(bins.starts, np.int64)
        ranges = np.searchsorted(starts, keys, side="right") - 1
        offsets = keys - starts[np.maximum(ranges, 0)]
        is_within = (ranges >= 0) & (offsets < 1 << bins.range_bits)
        places = ranges * bins.per_range + (offsets >> bins.shift)
        return np.where(is_within, places, -1)


class ThresholdSearch:
    """Finds the threshold that makes a metric largest, over several passes.

    None of the metrics falls with a true positive more or with a false positive less. So within a
    bin a metric is at most what it would be if all its anomalous pixels scored above the normal
    ones. Bins in which that does not reach what another one reaches are not looked at again.

    Args:
        metric: ``f1``, ``iou`` or ``youden``.
    """

    def __init__(self, metric: str) -> None:
        self._criterion = CRITERIA[metric]
        self._metric = metric
        self._anomalous = 0
        self._normal = 0
        self._taken: list[ScoreBins] = []
        #: True and false positives above each range.
        self._above = np.zeros((2, 1), np.int64)
        self._least = -math.inf
        #: The bins that the next pass counts in.
        self.bins = ALL_BINS
        #: The threshold and the metric that it reaches; None before they are found.
        self.found: tuple[float, float] | None = None

    def take(self, counted: ScoreBins) -> None:
        """Go on with what a pass has counted in ``bins``.

        Raises:
            DataError: Only one class is there.
        """
        self._taken.append(counted)
        if len(self._taken) == 1:
            self._normal, self._anomalous = (int(total) for total in counted.counts.sum(1))
            require_both_classes(self._anomalous, self._normal, f"a threshold for {self._metric}")
        negatives, positives = self._reached(counted)
        false_above = negatives - counted.counts[0]
        holds_anomalies = counted.counts[1] > 0
        values = self._values(positives, negatives)
        bounds = self._values(positives, false_above)
        self._least = max(self._least, float(values[holds_anomalies].max()))
        chosen = np.flatnonzero(holds_anomalies & (bounds >= self._least))
        if (counted.lows[chosen] == counted.highs[chosen]).all():
            self._end(counted, chosen, values)
            return
        self._divide(counted, chosen, positives, negatives)

    def _values(self, positives: NDArray[np.int64], negatives: NDArray[np.int64]) -> Any:
        return self._criterion(positives, negatives, self._anomalous, self._normal)

    def _reached(self, counted: ScoreBins) -> NDArray[np.int64]:
        """False and true positives of a threshold at the lower end of each bin, (2, bins)."""
        by_range = counted.counts.reshape(2, -1, counted.bins.per_range)
        from_above = by_range[..., ::-1].cumsum(2)[..., ::-1]
        reached: NDArray[np.int64] = (from_above + self._above[..., None]).reshape(2, -1)
        return reached

    def _divide(
        self,
        counted: ScoreBins,
        chosen: NDArray[np.int64],
        positives: NDArray[np.int64],
        negatives: NDArray[np.int64],
    ) -> None:
        """Let the next pass count in the chosen bins, each divided further."""
        bins = counted.bins
        ranges = chosen // bins.per_range
        starts = np.asarray(bins.starts, np.int64)[ranges]
        starts = starts + ((chosen % bins.per_range) << bins.shift)
        room = int(math.log2(max(MOST_BINS // len(chosen), 2)))
        shift = max(bins.shift - room, 0)
        self._above = np.stack([negatives[chosen], positives[chosen]])
        self._above -= counted.counts[:, chosen]
        self.bins = Bins(starts.tolist(), bins.shift, shift)

    def _end(self, counted: ScoreBins, chosen: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Take the best of some bins that hold one score each; of equally good ones the highest."""
        falling = chosen[::-1]
        best = falling[int(np.argmax(values[falling]))]
        level = int(counted.lows[best])
        levels = [*self._below(level), level]
        place = len(levels) - 1
        if place == 0:
            levels += self._above_of(level)
        scores = scores_of(np.array(levels))
        self.found = (middle_below(scores, place), float(values[best]))

    def _below(self, level: int) -> list[int]:
        """The key of the next score below one; empty where there is none.

        In the pass whose bins separate the two it is the highest of its bin.
        """
        found: list[int] = []
        for counted in self._taken:
            highs = counted.highs[counted.counts.any(0)]
            found += highs[highs < level][-1:].tolist()
        return sorted(found)[-1:]

    def _above_of(self, level: int) -> list[int]:
        """The key of the next score above one; empty where there is none."""
        found: list[int] = []
        for counted in self._taken:
            lows = counted.lows[counted.counts.any(0)]
            found += lows[lows > level][:1].tolist()
        return sorted(found)[:1]
