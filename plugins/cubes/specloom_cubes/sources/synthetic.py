"""Synthetic scenes as a source."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from specloom import (
    Batch,
    ConfigError,
    DataError,
    Port,
    Ticket,
    UnavailableError,
    did_you_mean,
    write_file,
)
from specloom_cubes.sources.base import TicketedSource
from specloom_cubes.sources.common import PORTS
from specloom_cubes.sources.description import ClassCounts, SplitDescription
from specloom_cubes.splits import items_of, split_ranges
from specloom_cubes.synthetic import belt, spectra

LabelledScene: TypeAlias = tuple[NDArray[np.float32], NDArray[np.int32]]

CACHE_BYTES = 512 * 2**20
"""How much of the scenes stays in memory; the rest is made again on each pass."""

VERSION = 1
"""Raised when the same parameters give other scenes."""

CLASS_NAMES = {0: "belt", 1: "lentil", 2: "foreign body", 3: "stone"}
"""What the classes in the masks are."""


class Synthetic(TicketedSource):
    """SYNTHETIC scenes: lentils of several varieties on a belt, with stones and foreign bodies.

    Made from formulas, not measured: smooth endmember spectra mixed linearly, ellipses with
    shading, uneven light, blur, and noise that grows with the signal. Good for demos and tests;
    figures on it say nothing about real data. Masks hold 0 belt, 1 lentil, 2 foreign body and 3
    stone. A scene follows from ``seed`` and its number alone, so that no order or batch changes it.
    Scenes are made when first read. Where a split is small, no scene of it may hold an anomaly:
    ``specloom check`` then says so; 12 scenes are enough with the defaults.

    Args:
        scenes: How many.
        height: Rows.
        width: Columns.
        bands: Bands.
        wavelength_range: First and last band centre in nm; the others lie evenly between.
        varieties: Lentils: of ``brown``, ``green``, ``red``, ``black``.
        anomalies: Foreign materials: of ``stone``, ``plastic``, ``wood`` and ``lacquer``, which is
            a brown lentil but for two narrow lines, at 550 and 782 nm.
        anomaly_fraction: Expected share of anomalous pixels over all scenes.
        clean_scenes: Share of scenes without any anomaly.
        noise: Standard deviation of the sensor noise at reflectance 0.3.
        lentil_diameter: In pixels.
        batch_size: Scenes in a batch.
        seed: Other seeds give other scenes.
        split: Shares of the scenes for train, val and test; predict is test.
        cache: A folder that keeps the scenes for the next run.
    """

    outputs: ClassVar[Mapping[str, Port]] = PORTS
    addresses = ()

    def __init__(
        self,
        scenes: int = 32,
        height: int = 64,
        width: int = 64,
        bands: int = 61,
        wavelength_range: tuple[float, float] = (430.0, 910.0),
        varieties: tuple[str, ...] = ("brown", "green", "red"),
        anomalies: tuple[str, ...] = ("stone", "plastic", "wood"),
        anomaly_fraction: float = 0.015,
        clean_scenes: float = 0.25,
        noise: float = 0.003,
        lentil_diameter: float = 9.0,
        batch_size: int = 4,
        seed: int = 7,
        split: tuple[float, float, float] = (0.5, 0.25, 0.25),
        cache: str | None = None,
    ) -> None:
        self.scenes = scenes
        self.height = height
        self.width = width
        self.bands = bands
        self.wavelength_range = wavelength_range
        self.varieties = varieties
        self.anomalies = anomalies
        self.anomaly_fraction = anomaly_fraction
        self.clean_scenes = clean_scenes
        self.noise = noise
        self.lentil_diameter = lentil_diameter
        self.batch_size = batch_size
        self.seed = seed
        self.split = split
        self.cache = cache
        self._cached: dict[int, LabelledScene] = {}
        self._cached_bytes = 0
        self._class_counts = ClassCounts()

    @property
    def wavelengths(self) -> NDArray[np.float64]:
        """Band centres in nm."""
        return np.linspace(*self.wavelength_range, self.bands)

    def sizes(self) -> Mapping[str, int]:
        """Rows, columns and bands."""
        self._check()
        return {"H": self.height, "W": self.width, "C": self.bands}

    def splits(self) -> Sequence[str]:
        """The splits that have scenes."""
        return [split for split, numbers in self._ranges().items() if numbers]

    def notes(self) -> list[str]:
        """Which splits hold no anomaly, so that nothing can be chosen or measured on them."""
        self._check()
        if not self.anomalies:
            return []
        recipe = self._recipe()
        found = []
        for split, scenes in self._ranges().items():
            if split == "predict" or not scenes:
                continue
            if not any(belt.dirty(recipe, self.seed, number) for number in scenes):
                what = f"no scene of the split {split!r} holds an anomaly ({len(scenes)} in all)"
                found.append(str(DataError(what, fix="raise scenes, or change the seed")))
        return found

    def describe(self, split: str) -> SplitDescription:
        """The scenes of a split; classes are counted in those that were made."""
        self._check()
        numbers = items_of(split, self._ranges(), "Synthetic")
        least, greatest = self.wavelength_range
        return SplitDescription(
            "scene",
            [str(number) for number in numbers],
            self._class_counts.describe("the recipe", numbers, CLASS_NAMES),
            (float(least), float(greatest)),
            "the recipe",
            "synthetic reflectance",
            bands=self.bands,
        )

    def batches(self, split: str) -> Iterator[Batch]:
        """The scenes of a split, in the order of their numbers."""
        self._check()
        return super().batches(split)

    def items(self, split: str) -> int:
        """The number of scenes of a split."""
        return len(items_of(split, self._ranges(), "Synthetic"))

    def ticket(self, split: str, number: int) -> Ticket:
        """The recipe, the seed and the number of a scene."""
        scenes = items_of(split, self._ranges(), "Synthetic")
        return {
            "scene": scenes[number],
            "seed": self.seed,
            "recipe": self._recipe().to_json(),
            "bytes": self.height * self.width * self.bands * np.dtype(np.float32).itemsize,
        }

    def read_ticket(self, ticket: Ticket) -> Batch:
        """The scene of a ticket, made from its recipe, or taken from memory or the cache."""
        recipe = belt.Recipe.from_json(ticket["recipe"])
        number = ticket["scene"]
        if (recipe, ticket["seed"]) == (self._recipe(), self.seed):
            cube, mask = self.scene(number)
        else:
            cube, mask = belt.scene(recipe, ticket["seed"], number)
        wavelengths = np.array(recipe.wavelengths, np.float32)
        # Stacked, so that no change of a batch changes the scene in memory.
        return {"cube": np.stack([cube]), "mask": np.stack([mask]), "wavelengths": wavelengths}

    def scene(self, number: int) -> LabelledScene:
        """Reflectance (H, W, C) and class numbers (H, W) of one scene."""
        if number in self._cached:
            return self._cached[number]
        made = self._stored(number)
        self._class_counts.add(number, made[1])
        total = self._cached_bytes + sum(array.nbytes for array in made)
        if total <= CACHE_BYTES:
            self._cached[number] = made
            self._cached_bytes = total
        return made

    def _stored(self, number: int) -> LabelledScene:
        recipe = self._recipe()
        if self.cache is None:
            return belt.scene(recipe, self.seed, number)
        name = hashlib.sha256(repr((VERSION, astuple(recipe), self.seed)).encode()).hexdigest()[:16]
        path = Path(self.cache) / name / f"{number:05d}.npz"
        if path.is_file():
            with np.load(path) as file:
                return file["cube"], file["mask"]
        cube, mask = belt.scene(recipe, self.seed, number)
        archive = io.BytesIO()
        np.savez(archive, cube=cube, mask=mask)
        try:
            write_file(path, archive.getvalue())
        except UnavailableError as error:
            fix = "name another folder as cache, or make room on the disk"
            raise UnavailableError(f"the cache cannot be used: {error.what}", fix=fix) from error
        return cube, mask

    def _ranges(self) -> dict[str, range]:
        return split_ranges(self.scenes, self.split, "Synthetic")

    def _recipe(self) -> belt.Recipe:
        return belt.Recipe(
            self.height,
            self.width,
            tuple(self.wavelengths.tolist()),
            tuple(self.varieties),
            tuple(self.anomalies),
            self.anomaly_fraction,
            self.clean_scenes,
            self.noise,
            self.lentil_diameter,
        )

    def _check(self) -> None:
        for name in ("scenes", "height", "width", "bands", "batch_size"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("anomaly_fraction", "clean_scenes"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "0 to below 1")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        _require(self.noise >= 0, "noise", self.noise, "0 or more")
        _require(self.lentil_diameter >= 2, "lentil_diameter", self.lentil_diameter, "2 or more")
        _require(bool(self.varieties), "varieties", self.varieties, "one name or more")
        _check_materials(self.varieties, spectra.LENTILS)
        _check_materials(self.anomalies, spectra.FOREIGN)


def _check_materials(names: Iterable[str], materials: Iterable[str]) -> None:
    for name in names:
        if name not in materials:
            raise ConfigError(
                f"Synthetic: there is no material {name!r}", fix=did_you_mean(name, materials)
            )


def _require(good: bool, name: str, value: Any, want: str) -> None:
    if not good:
        raise ConfigError(f"Synthetic: {name} is {value}", fix=f"write {name}: {want}")
