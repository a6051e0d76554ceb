"""The images that one node compared in one pass of a stage."""

from __future__ import annotations

from bisect import insort
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from specloom_report.collecting.pixel_sample import PixelSample
from specloom_report.collecting.stored_image import (
    Place,
    StoredImage,
    store_image,
    used_planes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from specloom_report.collecting.held_cube import HeldCube

    Pixels = NDArray[Any]


COPIED_BYTES = 2 << 20
"""Cubes of images up to this size are copied; those of larger ones are not."""


class Compared(NamedTuple):
    """One batch as an evaluating node reads it, each (B, H, W, 1); no targets without masks.

    The classes are the numbers in the masks, where these have more than targets.
    """

    decisions: Pixels
    targets: Pixels | None
    logits: Pixels | None
    valid: Pixels | None
    classes: Pixels | None = None


class Shown(NamedTuple):
    """How images are shown.

    Args:
        most: The most images.
        expected: How many there will be, at most.
        bands: The bands shown as red, green and blue.
    """

    most: int
    expected: int
    bands: Sequence[int]


class _Candidate(NamedTuple):
    """An image that may be shown, and what makes its pictures and spectra.

    A training evaluates a split in each epoch, and the images of the last one alone are shown.
    """

    rank: tuple[float, ...]
    store: Callable[[], StoredImage]


class Evaluation:
    """The pixels of a pass, and those of its images in which most is wrong."""

    def __init__(self) -> None:
        self.sample = PixelSample()
        self._candidates: list[_Candidate] = []
        self.has_masks = True

    @property
    def images(self) -> list[StoredImage]:
        """The images shown, that in which most is wrong last."""
        return [one.store() for one in self._candidates]

    def add(self, compared: Compared, cube: HeldCube | None, shown: Shown) -> None:
        """Add a batch.

        Args:
            compared: What the node read.
            cube: The cubes of the batch, if they are known.
            shown: How images are shown.
        """
        targets = compared.targets
        if targets is None:
            self.has_masks = False
            targets = np.zeros(compared.decisions.shape, bool)
        first = len(self.sample)
        self.sample.add(compared.decisions, targets, compared.logits, compared.valid)
        for image in range(len(compared.decisions)):
            number = first + image
            rank = self._rank(number, _plane(compared.logits, image))
            if len(self._candidates) == shown.most and rank <= self._candidates[0].rank:
                continue
            candidate = self._candidate(number, rank, image, compared, cube, shown)
            insort(self._candidates, candidate, key=_rank_of)
            del self._candidates[: -shown.most]

    def _rank(self, number: int, scores: Pixels | None) -> tuple[float, ...]:
        """Return how much is wrong in an image; among equals the first one comes first."""
        counts = self.sample.counts[number]
        objects = self.sample.objects[number]
        if self.has_masks:
            wrong = counts.predicted + counts.anomalous - 2 * counts.true_positives
            return (objects.wrong, wrong, -number)
        highest = 0.0
        if scores is not None:
            highest = float(np.max(scores, initial=-np.inf, where=np.isfinite(scores)))
        return (counts.predicted, highest, -number)

    def _candidate(
        self,
        number: int,
        rank: tuple[float, ...],
        image: int,
        compared: Compared,
        cube: HeldCube | None,
        shown: Shown,
    ) -> _Candidate:
        planes = used_planes(
            compared.decisions[image, ..., 0],
            _plane(compared.targets, image),
            _plane(compared.logits, image),
            _plane(compared.valid, image),
            _plane(compared.classes, image),
        )
        if cube is not None and cube.image_bytes <= COPIED_BYTES:
            # Of the batch, whose arrays may be used again.
            planes = planes._replace(scores=_copy(planes.scores), classes=_copy(planes.classes))
            place = Place(cube.copy_image(image), 0)
            store = partial(store_image, number, rank, planes, place, shown.expected, shown.bands)
            return _Candidate(rank, store)
        place_in_batch = None
        if cube is not None:
            place_in_batch = Place(cube, image)
        stored = store_image(number, rank, planes, place_in_batch, shown.expected, shown.bands)
        return _Candidate(rank, lambda: stored)


def _rank_of(image: _Candidate) -> tuple[float, ...]:
    return image.rank


def _copy(values: Pixels | None) -> Pixels | None:
    if values is None:
        return None
    return values.copy()


def _plane(values: Pixels | None, image: int) -> Pixels | None:
    if values is None:
        return None
    plane: Pixels = values[image, ..., 0]
    return plane
