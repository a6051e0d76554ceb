"""How far a cube is from what a pipeline was fitted on: the numbers, and the one rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom.torch import one_thread
from specloom_statistics.domain.reference import (
    LEAST_BANDS,
    DomainReference,
    Floats,
    Nearest,
    Spectra,
    is_constant,
    share_at_top,
    split,
)
from specloom_statistics.domain.stripes import stripe_spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMIT = 1.0
"""A cube is as the fitted ones where neither ``level`` nor ``shape`` is larger than this."""

# Each part of a number is divided by the value up to which cubes of the same camera and kind
# come; docs/domain.md has the table of measurements.
LOG_LEVEL = 0.3
LOG_TILT = 0.5
LOG_STRIPES = 0.12
EXTRA_SHARE = 0.25
DISTANCE = 4.5
BAND_ERROR = 6.0
BIAS = 1.2
SHIFT = 0.5
SPECTRAL_TILT = 0.3

TILT_PARTS = 3
TILT_PIXELS = 20
"""An image is divided into so many parts by rows and by columns, and a part needs so many pixels
whose shape is known from the fit."""

SCORE_TAIL = 0.001
"""The median score of a cube is unusual in the outer shares of this size of the fit's scores."""

FAR = 999.0
"""The number of what cannot be compared at all, such as a cube without a usable pixel."""


@dataclass(frozen=True)
class DomainMeasure:
    """How a cube compares with what a pipeline was fitted on.

    Args:
        level: How much darker or brighter it is, 1 being the limit: a factor of 1.35, for pixels
            of the same spectral shape; also more dark, saturated or unjudged pixels.
        shape: How much its spectra differ, 1 being the limit.
        dead_bands: The bands, counted from 0, that are NaN or have one value in all pixels, and
            did not when the pipeline was fitted.
        saturated: The share of pixels that have the cube's largest value in some band.
        dark: The share of pixels without any signal.
        unjudged: The share of unjudged pixels.
        scores: The share of the fit's scores that are smaller than the cube's median score; None
            where scores are not compared.
        reasons: What is unlike, a clause each; empty where the cube is as those of the fit.
    """

    level: float
    shape: float
    dead_bands: tuple[int, ...] = ()
    saturated: float = 0.0
    dark: float = 0.0
    unjudged: float = 0.0
    scores: float | None = None
    reasons: tuple[str, ...] = ()

    @property
    def is_like(self) -> bool:
        """Whether the cube is like those of the fit."""
        return not self.reasons

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        plain = asdict(self)
        plain["dead_bands"] = list(self.dead_bands)
        plain["reasons"] = list(self.reasons)
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> DomainMeasure:
        """The measure that ``as_json`` returned as plain values."""
        lists = {"dead_bands": tuple(plain["dead_bands"]), "reasons": tuple(plain["reasons"])}
        return cls(**{**plain, **lists})


@dataclass(frozen=True)
class DomainPixels:
    """The pixels of a cube that are compared.

    Args:
        pixels: (N, C); NaN where there is no data.
        rows: The row of each as a share of the image's height, (N,).
        columns: The column of each as a share of the image's width, (N,).
        usable: Which of them may be used, bool (N,).
    """

    pixels: Floats
    rows: Floats
    columns: Floats
    usable: NDArray[np.bool_]


def measure_domain(
    reference: DomainReference,
    looked: DomainPixels,
    unjudged: float | None = None,
    scores: float | None = None,
) -> DomainMeasure:
    """Compare the pixels of a cube with what a pipeline was fitted on.

    Args:
        reference: What it was fitted on.
        looked: The pixels of the cube.
        unjudged: The share of all unjudged pixels; by default of those looked at.
        scores: The share of the fit's scores that are smaller than the cube's median score.
    """
    # Products of so few pixels take no less time with several threads, which wait by spinning.
    with one_thread():
        return _measured(reference, looked, unjudged, scores)


