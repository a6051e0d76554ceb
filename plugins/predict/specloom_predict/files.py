"""The files of one prediction, each output in each format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import ConfigError, did_you_mean
from specloom_predict.scratch import write_errors

if TYPE_CHECKING:
    from specloom_cubes import Cube
    from specloom_predict.georeference import Geometry
    from specloom_predict.writers.layout import Map

COLOURS = 3
"""The bands that a picture shows as red, green and blue."""

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

        geotiff.import_rasterio()


def write_files(
    folder: Path,
    maps: Sequence[Map],
    others: Mapping[str, Any],
    cube: Cube,
    geometry: Geometry,
    formats: Sequence[str],
    source: str,
    *,
    draw_scores: bool = True,
) -> tuple[list[str], list[str]]:
    """Write maps and other values in the wanted formats.

    Args:
        folder: Where; ``<name>.npy`` is there already for maps that are mapped from it.
        maps: The maps.
        others: Values that are no maps, for ``npy`` alone.
        cube: The cube, for the picture behind decisions.
        geometry: Where it lies.
        formats: Which of ``FORMATS``.
        source: One line about where the maps come from.
        draw_scores: Whether pictures of scores are drawn; else what they are to show is written,
            for ``score_pictures.draw_pending``.

    Returns:
        The names of the files, and notes for the user.
    """
    files = _Files(folder, geometry, source)
    with write_errors(folder.parent):
        for one in maps:
            files.write_map(one, formats)
        if "npy" in formats:
            files.write_unjudged(maps)
            for name, value in others.items():
                np.save(files.add(f"{name}.npy"), value)
        if "png" in formats:
            files.write_pictures(maps, cube, draw_scores)
        if "csv" in formats:
            files.write_tables(maps, cube)
    return files.names, files.notes


@dataclass
class _Files:
    """The files of one cube.

    Args:
        folder: Where they are.
        geometry: Where the cube lies.
        source: One line about where its maps come from.
        names: The names of the files so far.
        notes: Notes for the user so far.
    """

    folder: Path
    geometry: Geometry
    source: str
    names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str) -> Path:
        """The path of a file of that name, which is one of the files from now on."""
        self.names.append(name)
        return self.folder / name

    def write_map(self, one: Map, formats: Sequence[str]) -> None:
        """Write a map as NPY, ENVI and GeoTIFF, as far as these are wanted."""
        if "npy" in formats:
            path = self.add(f"{one.name}.npy")
            if not path.exists():
                np.save(path, one.values)
        if "envi" in formats:
            from specloom_predict.writers import envi

            path = self.add(f"{one.name}.img")
            self.add(f"{one.name}.hdr")
            self.notes += envi.write(path, one, self.geometry, self.source)
        if "geotiff" in formats:
            from specloom_predict.writers import geotiff

            path = self.add(f"{one.name}.tif")
            self.notes += geotiff.write(path, one, self.geometry, self.source)

    def write_unjudged(self, maps: Sequence[Map]) -> None:
        """Write for each map of decisions which pixels are unjudged, where there are any.

        ``<name>.npy`` has no third value: it is of type bool.
        """
        for one in maps:
            if one.decides and one.unjudged is not None:
                np.save(self.add(f"{one.name}_unjudged.npy"), one.unjudged)

    def write_pictures(self, maps: Sequence[Map], cube: Cube, draw_scores: bool) -> None:
        """Write a picture of each map, decisions over a grey picture of the cube."""
        from specloom_predict.writers import pictures

        grey = None
        for one in maps:
            count = one.bands.shape[2]
            if one.decides:
                grey = pictures.grey_of(cube) if grey is None else grey
                pictures.write_decisions(self.add(f"{one.name}.png"), one, grey)
            elif count == COLOURS:
                pictures.write_colours(self.add(f"{one.name}.png"), one.bands)
            else:
                self._write_scores(one, draw_scores)
            if count == COLOURS and not one.decides:
                self.notes.append(f"{one.name}.png shows its bands as red, green and blue")
            elif count > 1:
                self.notes.append(f"{one.name}.png shows the first of {count} bands")
        side = max(cube.shape[:2])
        if side > pictures.MAX_SIDE:
            self.notes.append(
                f"pictures are smaller than the image, whose longer side has {side} pixels"
            )

    def _write_scores(self, one: Map, drawn: bool) -> None:
        """Write the picture of a map of scores, or what it is to show."""
        from specloom_predict import score_pictures
        from specloom_predict.writers import pictures

        values = pictures.shrink(one.bands[..., 0])
        if drawn:
            score_pictures.draw_scores(self.add(f"{one.name}.png"), values, one.name)
        else:
            pending = self.add(score_pictures.pending_name(one.name))
            np.save(pending, values.astype(one.values.dtype))

    def write_tables(self, maps: Sequence[Map], cube: Cube) -> None:
        """Write a table of the objects of each map of decisions, and one of their spectra."""
        from specloom_predict.writers import objects

        single_band = [one for one in maps if one.values.ndim == 2]
        scores = _scores(single_band)
        decisions = [one for one in single_band if one.decides]
        for one in decisions:
            table = objects.measure(one.values, scores, cube, self.geometry)
            names, notes = objects.write(self.folder, one.name, table)
            self.names += names
            self.notes += notes
        if not decisions:
            self.notes.append("there is no table of objects: no output is a map of decisions")


def _scores(maps: Sequence[Map]) -> Any:
    """The values of the map ``scores``, or of the first map of scores, or None."""
    scoring = [one for one in maps if one.values.dtype.kind == "f"]
    for one in scoring:
        if one.name == "scores":
            return one.values
    return scoring[0].values if scoring else None
