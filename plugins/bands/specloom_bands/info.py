"""The record of the bands that a selector chose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specloom import Port

#: What flows from a selector's output ``band_info``: one record, or a list with one per image.
BAND_INFO = Port(
    None,
    "record",
    kind="bands.band_info",
    doc="The bands chosen: one record, or one for each image where the choice is per image.",
    fields=(
        "strategy",
        "band_indices",
        "band_wavelengths_nm",
        "target_wavelengths_nm",
        "distance_nm",
    ),
)


def band_record(
    strategy: str, indices: Sequence[int], wavelengths: Sequence[float], targets: Sequence[float]
) -> dict[str, Any]:
    """The record of one choice, in plain numbers.

    Args:
        strategy: The name of how the selector chooses.
        indices: The bands, in the order of the picture's channels.
        wavelengths: All band centres in nm, as ``band_centres`` gives them.
        targets: What was looked for in nm, as many as ``indices``.

    >>> band_record("nearest", [1], [400, 500], [480])["distance_nm"]
    [20.0]
    """
    centres = [float(wavelengths[index]) for index in indices]
    wanted = [float(target) for target in targets]
    return {
        "strategy": strategy,
        "band_indices": [int(index) for index in indices],
        "band_wavelengths_nm": centres,
        "target_wavelengths_nm": wanted,
        "distance_nm": [
            round(abs(band - target), 3) for band, target in zip(centres, wanted, strict=True)
        ],
    }