def _measured(
    reference: DomainReference,
    looked: DomainPixels,
    unjudged: float | None,
    scores: float | None,
) -> DomainMeasure:
    finite = np.isfinite(looked.pixels)
    dead = _dead_bands(reference, looked.pixels[looked.usable], finite[looked.usable])
    judged = looked.usable & finite.all(axis=1)
    if unjudged is None:
        unjudged = 1 - float(np.mean(judged))
    rest = np.delete(finite, dead, axis=1)
    used = looked.usable & rest.all(axis=1)
    pixels = looked.pixels[used]
    parts = _Parts(reference, pixels, looked.rows[used], looked.columns[used], dead)
    level = {**parts.level(), "unjudged": (unjudged - reference.excluded) / EXTRA_SHARE}
    shape = parts.shape()
    if len(dead):
        shape["dead"] = FAR
    found = [*_level_reasons(level, parts, unjudged), *_shape_reasons(shape, parts, dead)]
    if scores is not None:
        found += _score_reasons(scores)
    return DomainMeasure(
        level=round(max(level.values()), 3),
        shape=round(min(max(shape.values()), FAR), 3),
        dead_bands=tuple(int(band) for band in dead),
        saturated=round(parts.saturated, 4),
        dark=round(parts.dark, 4),
        unjudged=round(unjudged, 4),
        scores=scores,
        reasons=tuple(found),
    )


