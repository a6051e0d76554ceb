"""What ``specloom detect`` says of its results: the objects, the strongest, and false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CubeResult:
    """What was found in one cube.

    Args:
        name: The name of the cube.
        objects: The number of objects.
        decided: The number of decided pixels.
        assessed: The number of pixels that could be assessed.
        score: The highest score, of a decided pixel where there is one.
        row: Where it is.
        column: Where it is.
        pixels: The number of all pixels.
    """

    name: str
    objects: int
    decided: int
    assessed: int
    score: float
    row: int
    column: int
    pixels: int = 0


def result_of(
    name: str, objects: int, scores: NDArray[Any], decisions: NDArray[np.bool_]
) -> CubeResult:
    """What was found in one cube.

    Args:
        name: The name of the cube.
        objects: The number of objects.
        scores: (H, W), NaN where nothing is assessed.
        decisions: bool (H, W).
    """
    finite = np.isfinite(scores)
    assessed = int(finite.sum())
    decided = int(decisions.sum())
    candidates = finite
    if decided:
        candidates = finite & decisions
    if not candidates.any():
        return CubeResult(name, objects, decided, assessed, -np.inf, 0, 0, scores.size)
    place = int(np.where(candidates, scores, -np.inf).argmax())
    row, column = divmod(place, scores.shape[1])
    score = float(scores[row, column])
    return CubeResult(name, objects, decided, assessed, score, row, column, scores.size)


def read_result(name: str, objects: int, folder: Path) -> CubeResult:
    """What was found in one cube, from the maps in its folder."""
    scores = np.load(folder / "scores.npy", mmap_mode="r")
    decisions = np.load(folder / "decisions.npy", mmap_mode="r")
    return result_of(name, objects, scores, decisions)


def answer(results: Sequence[CubeResult]) -> str:
    """The objects, their share of the pixels, and where the strongest is, in one line.

    >>> answer([CubeResult("a", 34, 40, 10_000, 9.5, 22, 71)])
    '34 objects, 0.4 % of 10,000 pixels; strongest at row 22, column 71'
    >>> answer([CubeResult("a", 0, 0, 100, 9.5, 2, 7), CubeResult("b", 1, 1, 100, 3.0, 1, 2)])
    '1 object in 1 of 2 cubes, 0.5 % of 200 pixels; strongest in b at row 1, column 2'
    """
    objects = sum(one.objects for one in results)
    decided = sum(one.decided for one in results)
    assessed = sum(one.assessed for one in results)
    if not assessed:
        return "no pixel could be assessed"
    among = [one for one in results if one.decided]
    if not among:
        among = list(results)
    strongest = max(among, key=lambda one: one.score)
    place = f"at row {strongest.row}, column {strongest.column}"
    where = ""
    if len(results) > 1:
        found_in = sum(1 for one in results if one.objects)
        where = f" in {found_in} of {len(results)} cubes"
        place = f"in {strongest.name} {place}"
    if not objects:
        cubes = f" of {len(results)} cubes" if len(results) > 1 else ""
        return f"no object among {assessed:,} pixels{cubes}; highest score {place}"
    noun = "object" if objects == 1 else "objects"
    share = f"{100 * decided / assessed:.2g} %"
    return f"{objects:,} {noun}{where}, {share} of {assessed:,} pixels; strongest {place}"


def unassessed_lines(results: Sequence[CubeResult]) -> list[str]:
    """How many pixels could not be assessed, in one line; none where all could.

    >>> unassessed_lines([CubeResult("a", 0, 0, 90, 9.5, 2, 7, pixels=100)])
    ['10 of 100 pixels could not be assessed: no data, not finite, or not valid']
    """
    assessed = sum(one.assessed for one in results)
    pixels = sum(one.pixels for one in results)
    if assessed >= pixels:
        return []
    count = f"{pixels - assessed:,} of {pixels:,} pixels"
    return [f"{count} could not be assessed: no data, not finite, or not valid"]


def threshold_lines(calibration: dict[str, Any], results: Sequence[CubeResult]) -> list[str]:
    """The threshold with the false alarms to expect, and the one of chi-square, a line each."""
    assessed = sum(one.assessed for one in results)
    decided = sum(one.decided for one in results)
    rate = calibration["false_alarm_rate"]
    expected = f"about {rate * assessed:,.0f} false alarms are"
    if rate * assessed < 1:
        expected = "less than one false alarm is"
    lines = [
        f"threshold {calibration['threshold']:.4g}: {decided:,} pixels decided, {expected} "
        f"expected ({rate:g} of all pixels)"
    ]
    chi_square = calibration["chi_square"]
    if chi_square is not None:
        pixels = calibration["chi_square_decided"]
        lines.append(
            f"for comparison, chi-square: threshold {chi_square:.4g}, {pixels:,} pixels decided"
        )
    return lines
