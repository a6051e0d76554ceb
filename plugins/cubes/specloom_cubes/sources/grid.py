"""Whether cubes share one band grid and one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from specloom import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube

TOLERANCE_NM = 0.5


def check_same_grid(
    cubes: Sequence[Cube], *, same_size: bool, wavelengths: bool = True
) -> NDArray[np.float64] | None:
    """The wavelengths in nm that all cubes share, None where none states any; scales agree too.

    Args:
        cubes: One cube or more, of which only the headers are read.
        same_size: Whether rows and columns must agree as well.
        wavelengths: Whether those in the files count.

    Raises:
        DataError: Two cubes differ; it names both.
    """
    first = cubes[0]
    reference = None
    for cube in cubes:
        _check_bands(first, cube)
        _check_scale(first, cube)
        if same_size and cube.shape[:2] != first.shape[:2]:
            sizes = " and ".join(f"{c.path} is {c.shape[0]} x {c.shape[1]}" for c in (first, cube))
            raise DataError(f"{sizes}: they cannot share a batch", fix="write batch_size: 1")
        if wavelengths and cube.good_wavelengths is not None:
            if reference is None:
                reference = cube
            _check_wavelengths(reference, cube)
    if reference is None:
        return None
    return reference.good_wavelengths


def _check_bands(first: Cube, other: Cube) -> None:
    one = first.good_bands
    two = other.good_bands
    counts = f"{first.path} has {len(one)} bands, {other.path} has {len(two)}"
    fix = "use cubes of one camera, or narrow pattern"
    if len(one) != len(two):
        raise DataError(counts, fix=fix)
    if first.shape[2] == other.shape[2] and (one != two).any():
        at = int(np.flatnonzero(one != two)[0])
        raise DataError(
            f"{counts}, but not the same: band {one[at]} is good in the first, "
            f"{two[at]} in the second",
            fix="mark the same bands bad in both",
        )


def _check_scale(first: Cube, other: Cube) -> None:
    """Accept cubes that state the same scale, or none, unless they are read as stored.

    Raises:
        DataError: They differ.
    """
    if other.reading.scale == "stored":
        return
    names = ("gains", "offsets")
    if all(_is_same(getattr(first, name), getattr(other, name)) for name in names):
        return
    raise DataError(
        f"{_scale_text(first)}, {_scale_text(other)}",
        fix="correct the scale in the files, or write scale: stored to use their numbers as they "
        "are",
    )


def _is_same(one: NDArray[np.float64] | None, two: NDArray[np.float64] | None) -> bool:
    if one is None or two is None:
        return one is two
    return np.allclose(one, two, rtol=1e-6, atol=0)


def _scale_text(cube: Cube) -> str:
    """The scale that a cube states, in words."""
    if not cube.scale_from:
        return f"{cube.path} states no scale"
    texts = []
    if cube.gains is not None:
        texts.append(f"times {_span(cube.gains)}")
    if cube.offsets is not None:
        texts.append(f"plus {_span(cube.offsets)}")
    return f"{cube.path} states the scale {' '.join(texts)}"


def _span(values: NDArray[np.float64]) -> str:
    least = values.min()
    greatest = values.max()
    if least == greatest:
        return f"{least:g}"
    return f"{least:g} to {greatest:g}"


def _check_wavelengths(first: Cube, other: Cube) -> None:
    one = first.good_wavelengths
    two = other.good_wavelengths
    assert one is not None, "only cubes with wavelengths are compared"
    assert two is not None, "only cubes with wavelengths are compared"
    gap = np.abs(one - two)
    if not (gap <= TOLERANCE_NM).all():
        at = int(np.argmax(gap))
        raise DataError(
            f"band {at} is at {one[at]:.2f} nm in {first.path}, at {two[at]:.2f} nm in "
            f"{other.path} (more than {TOLERANCE_NM} nm apart)",
            fix="use cubes of one camera, or resample them to one grid",
        )