def _dead_bands(
    reference: DomainReference, pixels: Floats, finite: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """The bands that are NaN, or constant, in all pixels of the cube, though not in the fit."""
    if not finite.any():
        return np.empty(0, np.intp)
    has_values = finite.any(axis=0)
    alive = np.flatnonzero(has_values)
    complete = finite[:, alive].all(axis=1)
    dead = set(np.flatnonzero(~has_values).tolist())
    if complete.sum() > 1:
        constant = alive[is_constant(pixels[complete][:, alive])]
        varied = np.flatnonzero(~reference.constant)
        dead.update(np.intersect1d(constant, varied).tolist())
    return np.array(sorted(dead), np.intp)


class _Parts:
    """The parts of which a cube's two numbers are the largest; 1 is the limit of each.

    Args:
        reference: What the pipeline was fitted on.
        pixels: The usable pixels, (n, C).
        rows: As of ``DomainPixels``, (n,).
        columns: As of ``DomainPixels``, (n,).
        dead: The dead bands, which are left out of the pixels' shape.
    """

    def __init__(
        self,
        reference: DomainReference,
        pixels: Floats,
        rows: Floats,
        columns: Floats,
        dead: NDArray[np.intp],
    ) -> None:
        self._reference = reference
        self.saturated = share_at_top(np.delete(pixels, dead, axis=1))
        self._spectra = split(np.nan_to_num(pixels), reference.darkness)
        self.dark = 0.0
        if len(pixels):
            self.dark = float(np.mean(~self._spectra.lit))
        self._rows = rows[self._spectra.lit]
        self._columns = columns[self._spectra.lit]
        self._can_compare = bool(len(self._spectra.level)) and bool(len(reference.spectra.level))
        self.log_level = np.empty(0)
        self._nearest: Nearest | None = None
        if self._can_compare:
            self._nearest = reference.nearest(self._spectra)
            self.log_level = np.log(self._spectra.level / self._nearest.level)

    def level(self) -> dict[str, float]:
        """The parts of ``level``."""
        found = {
            "dark": (self.dark - self._reference.dark) / EXTRA_SHARE,
            "saturated": (self.saturated - self._reference.saturated) / EXTRA_SHARE,
        }
        if self._can_compare:
            found["light"] = abs(self.median_level) / LOG_LEVEL
            found["tilt"] = self._tilt() / LOG_TILT
            if self._reference.bands >= LEAST_BANDS:  # in a picture brightness is the content
                found["stripes"] = self._stripes() / LOG_STRIPES
        elif len(self._reference.spectra.level):
            found["light"] = FAR
        return found

    @property
    def median_level(self) -> float:
        """The median of ln(level / level that is usual for the shape); NaN without pixels."""
        if not len(self.log_level):
            return float("nan")
        return float(np.median(self.log_level))

    def shape(self) -> dict[str, float]:
        """The parts of ``shape``."""
        if self._nearest is None:
            return {"distance": 0.0}
        return _shape_parts(self._reference, self._spectra, self._nearest)

    def _stripes(self) -> float:
        """The larger spread of ln(level) from column to column, and from row to row."""
        spreads = [stripe_spread(self.log_level, where) for where in (self._rows, self._columns)]
        return max(spreads)

    def _tilt(self) -> float:
        """The larger difference of ln(level) between opposite sides of the image."""
        assert self._nearest is not None, "only where pixels can be compared"
        known = self._nearest.distance <= DISTANCE * self._reference.distance
        slopes = [
            _slope(self.log_level[known], where[known]) for where in (self._rows, self._columns)
        ]
        return max(slopes)


def _shape_parts(
    reference: DomainReference, spectra: Spectra, nearest: Nearest
) -> dict[str, float]:
    """How unusual distances, bands, the median difference, the light and the band axis are."""
    difference = spectra.shape - nearest.shape
    bias = float(np.linalg.norm(np.median(difference, axis=0)))
    parts = {
        "distance": float(np.median(nearest.distance)) / reference.distance / DISTANCE,
        "band": float(np.max(reference.band_errors(spectra.shape) / reference.errors)) / BAND_ERROR,
        "bias": bias / reference.distance / BIAS,
    }
    if reference.bands >= LEAST_BANDS:
        parts["tilt"] = abs(reference.tilt(spectra.shape)) / SPECTRAL_TILT
    if reference.bands > 2:
        slope = np.gradient(nearest.shape, axis=1)
        shifts = (difference * slope).sum(1) / np.maximum((slope * slope).sum(1), 1e-30)
        parts["shift"] = abs(float(np.median(shifts))) / SHIFT
    return parts


def _slope(log_level: Floats, where: Floats) -> float:
    """The difference of the last part to the first, where parts rise or fall all the way."""
    number = np.minimum((where * TILT_PARTS).astype(np.intp), TILT_PARTS - 1)
    medians = []
    for part in range(TILT_PARTS):
        levels = log_level[number == part]
        if len(levels) < TILT_PIXELS:
            return 0.0
        medians.append(float(np.median(levels)))
    steps = np.diff(medians)
    if (steps > 0).all() or (steps < 0).all():
        return abs(medians[-1] - medians[0])
    return 0.0


def _level_reasons(level: dict[str, float], parts: _Parts, unjudged: float) -> Iterator[str]:
    """Clauses for the parts of ``level`` above the limit."""
    if level.get("light", 0.0) == FAR:
        if level["dark"] <= LIMIT:
            yield "no pixel can be compared"
    elif level.get("light", 0.0) > LIMIT:
        factor = float(np.exp(parts.median_level))
        direction = "too dark" if factor < 1 else "too bright"
        yield f"{direction}: {factor:.3g} times the level of the fit at the same spectral shape"
    if level["dark"] > LIMIT:
        yield f"too dark: {parts.dark:.0%} of the pixels have no signal"
    if level["saturated"] > LIMIT:
        yield f"saturated: {parts.saturated:.0%} of the pixels have the cube's largest value"
    if level.get("tilt", 0.0) > LIMIT:
        yield "the light rises or falls across the image, unlike that of the fit"
    if level.get("stripes", 0.0) > LIMIT:
        yield "rows or columns have a brightness of their own: stripes"
    if level["unjudged"] > LIMIT:
        yield f"{unjudged:.0%} of the pixels could not be assessed"


def _shape_reasons(shape: dict[str, float], parts: _Parts, dead: NDArray[np.intp]) -> Iterator[str]:
    """Clauses for the parts of ``shape`` above the limit; one for all that mean other spectra."""
    if shape["distance"] == 0 and len(dead) > 5:
        return  # without any signal every band is dead
    if len(dead):
        listed = ", ".join(str(band) for band in dead[:5])
        if len(dead) > 5:
            listed += ", …"
        yield f"dead bands ({len(dead)}): {listed}"
        return
    if shape.get("shift", 0.0) > LIMIT:
        yield "the band axis is shifted against that of the fit"
    if shape.get("tilt", 0.0) > LIMIT:
        yield "the light rises or falls over the bands, unlike that of the fit"
    if shape.get("band", 0.0) > LIMIT:
        yield "bands do not fit their neighbours as in the fit: noise, stripes or a bad band"
    if max(shape["distance"], shape.get("bias", 0.0)) > LIMIT:
        yield "other spectra than those of the fit"


def _score_reasons(scores: float) -> Iterator[str]:
    """A clause where the median score lies in a tail of the fit's scores."""
    if scores < SCORE_TAIL:
        yield "scores far below those of the fit"
    if scores > 1 - SCORE_TAIL:
        yield "scores far above those of the fit"
