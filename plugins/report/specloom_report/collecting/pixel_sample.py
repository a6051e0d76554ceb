"""The scores and decisions of a stage's pixels, in bounded memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from specloom_report.collecting.objects import ObjectCounts, count_objects

MAX_SCORES = 2_000_000  # of each class, 4 bytes each

Pixels = NDArray[Any]


class ImageCounts(NamedTuple):
    """The pixel counts of one image."""

    true_positives: int
    predicted: int
    anomalous: int
    used: int
    excluded: int


class PixelSample:
    """Counts and scores of images, one after the other.

    Counts are exact. Of each class all scores are stored up to ``max_scores``, and then every
    second, fourth and so on in the order of the pixels: anomalies are few and are not thinned
    because the background is large.

    Args:
        max_scores: How many scores of each class are stored.
    """

    def __init__(self, max_scores: int = MAX_SCORES) -> None:
        self._max_scores = max_scores
        self.counts: list[ImageCounts] = []
        self.objects: list[ObjectCounts] = []
        #: By class (normal, anomalous) the stored scores of each image.
        self.scores: tuple[list[Pixels], list[Pixels]] = ([], [])
        #: By class: one score in so many is stored.
        self.strides = [1, 1]
        self._stored = [0, 0]
        self._lowest_predicted = np.inf
        self._highest_rejected = -np.inf

    def __len__(self) -> int:
        return len(self.counts)

    def add(
        self, decisions: Pixels, targets: Pixels, scores: Pixels | None, valid: Pixels | None
    ) -> None:
        """Add a batch, each (B, H, W, 1); pixels not valid or of score NaN are excluded."""
        for image in range(len(decisions)):
            used = np.ones(decisions[image].shape, bool)
            if valid is not None:
                used = valid[image]
            if scores is not None:
                used = used & ~np.isnan(scores[image])
            predicted = decisions[image] & used
            anomalous = targets[image] & used
            self._add_counts(predicted, anomalous, used)
            self.objects.append(count_objects(predicted[..., 0], anomalous[..., 0]))
            if scores is not None:
                self._add_limits(scores[image], predicted, used)
                self._add_scores(0, scores[image][used & ~anomalous])
                self._add_scores(1, scores[image][anomalous])

    def _add_counts(self, predicted: Pixels, anomalous: Pixels, used: Pixels) -> None:
        used_count = int(np.count_nonzero(used))
        self.counts.append(
            ImageCounts(
                true_positives=int(np.count_nonzero(predicted & anomalous)),
                predicted=int(np.count_nonzero(predicted)),
                anomalous=int(np.count_nonzero(anomalous)),
                used=used_count,
                excluded=used.size - used_count,
            )
        )

    def _add_limits(self, scores: Pixels, predicted: Pixels, used: Pixels) -> None:
        lowest = np.min(scores, initial=np.inf, where=predicted)
        highest = np.max(scores, initial=-np.inf, where=used & ~predicted)
        self._lowest_predicted = min(self._lowest_predicted, float(lowest))
        self._highest_rejected = max(self._highest_rejected, float(highest))

    def _add_scores(self, class_: int, scores: Pixels) -> None:
        stored = self.scores[class_]
        stored.append(scores[:: self.strides[class_]].astype(np.float32))
        self._stored[class_] += len(stored[-1])
        while self._stored[class_] > self._max_scores:
            stored[:] = [image[::2].copy() for image in stored]
            self.strides[class_] *= 2
            before = self._stored[class_]
            self._stored[class_] = sum(map(len, stored))
            if self._stored[class_] == before:  # one pixel of each of very many images
                break

    def threshold(self) -> dict[str, Any]:
        """Return the threshold on the scores, as the decisions themselves show it.

        ``single`` where one threshold explains all decisions: then it lies above ``above`` and is
        at most ``at_most``.
        """
        return {
            "single": bool(self._highest_rejected < self._lowest_predicted),
            "above": _finite_or_none(self._highest_rejected),
            "at_most": _finite_or_none(self._lowest_predicted),
        }


def _finite_or_none(value: float) -> float | None:
    if np.isfinite(value):
        return float(value)
    return None
