"""Batches that are already there, for tests and examples in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from specloom import ConfigError
from specloom_cubes.cube import RawCalibration, Reading, WantedBands
from specloom_cubes.processing.options import calibration_of
from specloom_cubes.rules.class_numbers import UNLABELLED
from specloom_cubes.sources.array_images import image_cube, read_image
from specloom_cubes.sources.common import (
    CALIBRATED,
    check_same_size,
    notes_on,
    require_split,
    warn_once,
)
from specloom_cubes.sources.data_module import DataModule
from specloom_cubes.sources.description import ClassCounts, SplitDescription, wavelength_range

if TYPE_CHECKING:
    from specloom import Batch, Port
    from specloom_cubes.cube import Cube

LABEL = "InMemory"
NAME = "the array"
"""What messages call an image."""

BY_IMAGE = ("cube", "mask", "valid", "dark")
"""The values of a batch that have one entry for each image."""


class InMemory(DataModule):
    """The batches that it was made with.

    Args:
        train: Batches for training: dictionaries with ``cube`` (B, H, W, C), and where they are
            known ``mask`` (B, H, W), ``wavelengths`` (C,) in nm and ``valid`` (B, H, W); NumPy
            arrays or tensors. Where some batches of a split have masks, those without are
            unlabelled (-1).
        val: Batches for validation.
        test: Batches for the test.
        predict: Batches to predict; by default those of the test.
        calibration: Raw counts to reflectance, as of ``Folder``, with the files of ``white`` and
            ``dark``.
        bands: Which bands, and on which grid, as of ``Folder``.
        binning: Rows and columns that become one pixel, as of ``Folder``.

    Raises:
        ConfigError: The calibration names no white or no dark.
        DataError: When data is read and references or the grid of bands cannot be used.
    """

    outputs: ClassVar[Mapping[str, Port]] = CALIBRATED

    def __init__(
        self,
        train: Sequence[Mapping[str, Any]] = (),
        val: Sequence[Mapping[str, Any]] = (),
        test: Sequence[Mapping[str, Any]] = (),
        predict: Sequence[Mapping[str, Any]] | None = None,
        calibration: RawCalibration | None = None,
        bands: WantedBands | None = None,
        binning: tuple[int, int] | None = None,
    ) -> None:
        self.train = train
        self.val = val
        self.test = test
        self.predict = predict
        self.calibration = calibration
        self.bands = bands
        self.binning = binning

    @property
    def reading(self) -> Reading:
        """How the images are to be read.

        Raises:
            ConfigError: A value is wrong, or references would be looked for in a folder.
        """
        reading = Reading(calibration=self.calibration, bands=self.bands, binning=self.binning)
        stated = calibration_of(self.calibration)
        if stated is not None and (stated.white is None or stated.dark is None):
            raise ConfigError(
                f"{LABEL}: arrays lie in no folder of a capture, and calibration does not name "
                "white and dark",
                fix="name the files: calibration: {white: FILE, dark: FILE}",
            )
        return reading

    def _is_processed(self) -> bool:
        return bool(self.reading.processing())

    def _cube(self, image: Mapping[str, Any]) -> Cube:
        """An image as it is to be read, its pixels not yet computed."""
        return image_cube(image, self.reading, NAME)

    def notes(self) -> list[str]:
        """What a user should know of the calibration and the bands."""
        if not self._is_processed():
            return []
        for batch in chain.from_iterable(self._batches().values()):
            return notes_on(self._cube(_image(batch, 0)))
        return []

    def read_options(self) -> Mapping[str, Any]:
        """The processing, which predictions with a fitted pipeline need too."""
        return self.reading.processing()

    def _batches(self) -> dict[str, Sequence[Mapping[str, Any]]]:
        predict = self.test if self.predict is None else self.predict
        return {"train": self.train, "val": self.val, "test": self.test, "predict": predict}

    def _labelled(self, split: str) -> list[Mapping[str, Any]]:
        """The batches of a split, each with a mask where any of them has one."""
        batches = self._batches()
        chosen = list(batches[require_split(split, batches)])
        if not any("mask" in batch for batch in chosen):
            return chosen
        return [_with_mask(batch) for batch in chosen]

    def sizes(self) -> Mapping[str, int]:
        """The sizes that all batches share; the batch axis is not among them."""
        shapes = [self._shape(batch) for batch in chain.from_iterable(self._batches().values())]
        sizes = {}
        for axis, name in enumerate("HWC"):
            sizes_of_axis = {int(shape[axis]) for shape in shapes}
            if len(sizes_of_axis) == 1:
                sizes[name] = sizes_of_axis.pop()
        return sizes

    def _shape(self, batch: Mapping[str, Any]) -> tuple[int, ...]:
        """Rows, columns and bands of the images of a batch."""
        if not self._is_processed():
            return tuple(batch["cube"].shape[1:])
        cube = self._cube(_image(batch, 0))
        return (*cube.shape[:2], len(cube.good_bands))

    def splits(self) -> Sequence[str]:
        """The splits that have batches."""
        return [split for split, batches in self._batches().items() if batches]

    def describe(self, split: str) -> SplitDescription:
        """The images of a split; the classes of the first ones are counted."""
        batches = self._batches()[require_split(split, self._batches())]
        first = batches[0]
        counts = ClassCounts()
        keys = []
        images = 0
        for number, batch in enumerate(batches):
            images += len(batch["cube"])
            if "mask" not in batch:
                continue
            for at, mask in enumerate(batch["mask"]):
                keys.append((number, at))
                counts.count((number, at), mask.shape, partial(np.asarray, mask))
        wavelengths = None
        centres = self._cube(_image(first, 0)).good_wavelengths
        if centres is not None:
            wavelengths = wavelength_range(centres)
        return SplitDescription(
            "image",
            [str(number) for number in range(images)],
            counts.describe("memory", keys),
            wavelengths,
            "memory",
            "values in memory",
            bands=self._shape(first)[2],
        )

    def count(self, split: str) -> int:
        """The number of batches of a split."""
        batches = self._batches()
        return len(batches[require_split(split, batches)])

    @property
    def batch_size(self) -> int:
        """The images of the first batch there is."""
        for batch in chain.from_iterable(self._batches().values()):
            return int(batch["cube"].shape[0])
        return 1

    def items(self, split: str) -> int:
        """The number of images of a split."""
        batches = self._batches()
        return sum(len(batch["cube"]) for batch in batches[require_split(split, batches)])

    def read(self, split: str, numbers: Sequence[int]) -> Batch:
        """A batch of some images of a split, by their numbers within it, as NumPy arrays.

        Raises:
            DataError: They differ in size.
        """
        places = []
        for batch in self._labelled(split):
            places += [(batch, at) for at in range(len(batch["cube"]))]
        return self._joined([places[number] for number in numbers])

    def _joined(self, chosen: Sequence[tuple[Mapping[str, Any], int]]) -> Batch:
        """A batch of some images, each by its batch and its place there."""
        images = [self._read(_image(batch, at)) for batch, at in chosen]
        check_same_size([image["cube"] for image in images], "use batches of one image")
        found = {}
        for name in BY_IMAGE:
            if all(name in image for image in images):
                found[name] = np.stack([np.asarray(image[name]) for image in images])
        first = images[0]
        shared = {name: value for name, value in first.items() if name not in BY_IMAGE}
        return {**shared, **found}

    def _read(self, image: Mapping[str, Any]) -> Mapping[str, Any]:
        """An image, processed where the user states how."""
        if not self._is_processed():
            return image
        cube = self._cube(image)
        warn_once(self, cube)
        return {**image, **read_image(image, cube)}

    def batches(self, split: str) -> Iterator[Batch]:
        """The batches of a split, in their order."""
        is_processed = self._is_processed()
        for batch in self._labelled(split):
            if is_processed:
                yield self._joined([(batch, at) for at in range(len(batch["cube"]))])
            else:
                yield dict(batch)


def _image(batch: Mapping[str, Any], at: int) -> dict[str, Any]:
    """One image of a batch, with what all of its images share."""
    image = dict(batch)
    for name in BY_IMAGE:
        if name in batch:
            image[name] = batch[name][at]
    return image


def _with_mask(batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """A batch with a mask, -1 everywhere where it has none."""
    if "mask" in batch:
        return batch
    size = tuple(batch["cube"].shape[:3])
    return {**batch, "mask": np.full(size, UNLABELLED, np.int32)}
