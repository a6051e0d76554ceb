"""The files of one prediction, each output in each format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import ConfigError, did_you_mean
from specloom_predict.mapped import writing

if TYPE_CHECKING:
    from specloom_cubes import Cube
    from specloom_predict.georeference import Geometry
    from specloom_predict.writers.layout import Map

FORMATS = ("npy", "envi", "geotiff", "png", "csv")


def check_formats(formats: Sequence[str]) -> None:
    """Accept formats that are known and can be written here.

    Raises:
        ConfigError: One is unknown, or there is none.
        UnavailableError: GeoTIFF is wanted without rasterio.
    """
    if not formats:
        raise ConfigError("no format is named", fix=f"use some of: {', '.join(FORMATS)}")
    for one in formats:
        if one not in FORMATS:
            raise ConfigError(f"there is no format {one!r}", fix=did_you_mean(one, FORMATS))
    if "geotiff" in formats:
        from specloom_predict.writers import geotiff

        geotiff.needed()


def write_files(
    folder: Path,
    maps: Sequence[Map],
    others: Mapping[str, Any],
    cube: Cube,
    geometry: Geometry,
    formats: Sequence[str],
    about: str,
) -> tuple[list[str], list[str]]:
    """Write maps and other values in the wanted formats.

    Args:
        folder: Where; ``<name>.npy`` is there already for maps that are mapped from it.
        maps: The maps.
        others: Values that are no maps, for ``npy`` alone.
        cube: The cube, for the picture behind decisions.
        geometry: Where it lies.
        formats: Which of ``FORMATS``.
        about: One line about where the maps come from.

    Returns:
        The names of the files, and notes for the user.
    """
    written, notes = list[str](), list[str]()
    with writing(folder.parent):
        for one in maps:
            if "npy" in formats:
                if not (folder / f"{one.name}.npy").exists():
                    np.save(folder / f"{one.name}.npy", one.values)
                written.append(f"{one.name}.npy")
            if "envi" in formats:
                from specloom_predict.writers import envi

                notes += envi.write(folder / f"{one.name}.img", one, geometry, about)
                written += [f"{one.name}.img", f"{one.name}.hdr"]
            if "geotiff" in formats:
                from specloom_predict.writers import geotiff

                notes += geotiff.write(folder / f"{one.name}.tif", one, geometry, about)
                written.append(f"{one.name}.tif")
        if "npy" in formats:
            for name, value in others.items():
                np.save(folder / f"{name}.npy", value)
                written.append(f"{name}.npy")
        if "png" in formats:
            made, told = _pictures(folder, maps, cube)
            written, notes = written + made, notes + told
        if "csv" in formats:
            made, told = _tables(folder, maps, geometry)
            written, notes = written + made, notes + told
    return written, notes


def _pictures(folder: Path, maps: Sequence[Map], cube: Cube) -> tuple[list[str], list[str]]:
    from specloom_predict.writers import pictures

    written, notes, grey = list[str](), list[str](), None
    for one in maps:
        path = folder / f"{one.name}.png"
        if one.decides:
            grey = pictures.grey_of(cube) if grey is None else grey
            pictures.write_decisions(path, one, grey)
        else:
            pictures.write_scores(path, one)
        if (count := one.bands.shape[2]) > 1:
            notes.append(f"{path.name} shows the first of {count} bands")
        written.append(path.name)
    if (side := max(cube.shape[:2])) > pictures.MOST:
        notes.append(f"pictures are smaller than the image, whose longer side has {side} pixels")
    return written, notes


def _tables(folder: Path, maps: Sequence[Map], geometry: Geometry) -> tuple[list[str], list[str]]:
    from specloom_predict.writers import objects

    plain = [one for one in maps if one.values.ndim == 2]
    deciding = [one for one in plain if one.decides]
    scoring = [one for one in plain if one.values.dtype.kind == "f"]
    scoring.sort(key=lambda one: one.name != "scores")
    scores = scoring[0].values if scoring else None
    for one in deciding:
        rows = objects.objects(one.values, scores, geometry)
        objects.write(folder / f"{one.name}_objects.csv", rows)
    notes = (
        [] if deciding else ["no output decides pixel by pixel, so there is no table of objects"]
    )
    return [f"{one.name}_objects.csv" for one in deciding], notes
