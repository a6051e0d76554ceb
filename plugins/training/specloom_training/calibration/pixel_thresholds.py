"""Thresholds that make a metric largest, from pixels in memory or from passes over the split."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from specloom_metrics import ThresholdSearch
from specloom_training.calibration.best_thresholds import BestThresholds, best_thresholds
from specloom_training.calibration.collectors import DecidedPixels
from specloom_training.calibration.counted_pixels import CountedPixels
from specloom_training.calibration.deciders import THRESHOLD, is_gated
from specloom_training.domain import DomainWatch

if TYPE_CHECKING:
    from specloom import Run
    from specloom_training.calibration.passes import CalibrationPasses

MOST_HELD = 256 * 1024 * 1024
"""The bytes of scores and masks that are held in memory; of more, bins are counted."""


MOST_COLLECTED = 1024**3
"""The bytes of levels that jobs collect for one process; of more, it reads the split itself."""

FLOAT64 = "its logits are float64, and counts are those of float32 numbers: from every score"
"""Why counts do not suffice."""


class _ThresholdsOfPixels:
    """Thresholds from the levels and classes of all pixels.

    Args:
        run: The run.
        decider: The decider.
        parameter: The threshold of pixels.
        metric: What is made largest.
        pixels: The pixels.
    """

    def __init__(self, run: Run, decider: str, parameter: str, metric: str, pixels: Any) -> None:
        self._node = run.graph.nodes[decider]
        self._parameter = parameter
        self._metric = metric
        self._pixels = pixels

    def best(self) -> BestThresholds:
        """The best thresholds.

        Raises:
            DataError: Only one class is there, or all scores of each image are equal.
        """
        gated = is_gated(self._node)
        return best_thresholds(self._pixels, self._parameter, self._metric, gated=gated)


class HeldThresholds(_ThresholdsOfPixels):
    """Thresholds from what the decider reads, which is in memory.

    Args:
        run: The run.
        decider: The decider.
        parameter: The threshold of pixels.
        metric: What is made largest.
        pixels: The pixels, which were read.
    """

    _pixels: CountedPixels

    def decided(self) -> DecidedPixels:
        """What the decider, as it is now, decides."""
        decisions = self._pixels.decisions()
        targets = self._pixels.targets()
        anomalous = int(targets.sum())
        return DecidedPixels(
            int((decisions & targets).sum()),
            int((decisions & ~targets).sum()),
            anomalous,
            targets.numel() - anomalous,
        )


class CountedThresholds:
    """A threshold from counts in bins, whose memory does not grow with the number of images.

    Args:
        passes: The passes over the split.
        decider: The decider.
        parameter: The threshold.
        metric: What is made largest.
        watch: Compares the cubes with those of the fit, in the first pass.
    """

    def __init__(
        self,
        passes: CalibrationPasses,
        decider: str,
        parameter: str,
        metric: str,
        watch: DomainWatch,
    ) -> None:
        self._passes = passes
        self._decider = decider
        self._parameter = parameter
        self._search = ThresholdSearch(metric)
        self._first = self._pass(watch)

    @property
    def is_exact(self) -> bool:
        """Whether the first pass, in this process, found float32 numbers alone."""
        found: bool = self._first.is_exact
        return found

    def best(self) -> BestThresholds:
        """The best threshold.

        Raises:
            DataError: Only one class is there.
        """
        counted = self._first
        while True:
            self._search.take(counted.counted)
            if self._search.found is not None:
                threshold, value = self._search.found
                return BestThresholds({self._parameter: threshold}, value)
            counted = self._pass()

    def decided(self) -> DecidedPixels:
        """What the decider, as it is now, decides."""
        return decided_by_passes(self._passes, self._decider)

    def _pass(self, watch: DomainWatch | None = None) -> Any:
        config = {"parameter": self._parameter, "bins": self._search.bins.as_json()}
        return self._passes.collect("levels", config, f"calibrating {self._decider}", watch)


class CollectedThresholds(_ThresholdsOfPixels):
    """Thresholds from the levels of all pixels, which jobs collect in their order.

    Args:
        run: The run.
        passes: The passes over the split.
        decider: The decider.
        parameter: The threshold of pixels.
        metric: What is made largest.
        watch: Compares the cubes with those of the fit.
    """

    def __init__(
        self,
        run: Run,
        passes: CalibrationPasses,
        decider: str,
        parameter: str,
        metric: str,
        watch: DomainWatch,
    ) -> None:
        self._passes = passes
        self._decider = decider
        what = f"calibrating {decider}"
        pixels = passes.collect("pixels", {"parameter": parameter}, what, watch)
        super().__init__(run, decider, parameter, metric, pixels)

    def decided(self) -> DecidedPixels:
        """What the decider, as it is now, decides."""
        return decided_by_passes(self._passes, self._decider)


def decided_by_passes(passes: CalibrationPasses, decider: str) -> DecidedPixels:
    """What a decider, as it is now, decides on the split."""
    counts = passes.collect("decisions", {}, f"checking {decider}")
    found: DecidedPixels = counts.decided()
    return found


Thresholds: TypeAlias = HeldThresholds | CountedThresholds | CollectedThresholds


def thresholds_of_split(
    run: Run,
    passes: CalibrationPasses,
    decider: str,
    split: str,
    parameter: str,
    metric: str,
) -> Thresholds:
    """Read a split once, and report how its cubes compare with those of the fit.

    Raises:
        DataError: A batch has no mask.
    """
    why_not = _not_countable_because(run, decider, parameter)
    if passes.are_jobs and not why_not:
        bins = ThresholdSearch(metric).bins.as_json()
        first = passes.first_item("levels", {"parameter": parameter, "bins": bins})
        if not first.is_exact:
            why_not = FLOAT64
    if passes.are_jobs and why_not:
        size = passes.count_items() * passes.first_item("pixels", {"parameter": parameter}).nbytes
        if size > MOST_COLLECTED:
            passes.stay_in_process(f"{why_not}, and these are about {size / 1e9:.1f} GB")
    watch = DomainWatch(run)
    found: Thresholds
    if not passes.are_jobs:
        return _in_process(run, passes, decider, split, parameter, metric, why_not)
    if why_not:
        found = CollectedThresholds(run, passes, decider, parameter, metric, watch)
    else:
        found = CountedThresholds(passes, decider, parameter, metric, watch)
    watch.report(split)
    return found


def _in_process(
    run: Run,
    passes: CalibrationPasses,
    decider: str,
    split: str,
    parameter: str,
    metric: str,
    why_not: str,
) -> HeldThresholds | CountedThresholds:
    """Thresholds of a split that this process reads, as long as they fit from memory.

    Args:
        run: The run.
        passes: The passes over the split.
        decider: The decider.
        split: The split.
        parameter: The threshold of pixels.
        metric: What is made largest.
        why_not: Why counts do not suffice; empty where they do.

    Raises:
        DataError: A batch has no mask.
    """
    most = math.inf if why_not else MOST_HELD
    pixels = CountedPixels(run, decider, split, parameter)
    watch = DomainWatch(run)
    if pixels.read(watch, most):
        watch.report(split)
        return HeldThresholds(run, decider, parameter, metric, pixels)
    watch = DomainWatch(run)
    counted = CountedThresholds(passes, decider, parameter, metric, watch)
    if not counted.is_exact:
        return _in_process(run, passes, decider, split, parameter, metric, FLOAT64)
    watch.report(split)
    return counted


def _not_countable_because(run: Run, decider: str, parameter: str) -> str:
    """Why counts of scores do not suffice for a threshold; empty where they do."""
    if is_gated(run.graph.nodes[decider]):
        return "the thresholds of its images and pixels are found together, from every score"
    if parameter not in (THRESHOLD, "value"):
        return f"a {parameter} is a place among the scores of each image, from every score"
    return ""
