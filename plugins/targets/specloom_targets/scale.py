"""Whether targets and a scene have the same unit and scale."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from specloom import DataError

if TYPE_CHECKING:
    from torch import Tensor

WARN_FACTOR = 10.0
REFUSE_FACTOR = 100.0
FIX = "give targets in the unit of the data, or connect the detector to data in theirs"


def check_units(label: str, source: str, stated: str, scene: str) -> None:
    """Refuse targets whose stated unit is another one than that of the scene.

    Args:
        label: The node, for messages.
        source: The file of the targets.
        stated: The unit that it states; empty for none.
        scene: The unit of the scene; empty where it is not known.

    Raises:
        DataError: Both are stated and differ.
    """
    if not stated or not scene:
        return
    if stated.strip().casefold() != scene.strip().casefold():
        raise DataError(
            f"{label}: the spectra of {source} are in {stated!r}, the data in {scene!r}", fix=FIX
        )


def check_scale(label: str, source: str, names: list[str], spectra: Tensor, scene: Tensor) -> None:
    """Compare the magnitude of each target with that of the scene.

    Magnitudes are medians of absolute values over the bands. A factor of 10 warns, one of 100 is
    an error; a scene or a target whose median is 0 is not compared.

    Args:
        label: The node, for messages.
        source: The file of the targets.
        names: The names of the targets.
        spectra: The targets on the bands of the scene, (T, C).
        scene: The root mean square of each band of the scene, (C,).

    Raises:
        DataError: A target is larger or smaller than the scene by 100 or more.
    """
    level = float(scene.median())
    sizes = spectra.abs().median(1).values.tolist()
    factors = [_factor(size, level) for size in sizes]
    factor = max(factors)
    if factor < WARN_FACTOR:
        return
    worst = factors.index(factor)
    word = "smaller"
    if sizes[worst] > level:
        word = "larger"
    what = (
        f"{label}: the spectrum {names[worst]!r} of {source} is {factor:.3g} times {word} than the "
        f"data (medians over the bands: {sizes[worst]:.3g} and {level:.3g})"
    )
    if factor >= REFUSE_FACTOR:
        raise DataError(what, fix=FIX)
    warnings.warn(f"{what}: check that both have the same unit", stacklevel=2)


def _factor(one: float, other: float) -> float:
    """By how much the larger of two sizes exceeds the smaller; 1 where one is 0."""
    if one == 0 or other == 0:
        return 1.0
    return max(one / other, other / one)
