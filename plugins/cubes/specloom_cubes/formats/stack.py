"""Band stacks: a cube whose bands are files of one band each, named by a pattern."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from specloom import DataError
from specloom_cubes import formats
from specloom_cubes.cube import AS_STATED, Cube, Reading, Valid, refuse_axes, valid_in_all
from specloom_cubes.paths import RELATIVE, files_of_pattern
from specloom_cubes.rules.scale import Scaling, scaling_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ReadPart: TypeAlias = "Callable[[slice, slice], NDArray[Any]]"
"""Rows and columns to the values (h, w) of a band."""

IN_NAME = re.compile(r"(\d+(?:\.\d+)?)[ _-]?nm(?![a-z])", re.IGNORECASE)
"""A band centre in the name of a file, such as ``scene_450nm.tif``."""

GREY = ("L", "I", "I;16", "I;16B", "I;16L", "F")
"""Pillow's names of pictures of one band."""

PICTURES = (".png", ".bmp")


@dataclass(frozen=True)
class Band:
    """A file of one band.

    Args:
        path: The file.
        size: Rows and columns.
        dtype: The element type.
        read: What reads its values.
        centre: The band centre in nm that the file states, or None.
        gain: Physical values are stored * gain + offset.
        offset: The offset.
        ignore_value: The value that stands for "no data", or None.
        valid: The file's own mask of valid pixels, or None.
        metadata: What else the file says.
    """

    path: Path
    size: tuple[int, int]
    dtype: np.dtype[Any]
    read: ReadPart
    centre: float | None = None
    gain: float = 1.0
    offset: float = 0.0
    ignore_value: float | None = None
    valid: Valid | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def open_cube(path: Path, reading: Reading = AS_STATED) -> Cube:
    """Open the files of a pattern, one for each band, as a cube.

    Band centres are those that all files state, or else those in all names (``450nm``), and then
    their order is that of the bands. Without centres the bands are in the order of the numbers in
    the names.

    Raises:
        DataError: Fewer than two files match, one has several bands, or they differ in size or
            element type.
    """
    refuse_axes(reading, str(path), "the files of a band stack state")
    files = sorted(files_of_pattern(path), key=_by_numbers)
    bands = [_band(file) for file in _without_headers(files)]
    if len(bands) < 2:
        raise DataError(
            f"the pattern {path} matches {len(bands)} files: a band stack has several", fix=RELATIVE
        )
    _check_alike(path, bands)
    centres, source = _centres(bands)
    if centres is not None:
        order = np.argsort(centres, kind="stable")
        bands = [bands[number] for number in order]
        centres = centres[order]
    else:
        source = ""
    first = bands[0]
    scaling = scaling_of(
        [band.gain for band in bands],
        [band.offset for band in bands],
        len(bands),
        "the files of the bands",
        str(path),
    )
    scale = scaling or Scaling(None, None, "")
    valid = _valid_of(bands)
    valid_from = ""
    if valid is not None:
        valid_from = "the masks of the files of the bands"

    def load(rows: slice, cols: slice) -> NDArray[Any]:
        return np.stack([band.read(rows, cols) for band in bands], axis=-1)

    return Cube(
        path,
        (*first.size, len(bands)),
        first.dtype.newbyteorder("="),
        load,
        format=f"stack of {len(bands)} files",
        interleave="bsq",
        wavelengths=centres,
        ignore_value=first.ignore_value,
        metadata=first.metadata,
        wavelengths_from=source,
        assumptions=_assumptions(bands, source),
        gains=scale.gains,
        offsets=scale.offsets,
        scale_from=scale.source,
        valid=valid,
        valid_from=valid_from,
        reading=reading,
    )


def _valid_of(bands: Sequence[Band]) -> Valid | None:
    """Which pixels all files say are valid, or None where none says it."""
    parts = [band.valid for band in bands if band.valid is not None]
    return valid_in_all(parts)


def _by_numbers(path: Path) -> list[tuple[int, int | str]]:
    """The key of the order of names in which ``band_9`` comes before ``band_10``."""
    key: list[tuple[int, int | str]] = []
    for part in re.split(r"(\d+)", path.name.lower()):
        if part.isdigit():
            key.append((0, int(part)))
        else:
            key.append((1, part))
    return key


