"""What a user may state of the calibration and the bands of cubes, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, Literal, TypeAlias, get_args

from specloom import ConfigError, did_you_mean

Average: TypeAlias = Literal["mean", "median"]
DarkKind: TypeAlias = Literal["offset", "current"]
CalibrationOptions: TypeAlias = dict[
    Literal[
        "white",
        "dark",
        "white_dark",
        "panel",
        "average",
        "per_column",
        "dark_kind",
        "exposures",
        "least",
        "clip",
        "saturation",
        "dark_frames",
    ],
    str | float | bool | list[float] | dict[str, float] | None,
]
"""The fields of ``Calibration``, as a run file has them."""

BandOptions: TypeAlias = dict[
    Literal["ranges", "exclude", "water_vapour", "binning", "resample", "responses"],
    str | int | bool | list[list[float]] | None,
]
"""The fields of ``BandSelection``, as a run file has them."""

CAPTURE = "capture"
"""The calibration with the references that the layout of the capture's folder names."""

EXPOSURES = ("raw", "white", "dark", "white_dark")


@dataclass(frozen=True)
class Calibration:
    """How raw counts become reflectance.

    reflectance = panel * (raw - d_raw) / (white - d_white) * t_white / t_raw, by column and band,
    where d_raw and d_white are the darks at the exposures t_raw and t_white.

    Args:
        white: The file of the white reference; None for that of the capture's folder.
        dark: The file of the dark reference; None for that of the capture's folder.
        white_dark: Another dark, at the exposure of the white reference.
        panel: The reflectance of the white panel: a number, or a table of one spectrum.
        average: ``mean`` or ``median`` of the lines of a reference.
        per_column: A reference spectrum for each column; False for one of all columns.
        dark_kind: ``offset``: one dark is used as it is for both exposures; ``current``: it is
            proportional to the exposure; None for ``offset``, with a warning where exposures
            differ.
        exposures: Exposure times of ``raw``, ``white``, ``dark`` and ``white_dark``, in one unit,
            used instead of those in the headers.
        least: Differences of white and dark that are not above it make a band of a column NaN.
        clip: Limit the reflectance to [0, clip].
        saturation: The count from which a value is saturated, one for all bands or one for each;
            None for what the header states, or else the largest integer of its type.
        dark_frames: Whether the lines of the dark, calibrated as the cube, are an output of the
            source, ``dark``: their noise is that of the sensor (``pca.MNF``).
    """

    white: str | None = None
    dark: str | None = None
    white_dark: str | None = None
    panel: str | float = 1.0
    average: Average = "mean"
    per_column: bool = True
    dark_kind: DarkKind | None = None
    exposures: Mapping[str, float] = field(default_factory=dict)
    least: float = 0.0
    clip: float | None = None
    saturation: float | Sequence[float] | None = None
    dark_frames: bool = False

    @property
    def files(self) -> dict[str, str]:
        """The files that are named, by option."""
        named = {"white": self.white, "dark": self.dark, "white_dark": self.white_dark}
        if isinstance(self.panel, str):
            named["panel"] = self.panel
        return {name: path for name, path in named.items() if path is not None}


@dataclass(frozen=True)
class BandSelection:
    """Which bands a cube has, and on which grid.

    Bands are selected first, then binned, then resampled.

    Args:
        ranges: Pairs of nm: only bands whose centre is within one of them; empty for all.
        exclude: Pairs of nm: no band whose centre is within one of them.
        water_vapour: Whether bands in the strong absorptions of water vapour are excluded.
        binning: So many neighbouring bands become their mean.
        resample: A table of band centres, and maybe of widths (fwhm), that cubes are resampled to.
        responses: Instead: a table of the response of each band over wavelength.
    """

    ranges: Sequence[tuple[float, float]] = ()
    exclude: Sequence[tuple[float, float]] = ()
    water_vapour: bool = False
    binning: int = 1
    resample: str | None = None
    responses: str | None = None

    @property
    def files(self) -> dict[str, str]:
        """The files that are named, by option."""
        named = {"resample": self.resample, "responses": self.responses}
        return {name: path for name, path in named.items() if path is not None}


