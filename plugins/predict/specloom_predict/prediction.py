"""What a pipeline makes of one cube: arrays, files, objects, measures and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError, did_you_mean
from specloom_predict.measures import Measures, measure
from specloom_predict.tiled_run import to_array
from specloom_predict.verdicts import Verdict, give_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from specloom_cubes import Cube
    from specloom_objects import ObjectTable
    from specloom_predict.georeference import Geometry
    from specloom_predict.rules import Rule
    from specloom_statistics import DomainMeasure


@dataclass(frozen=True, repr=False)
class Prediction:
    """What a pipeline makes of one cube; ``found.scores`` is ``found["scores"]``.

    Args:
        arrays: The outputs by name: maps as (H, W) or (H, W, K), others with their batch axis. Of
            an array they are of its kind, and have the axis of the images where it has one.
        files: What was written, by file name.
        geometry: Where the cube lies.
        unjudged: How many pixels are unjudged: no data, not valid, or a score of NaN.
        pixels: How many pixels the cube has.
        domain: How the cube compares with what the pipeline was fitted on; None where nothing can
            be compared.
        notes: What the user should know: outputs that are no maps, geometry that a format lacks.
        cube: The cube.
        decisions_name: The output that holds decisions; empty where none does.
        scores_name: The output that holds scores of pixels; empty where none does.
        rules: The rules that reject a cube.
        seconds: How long the prediction took.
        images: Of an array of several images: the prediction of each.
    """

    arrays: Mapping[str, Any]
    files: Mapping[str, Path]
    geometry: Geometry
    notes: tuple[str, ...] = ()
    unjudged: int = 0
    pixels: int = 0
    domain: DomainMeasure | None = None
    cube: Cube | None = None
    decisions_name: str = ""
    scores_name: str = ""
    rules: Sequence[Rule] = ()
    seconds: float = 0.0
    images: tuple[Prediction, ...] = ()

    def __getitem__(self, name: str) -> Any:
        """An output.

        Raises:
            KeyError: There is none of that name.
        """
        return self.arrays[name]

    def __getattr__(self, name: str) -> Any:
        """An output.

        Raises:
            AttributeError: There is none of that name.
        """
        arrays: Mapping[str, Any] = self.__dict__.get("arrays", {})
        if name.startswith("_") or name not in arrays:
            what = f"there is no output {name!r}"
            raise AttributeError(f"{what}: {did_you_mean(name, arrays, otherwise='none is made')}")
        return arrays[name]

    def __repr__(self) -> str:
        shown = [f"{name} {_described(value)}" for name, value in self.arrays.items()]
        counts = f"{self.unjudged} of {self.pixels} pixels unjudged"
        return f"Prediction({', '.join(shown)}; {counts})"

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.arrays]

    def keys(self) -> list[str]:
        """The names of the outputs."""
        return list(self.arrays)

    @cached_property
    def measures(self) -> Measures:
        """The numbers that verdicts are about.

        Raises:
            DataError: These are the predictions of several images.
        """
        self._require_one("measures")
        decisions = self._map(self.decisions_name)
        return measure(decisions, self.pixels, self.unjudged, self.domain, self.seconds)

    @cached_property
    def verdict(self) -> Verdict:
        """Accept, reject or unjudged, by the rules of the predictor.

        Raises:
            DataError: These are the predictions of several images.
        """
        name = "" if self.cube is None else str(self.cube.path)
        return give_verdict(name, "", self.measures, self.rules)

    @cached_property
    def objects(self) -> ObjectTable:
        """The connected regions of decided pixels, with places, scores and mean spectra.

        Raises:
            DataError: No output is a map of decisions, or there are several images.
        """
        from specloom_predict.writers import objects

        self._require_one("objects")
        decisions = self._map(self.decisions_name)
        if decisions is None or self.cube is None:
            fix = "add 'decisions' to the outputs of the run file"
            raise DataError("there are no objects: no output is a map of decisions", fix=fix)
        return objects.measure(decisions, self._map(self.scores_name), self.cube, self.geometry)

    def scores_map(self) -> NDArray[Any] | None:
        """The scores (H, W) in the memory of this machine; None where no output holds any."""
        return self._map(self.scores_name)

    def decisions_map(self) -> NDArray[Any] | None:
        """The decisions, bool (H, W), in the memory of this machine; None without any."""
        return self._map(self.decisions_name)

    def _map(self, name: str) -> NDArray[Any] | None:
        """A map (H, W), in the memory of this machine; None where there is no such output."""
        if name not in self.arrays:
            return None
        values = to_array(self.arrays[name])
        height, width = values.shape[-2:]
        return np.asarray(values).reshape(height, width)

    def _require_one(self, what: str) -> None:
        """Raise DataError where there are several images."""
        if len(self.images) > 1:
            fix = f"use the one of each image, such as .images[0].{what}"
            raise DataError(f"there are {len(self.images)} images, each with its {what}", fix=fix)


def _described(value: Any) -> str:
    """The shape and the type of an array; of other values the type."""
    if not hasattr(value, "shape"):
        return type(value).__name__
    dtype = str(value.dtype).removeprefix("torch.")
    return f"{tuple(value.shape)} {dtype}"
