"""Scores of normal images, collected image by image in bounded memory."""

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from specloom_statistics import SmallestKeys
from specloom_training.calibration.region_events import (
    Connectivity,
    Events,
    Pixels,
    region_events,
)
from specloom_training.calibration.sample import Sample

Per: TypeAlias = Literal["pixel", "object", "image"]

CAPACITY = 1 << 21
"""How many of the largest scores are stored: 72 MB."""

LEAST_GROUPS = 20
"""Below so many images, blocks of them are resampled."""

GRID = 8
"""The largest number of rows and of columns of blocks in an image."""


class NormalScores:
    """The scores of normal images: the largest pixels exactly, and how many pixels there are.

    Nothing depends on the order of the images. What several objects collected can be merged.

    Args:
        per: What a false alarm is: a pixel, a connected region of pixels or an image.
        connectivity: Which pixels touch, for regions.
        capacity: How many of the largest scores are stored.
    """

    def __init__(self, per: Per, connectivity: Connectivity = 8, capacity: int = CAPACITY) -> None:
        self._per = per
        self._connectivity = connectivity
        self._largest = SmallestKeys(3, capacity)
        self._events = 0
        self._shapes: list[tuple[int, int]] = []
        self._pixels: list[int] = []
        self._block_pixels: list[Any] = []
        self._maxima: list[float] = []

    @property
    def images(self) -> int:
        """How many images were added."""
        return len(self._pixels)

    def pixels_per_image(self) -> float:
        """The mean number of pixels of an image that count."""
        return sum(self._pixels) / len(self._pixels)

    def add(self, scores: Tensor, counted: Tensor, image_score: float | None = None) -> None:
        """Add one image; an image without a pixel that counts is ignored.

        Args:
            scores: (H, W); minus infinity where no threshold decides.
            counted: The pixels that count, bool (H, W).
            image_score: The score of the image; by default its largest score.
        """
        rows, columns = counted.nonzero(as_tuple=True)
        if not len(rows):
            return
        values = scores[rows, columns].double()
        if image_score is None:
            image_score = float(values.max())
        height, width = scores.shape
        if self.images < LEAST_GROUPS:
            blocks = _block(rows, height) * GRID + _block(columns, width)
            self._block_pixels.append(torch.bincount(blocks, minlength=GRID**2).numpy())
        number = self.images
        self._shapes.append((height, width))
        self._pixels.append(len(rows))
        self._maxima.append(image_score)
        if self._per != "image":
            self._add_pixels(number, values, rows, columns)

    def _add_pixels(self, number: int, values: Tensor, rows: Tensor, columns: Tensor) -> None:
        decidable = values > -torch.inf
        self._events += int(decidable.sum())
        stored = decidable & (-values <= self._largest.limit)
        places = torch.stack([torch.full_like(rows, number), rows, columns], 1)
        self._largest.add(-values[stored], places[stored].double())

    def state(self) -> Mapping[str, Tensor]:
        """What was collected so far."""
        return {
            "keys": self._largest.keys().clone(),
            "rows": self._largest.rows().clone(),
            "events": torch.tensor(self._events),
            "shapes": torch.tensor(self._shapes).reshape(-1, 2),
            "pixels": torch.tensor(self._pixels),
            "block_pixels": torch.tensor(np.array(self._block_pixels)).reshape(-1, GRID**2),
            "maxima": torch.tensor(self._maxima, dtype=torch.float64),
        }

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one, whose images follow."""
        rows = state["rows"].double()
        rows[:, 0] += self.images
        self._largest.add(state["keys"], rows)
        self._events += int(state["events"])
        self._shapes += [(height, width) for height, width in state["shapes"].tolist()]
        self._pixels += state["pixels"].tolist()
        self._block_pixels += list(state["block_pixels"].numpy())
        self._maxima += state["maxima"].tolist()

    def sample(self) -> Sample:
        """What thresholds follow from."""
        if self._per == "image":
            return self._image_sample()
        pixels = self._tail()
        if self._per == "pixel":
            signs = np.ones(len(pixels.scores), np.int64)
            return self._grouped(Events(pixels.scores, signs, pixels.places), pixels.floor)
        return self._grouped(region_events(pixels, self._connectivity), pixels.floor)

    def tail_level(self, share: float) -> float:
        """The score that a share of all pixels reaches, or the least that is stored."""
        scores = self._tail().scores
        count = min(len(scores), int(share * sum(self._pixels)))
        if not count:
            return math.inf
        return float(scores[count - 1])

    def _tail(self) -> Pixels:
        """The pixels whose scores are stored, by falling score."""
        keys = self._largest.keys().numpy()
        places = self._largest.rows().numpy().astype(np.int64)
        floor = -math.inf
        if self._events > len(keys):
            # Which pixels of the smallest stored score are stored depends on the order.
            floor = -float(keys.max())
            places = places[keys < -floor]
            keys = keys[keys < -floor]
            # Nor is the order of what is stored that of the images any more.
            in_order = np.lexsort(places.T[::-1])
            places = places[in_order]
            keys = keys[in_order]
        order = np.argsort(keys, kind="stable")
        return Pixels(-keys[order], places[order], floor)

    def _image_sample(self) -> Sample:
        scores = np.array(self._maxima)
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] > -math.inf]
        signs = np.ones(len(order), np.int64)
        units = np.ones(self.images)
        return Sample(scores[order], signs, order, units, -math.inf, "images")

    def _grouped(self, events: Events, floor: float) -> Sample:
        """The events with the groups that they are in."""
        image = events.places[:, 0]
        pixels = np.array(self._pixels, np.float64)
        if self.images >= LEAST_GROUPS:
            units = pixels
            if self._per == "object":
                units = np.ones(self.images)
            return Sample(events.scores, events.signs, image, units, floor, "images")
        sides = [side for side in (2, 4, GRID) if self.images * side**2 >= LEAST_GROUPS]
        side = sides[0]
        blocks = np.array(self._block_pixels).reshape(-1, side, GRID // side, side, GRID // side)
        block_units = blocks.sum((2, 4)).reshape(self.images, -1).astype(np.float64)
        if self._per == "object":
            block_units /= pixels[:, None]
        shapes = np.array(self._shapes)[image]
        row = _block(events.places[:, 1], shapes[:, 0], side)
        column = _block(events.places[:, 2], shapes[:, 1], side)
        groups = (image * side + row) * side + column
        units = block_units.ravel()
        more = float(side)
        return Sample(events.scores, events.signs, groups, units, floor, "blocks", more)


def _block(place: Any, size: Any, side: int = GRID) -> Any:
    """In which of ``side`` equal parts of ``size`` pixels a place is.

    Parts of a finer division lie within those of a coarser one.
    """
    return place * GRID // size // (GRID // side)