def _without_headers(files: Sequence[Path]) -> list[Path]:
    """The files less the ENVI headers whose data file is among them."""
    from specloom_cubes.formats import envi

    chosen = []
    for file in files:
        is_header = file.suffix.lower() == ".hdr"
        if not (is_header and envi.data_of(file) in files):
            chosen.append(file)
    return chosen


def _band(path: Path) -> Band:
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        return _band_of_picture(path)
    if suffix == ".npy":
        return _band_of_npy(path)
    cube = formats.open_cube(path)
    if cube.shape[2] != 1:
        raise _several_bands(path, cube.shape[2])
    centre = None
    if cube.wavelengths is not None:
        centre = float(cube.wavelengths[0])
    gain = 1.0
    if cube.gains is not None:
        gain = float(cube.gains[0])
    offset = 0.0
    if cube.offsets is not None:
        offset = float(cube.offsets[0])
    return Band(
        path,
        cube.shape[:2],
        cube.dtype,
        lambda rows, cols: cube.read(rows, cols)[..., 0],
        centre,
        gain,
        offset,
        cube.ignore_value,
        cube.valid,
        cube.metadata,
    )


def _band_of_picture(path: Path) -> Band:
    values = _grey_values(path)

    def read(rows: slice, cols: slice) -> NDArray[Any]:
        return _grey_values(path)[rows, cols]

    height, width = values.shape
    return Band(path, (height, width), values.dtype, read)


def _grey_values(path: Path) -> NDArray[Any]:
    """The values of a picture of one band, (H, W)."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.mode not in GREY:
                raise _several_bands(path, len(picture.getbands()))
            return np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read: {error}", fix="save the picture again") from error


def _band_of_npy(path: Path) -> Band:
    from specloom_cubes.formats import npy

    array = npy.opened(path)
    if len(array.shape) != 2 or array.stored.dtype.kind not in "iuf":
        raise DataError(
            f"{path} holds {array.stored.dtype} of shape {array.shape}, not one band",
            fix="save one real numeric array of shape (rows, columns) for each band",
        )
    height, width = array.shape
    dtype = array.stored.dtype
    return Band(path, (height, width), dtype, lambda *parts: array.read(parts))


def _several_bands(path: Path, count: int) -> DataError:
    return DataError(
        f"{path} has {count} bands: in a band stack each file has one",
        fix="give the file alone as the cube, or save one band a file",
    )


def _check_alike(path: Path, bands: Sequence[Band]) -> None:
    first = bands[0]
    for band in bands[1:]:
        if (band.size, band.dtype, band.ignore_value) != (
            first.size,
            first.dtype,
            first.ignore_value,
        ):
            raise DataError(
                f"the files of {path} differ: {_text(first)}, {_text(band)}",
                fix="narrow the pattern to the bands of one cube, or resample them to one grid",
            )


def _text(band: Band) -> str:
    height, width = band.size
    text = f"{band.path.name} is {height} x {width} {band.dtype.name}"
    if band.ignore_value is not None:
        text = f"{text} with no data {band.ignore_value:g}"
    return text


def _centres(bands: Sequence[Band]) -> tuple[NDArray[np.float64] | None, str]:
    """The band centres in nm that all files state, or all names; and where they are from."""
    stated = [band.centre for band in bands if band.centre is not None]
    if len(stated) == len(bands):
        return np.array(stated, np.float64), "the files of the bands"
    found = [IN_NAME.findall(band.path.stem) for band in bands]
    if all(len(numbers) == 1 for numbers in found):
        return np.array([float(numbers[0]) for numbers in found]), "the names of the files"
    return None, ""


def _assumptions(bands: Sequence[Band], source: str) -> tuple[str, ...]:
    if source:
        return ()
    return (
        f"the bands are {len(bands)} files in the order of the numbers in their names, from "
        f"{bands[0].path.name} to {bands[-1].path.name}; write the band centre into each name, "
        "such as 450nm",
    )
