"""``specloom spectra``: spectra of a cube's pixels, classes or objects in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from specloom import ConfigError, threads_option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from specloom_cubes import Cube, Spectra

PIXEL = "ROW,COLUMN"
CLASS = "NUMBER[=NAME]"


@click.command()
@click.argument("cube")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The file: .csv, or .sli for an ENVI spectral library.",
)
@click.option("--variable", metavar="NAME", help="The array of the cube in a file with several.")
@click.option("--mask", help="A file of class numbers; the mean of each class above 0 is taken.")
@click.option("--mask-variable", metavar="NAME", help="The array of the mask.")
@click.option(
    "--class", "classes", multiple=True, metavar=CLASS, help="A class to take, and its name."
)
@click.option("--objects", is_flag=True, help="Take each connected region of the mask by itself.")
@click.option("--pixel", "pixels", multiple=True, metavar=PIXEL, help="A pixel to take, from 0.")
@threads_option
def spectra(
    cube: str,
    out: Path,
    variable: str | None,
    mask: str | None,
    mask_variable: str | None,
    classes: tuple[str, ...],
    objects: bool,
    pixels: tuple[str, ...],
) -> None:
    """Extract spectra of CUBE: of pixels, or of the classes or objects of a mask.

    The mask is a file, or with --mask-variable an array in the file of the cube. Detectors of
    known targets read what is written.
    """
    from specloom_cubes import open_cube, read_mask
    from specloom_targets.extract import pixel_spectra
    from specloom_targets.writing import write_spectra

    has_mask = mask is not None or mask_variable is not None
    if has_mask == bool(pixels):
        raise click.UsageError("Give --pixel, or --mask or --mask-variable.")
    if pixels and (classes or objects):
        raise click.UsageError("--class and --objects go with a mask.")
    if classes and objects:
        raise click.UsageError("Give --class or --objects, not both.")
    opened = open_cube(cube, variable)
    if pixels:
        found = pixel_spectra(opened, [_pixel(text) for text in pixels])
    else:
        file = opened.path if mask is None else mask
        numbers = read_mask(file, opened.shape[:2], mask_variable)
        found = _of_mask(opened, numbers, classes, objects=objects)
    for path in write_spectra(found, out):
        click.echo(path)
    click.echo(f"{len(found.names)} spectra of {found.values.shape[1]} bands: {_listed(found)}")


def _of_mask(
    cube: Cube, numbers: NDArray[np.int32], classes: tuple[str, ...], *, objects: bool
) -> Spectra:
    from specloom_targets.extract import class_spectra, object_spectra

    if objects:
        return object_spectra(cube, numbers)
    names = {}
    for text in classes:
        number, name = _class(text)
        names[number] = name
    return class_spectra(cube, numbers, names or None)


def _pixel(text: str) -> tuple[int, int]:
    """Row and column of ``ROW,COLUMN``.

    Raises:
        ConfigError: The text is something else.
    """
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise ConfigError(f"--pixel is {text!r}", fix="write --pixel ROW,COLUMN, both from 0")
    return int(parts[0]), int(parts[1])


def _class(text: str) -> tuple[int, str]:
    """Number and name of ``NUMBER`` or ``NUMBER=NAME``.

    Raises:
        ConfigError: The text is something else.
    """
    number, _, name = text.partition("=")
    if not number.strip().isdigit():
        raise ConfigError(f"--class is {text!r}", fix="write --class NUMBER or --class NUMBER=NAME")
    return int(number), name.strip() or f"class {int(number)}"


def _listed(found: Spectra) -> str:
    shown = ", ".join(found.names[:10])
    if len(found.names) > 10:
        shown = f"{shown}, ..."
    return shown
