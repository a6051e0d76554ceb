"""Tables of objects: the connected regions of a map of decisions, and their mean spectra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom_objects import ObjectTable, measure_objects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes import Cube
    from specloom_predict.georeference import Geometry


def measure(
    decisions: NDArray[Any], scores: NDArray[Any] | None, cube: Cube, geometry: Geometry
) -> ObjectTable:
    """The objects of a map of decisions (H, W), read a few rows at a time.

    Pixels that touch at a side or a corner belong together.

    Args:
        decisions: bool (H, W).
        scores: (H, W), or None.
        cube: The cube that the decisions are about, for mean spectra of its good bands.
        geometry: Where it lies.
    """
    return measure_objects(
        decisions,
        scores,
        read_rows=cube.clean,
        wavelengths=cube.good_wavelengths,
        transform=geometry.transform,
        unit=geometry.unit,
    )


def write(folder: Path, name: str, table: ObjectTable) -> tuple[list[str], list[str]]:
    """Write ``<name>_objects.csv`` and ``<name>_spectra.csv``.

    Returns:
        The names of the files, and notes for the user.
    """
    names = [f"{name}_objects.csv", f"{name}_spectra.csv"]
    table.write(folder / names[0])
    table.write_spectra(folder / names[1])
    notes = []
    if len(table.spectra_of) < len(table):
        notes.append(
            f"{names[1]} has the spectra of the {len(table.spectra_of)} largest of "
            f"{len(table)} objects"
        )
    return names, notes