def calibration_of(options: Mapping[Any, Any] | str | None) -> Calibration | None:
    """The calibration that the parameter ``calibration`` states, or None.

    Raises:
        ConfigError: A name is unknown, or a value is of another kind.
    """
    if options is None:
        return None
    if isinstance(options, str):
        if options != CAPTURE:
            raise ConfigError(
                f"calibration is {options!r}",
                fix=f"write calibration: {CAPTURE}, or calibration: {{white: FILE, dark: FILE}}",
            )
        return Calibration()
    _check_names("calibration", options, Calibration)
    stated = dict(options)
    for name in ("white", "dark", "white_dark"):
        _check_text("calibration", name, stated.get(name))
    _check_choice("calibration", "average", stated, get_args(Average))
    if stated.get("dark_kind") is not None:
        _check_choice("calibration", "dark_kind", stated, get_args(DarkKind))
    _check_panel(stated)
    _check_exposures(stated)
    _check_numbers(stated)
    return Calibration(**stated)


def selection_of(options: Mapping[Any, Any] | None) -> BandSelection | None:
    """The bands that the parameter ``bands`` states, or None.

    Raises:
        ConfigError: A name is unknown, or a value is of another kind.
    """
    if options is None:
        return None
    _check_names("bands", options, BandSelection)
    stated = dict(options)
    for name in ("resample", "responses"):
        _check_text("bands", name, stated.get(name))
    if stated.get("resample") is not None and stated.get("responses") is not None:
        raise ConfigError("bands has resample and responses", fix="write one of them")
    for name in ("ranges", "exclude"):
        stated[name] = _pairs(name, stated.get(name) or ())
    count = stated.get("binning", 1)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError(f"bands has binning {count!r}", fix="write binning: a number of bands")
    return BandSelection(**stated)


def _check_names(parameter: str, options: Any, kind: type) -> None:
    known = [one.name for one in fields(kind)]
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"{parameter} is {options!r}", fix=f"write names with values, such as {known[0]}"
        )
    for name in options:
        if name not in known:
            raise ConfigError(f"{parameter} has no {name!r}", fix=did_you_mean(name, known))


def _check_text(parameter: str, name: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{parameter} has {name} {value!r}", fix=f"write {name}: FILE")


def _check_choice(
    parameter: str, name: str, stated: Mapping[str, Any], known: Sequence[str]
) -> None:
    if name in stated and stated[name] not in known:
        raise ConfigError(
            f"{parameter} has {name} {stated[name]!r}", fix=f"write {name}: {' or '.join(known)}"
        )


def _check_panel(stated: Mapping[str, Any]) -> None:
    panel = stated.get("panel", 1.0)
    if isinstance(panel, str):
        return
    if not _is_number(panel) or not 0 < panel <= 2:
        raise ConfigError(
            f"calibration has panel {panel!r}",
            fix="write its reflectance as a share, such as 0.99, or the table of its spectrum",
        )


def _check_exposures(stated: Mapping[str, Any]) -> None:
    exposures = stated.get("exposures", {})
    if not isinstance(exposures, Mapping):
        raise ConfigError(
            f"calibration has exposures {exposures!r}",
            fix="write exposures: {raw: 5.0, white: 2.0, dark: 5.0}",
        )
    for name, value in exposures.items():
        if name not in EXPOSURES:
            raise ConfigError(f"exposures has no {name!r}", fix=did_you_mean(name, EXPOSURES))
        if not _is_number(value) or not value > 0:
            raise ConfigError(f"exposures has {name} {value!r}", fix="write a time above 0")


def _check_numbers(stated: Mapping[str, Any]) -> None:
    least = stated.get("least", 0.0)
    if not _is_number(least) or least < 0:
        raise ConfigError(f"calibration has least {least!r}", fix="write a count, 0 or more")
    clip = stated.get("clip")
    if clip is not None and (not _is_number(clip) or clip <= 0):
        raise ConfigError(f"calibration has clip {clip!r}", fix="write a number above 0")
    for name in ("per_column", "dark_frames"):
        if not isinstance(stated.get(name, True), bool):
            raise ConfigError(f"calibration has {name} {stated[name]!r}", fix="write true or false")
    levels = stated.get("saturation")
    if levels is None:
        return
    if not isinstance(levels, Sequence):
        levels = [levels]
    if not levels or not all(_is_number(one) for one in levels):
        raise ConfigError(
            f"calibration has saturation {stated['saturation']!r}",
            fix="write the count from which values are saturated, such as 4095",
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _pairs(name: str, pairs: Any) -> tuple[tuple[float, float], ...]:
    found = []
    if not isinstance(pairs, Sequence):
        pairs = [pairs]
    for pair in pairs:
        is_pair = isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2
        if not is_pair or not all(_is_number(one) for one in pair) or pair[0] > pair[1]:
            raise ConfigError(
                f"bands has {name} {pair!r}", fix=f"write {name}: [[450, 900]] in nm, low to high"
            )
        found.append((float(pair[0]), float(pair[1])))
    return tuple(found)
