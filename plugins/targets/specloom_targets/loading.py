"""Spectra of targets from the parameters of a node: a file of spectra, or pixels of a cube."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from specloom import ConfigError, DataError, did_you_mean
from specloom_cubes import Spectra, expand, open_cube, read_spectra
from specloom_targets.extract import pixel_spectra


def load_spectra(
    label: str,
    path: str | Path,
    names: Sequence[str] | None = None,
    pixels: Sequence[tuple[int, int]] | None = None,
) -> Spectra:
    """The spectra that the parameters of a node state.

    Args:
        label: The node, for messages.
        path: A file of spectra, or a cube where ``pixels`` are stated.
        names: Which spectra of the file, in this order; with ``pixels`` what these are called.
            None for all.
        pixels: Rows and columns of the cube, counted from 0.

    Raises:
        ConfigError: A name is not in the file, or there is not one for each pixel.
        DataError: The file cannot be used, or a spectrum has values that are not finite.
    """
    if pixels is None:
        found = _chosen(label, read_spectra(path), names)
    else:
        found = _of_pixels(label, path, names, pixels)
    for name, values in zip(found.names, found.values, strict=True):
        if not np.isfinite(values).all():
            raise DataError(
                f"{label}: the spectrum {name!r} of {path} has values that are not finite",
                fix="choose another spectrum, or correct it",
            )
    return found


def _of_pixels(
    label: str,
    path: str | Path,
    names: Sequence[str] | None,
    pixels: Sequence[tuple[int, int]],
) -> Spectra:
    found = pixel_spectra(open_cube(path), pixels)
    if names is None:
        return found
    if len(names) != len(pixels):
        raise ConfigError(
            f"{label}: {len(names)} names for {len(pixels)} pixels",
            fix="write one name for each pixel, or remove names",
        )
    return Spectra(
        tuple(names), found.values, found.wavelengths, found.fwhm, found.unit, found.source
    )


def _chosen(label: str, spectra: Spectra, names: Sequence[str] | None) -> Spectra:
    if names is None:
        return spectra
    rows = []
    for name in names:
        if name not in spectra.names:
            raise ConfigError(
                f"{label}: {spectra.source} has no spectrum {name!r}",
                fix=did_you_mean(name, spectra.names),
            )
        if spectra.names.count(name) > 1:
            raise ConfigError(
                f"{label}: {spectra.source} has {spectra.names.count(name)} spectra {name!r}",
                fix="rename them in the file",
            )
        rows.append(spectra.names.index(name))
    return Spectra(
        tuple(names),
        spectra.values[rows],
        spectra.wavelengths,
        spectra.fwhm,
        spectra.unit,
        spectra.source,
        spectra.notes,
    )


def file_problem(label: str, name: str, path: str | Path) -> DataError | None:
    """The error that the file of a parameter is not there, or None."""
    if expand(path).is_file():
        return None
    return DataError(f"{label}: there is no file {path}", fix=f"correct {name}")
