"""What the sources share: their ports, and how cubes with their labels make a batch."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

from specloom import (
    STAGES,
    ConfigError,
    DataError,
    Port,
    UnavailableError,
    did_you_mean,
)
from specloom_cubes.array_cubes import ARRAY
from specloom_cubes.cube import can_hold
from specloom_cubes.paths import advice, there
from specloom_cubes.rules.axes import assumes_bands_last, may_be_bands_first
from specloom_cubes.rules.units import LEAST_NM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube

_WARNED: WeakSet[object] = WeakSet()

PORTS: Mapping[str, Port] = {
    "cube": Port(
        "B H W C",
        dtype="real",
        doc="Cubes without bad bands; physical values where files state a scale.",
    ),
    "mask": Port("B H W", dtype="integer", optional=True, doc="Class numbers, -1 unlabelled."),
    "wavelengths": Port("C", unit="nm", optional=True, host=True, doc="Band centres."),
}
"""What every source of this plugin gives; ``mask`` and ``wavelengths`` where they are known."""

WITH_VALID: Mapping[str, Port] = {
    **PORTS,
    "valid": Port("B H W", dtype="bool", optional=True, doc="True where the pixel may be used."),
}
"""What sources give that may know which pixels count."""

CALIBRATED: Mapping[str, Port] = {
    **WITH_VALID,
    "dark": Port(
        "B lines columns C",
        optional=True,
        doc="Lines of the dark reference, calibrated as the cube: calibration.dark_frames.",
    ),
}
"""What sources give that calibrate."""


NO_WAVELENGTHS = "give the band centres: wavelengths: bands.csv under the data's config"
"""What to do where a node needs wavelengths and no file states them."""


def batch_of(
    cubes: Sequence[NDArray[Any]],
    masks: Sequence[NDArray[np.int32]] | None,
    valid: Sequence[NDArray[np.bool_]] | None,
    wavelengths: NDArray[np.float64] | None,
    dark: NDArray[Any] | None = None,
) -> dict[str, NDArray[Any]]:
    """One batch of cubes (H, W, C) of one size, without values that are not known."""
    batch: dict[str, NDArray[Any]] = {}
    if len(cubes) == 1:  # it stays where it is: a large scene is then not copied
        batch["cube"] = np.ascontiguousarray(cubes[0])[None]
    else:
        batch["cube"] = np.stack(cubes)
    if masks is not None:
        batch["mask"] = np.stack(masks)
    if valid is not None:
        batch["valid"] = np.stack(valid)
    if wavelengths is not None:
        batch["wavelengths"] = wavelengths.astype(np.float32)
    if dark is not None:
        batch["dark"] = dark[None]
    return batch


def check_same_size(cubes: Sequence[NDArray[Any]], fix: str) -> None:
    """Accept cubes (H, W, C) of one size.

    Raises:
        DataError: They differ.
    """
    sizes = {cube.shape[:2] for cube in cubes}
    if len(sizes) > 1:
        listed = ", ".join(f"{height} x {width}" for height, width in sorted(sizes))
        raise DataError(f"images of {listed} pixels cannot share a batch", fix=fix)
    bands = {cube.shape[2] for cube in cubes}
    if len(bands) > 1:
        listed = ", ".join(str(count) for count in sorted(bands))
        raise DataError(f"images of {listed} bands cannot share a batch", fix=fix)


def notes_on(cube: Cube) -> list[str]:
    """What a user should know of a cube before it is used, from headers and references."""
    bands = cube.shape[2]
    centres = cube.wavelengths
    if centres is not None and centres.max() < LEAST_NM:
        least = centres.min()
        most = centres.max()
        what = f"{cube.path} states wavelengths of {least:g} to {most:g} nm: these are micrometres"
        return [str(DataError(what, fix="correct their unit in the file, or multiply by 1000"))]
    notes = [*_notes_on_axes(cube), *_notes_on_no_data(cube)]
    if cube.check is not None:
        return [*notes, *cube.check()]
    if bands > 4 or centres is not None or (bands > 1 and cube.dtype != np.uint8):
        return notes
    kind = "a grey picture or a mask" if bands < 3 else "a picture in colour"
    each = "1 band" if bands == 1 else f"{bands} bands of 8 bits"
    what = f"{cube.path} has {each} and no wavelengths: it looks like {kind}, not a cube"
    return [*notes, str(DataError(what, fix="give the cube's own file, with all of its bands"))]


def _notes_on_axes(cube: Cube) -> Iterator[str]:
    """That the bands may lie along the first axis, where nothing says which it is."""
    is_array = cube.format == ARRAY
    if not is_array and not assumes_bands_last(cube.assumptions):
        return
    if not may_be_bands_first(cube.shape):
        return
    height, width, bands = cube.shape
    what = (
        f"{cube.path} is {height} x {width} x {bands}: {bands} bands are assumed along its "
        f"last axis, and may be {height} along its first"
    )
    fix = "if so, write axes: CHW in a run file, or save it as rows x columns x bands"
    if is_array:
        fix = "if so, pass it as rows x columns x bands: numpy.moveaxis(cube, 0, -1)"
    yield str(DataError(what, fix=fix))


def _notes_on_no_data(cube: Cube) -> Iterator[str]:
    """That no pixel can hold the value that stands for no data."""
    if cube.ignore_value is None or can_hold(cube.dtype, cube.ignore_value):
        return
    value = f"{cube.ignore_value:.10g}"
    what = f'{cube.path} states {value} as "no data", which {cube.dtype.name} cannot hold'
    fix = "correct it in the file; until then such pixels count, with whatever value they have"
    yield str(DataError(what, fix=fix))


def warn_once(source: object, cube: Cube) -> None:
    """Warn once, when a source is first read, of what a user should know of its cubes."""
    if source not in _WARNED:
        _WARNED.add(source)
        for message in notes_on(cube):
            warnings.warn(message, stacklevel=3)


def absent(**paths: str | None) -> list[str]:
    """An error text for each file or folder that is not there, by what it is for."""
    return [str(error) for error in absent_errors(**paths)]


def absent_errors(**paths: str | None) -> list[DataError]:
    """An error for each file or folder that is not there, by what it is for."""
    errors = []
    for what, path in paths.items():
        if path is not None and not there(path):
            what_is_wrong = f"there is no {path}, the {what} of the data"
            errors.append(DataError(what_is_wrong, fix=advice(path)))
    return errors


def check_fits(cube: Cube) -> None:
    """Accept a cube that this machine's memory can hold as a whole, as float32.

    Raises:
        UnavailableError: It cannot.
    """
    height, width, _ = cube.shape
    bands = len(cube.good_bands)
    needed = 4 * height * width * bands
    available = physical_bytes()
    if needed > available:
        raise UnavailableError(
            f"{cube.path} has {height} x {width} x {bands} values: as a whole they take "
            f"{needed / 1e9:.1f} GB of memory, this machine has {available / 1e9:.1f} GB",
            fix="fit on cubes.Blocks of it, then apply the run with specloom predict, in tiles",
        )


def physical_bytes() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_batch_size(batch_size: int, label: str) -> None:
    """Accept 1 or more.

    Raises:
        ConfigError: It is less.
    """
    if batch_size < 1:
        raise ConfigError(f"{label}: batch_size is {batch_size}", fix="write batch_size: 1 or more")


def require_split(split: str, splits: Mapping[str, Any] | Sequence[str] = STAGES) -> str:
    """``split`` itself.

    Raises:
        ConfigError: There is no such split.
    """
    if split not in splits:
        raise ConfigError(f"there is no split {split!r}", fix=did_you_mean(split, splits))
    return split
