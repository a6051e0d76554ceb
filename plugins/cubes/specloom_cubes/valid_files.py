"""Files that say which pixels of cubes count, found by a pattern with the cube's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from specloom import ConfigError, DataError
from specloom_cubes.cube_files import cube_name, files_of_cube
from specloom_cubes.masks import load_mask, own_mask_name
from specloom_cubes.processing.selecting import bin_valid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube

NAME = "*"
"""What stands for the name of a cube in a pattern."""

ALL_COUNT = "all"
"""What stands for no file of valid pixels, where a pipeline was fitted with such files."""

MOST_LISTED = 3
"""The cubes without a file that an error lists."""


def is_valid_pattern(valid: str) -> bool:
    """Whether the file of valid pixels has each cube's own name, such as ``*_roi.png``."""
    return NAME in valid


def check_pattern(valid: str | None, label: str) -> None:
    """Accept a pattern with the cube's name in it, or None.

    Raises:
        ConfigError: It would be one file for all cubes.
    """
    if valid is not None and not is_valid_pattern(valid):
        what = f"{label}: valid is {valid!r}, one file for all cubes"
        raise ConfigError(what, fix=f"write {NAME} for the name of a cube, as in '*_roi.png'")


def check_valid_of_cubes(valid: str | None, count: int) -> None:
    """Accept a pattern, one file for one cube, ``all``, or None.

    Args:
        valid: The option of a command.
        count: How many cubes there are.

    Raises:
        ConfigError: It is one file for several cubes.
    """
    if valid is None or valid == ALL_COUNT or is_valid_pattern(valid) or count < 2:
        return
    what = f"it is one file, and there are {count} cubes"
    fix = f"write {NAME} for the name of a cube, as in '*_roi.png'"
    raise ConfigError(what, where=f"--valid {valid}", fix=fix)


def read_options(scale: str, valid: str | None, valid_variable: str | None) -> dict[str, str]:
    """How the files of a source are read, as plain values that a pipeline stores."""
    options = {"scale": scale}
    if valid is not None:
        options["valid"] = valid
    if valid_variable is not None:
        options["valid_variable"] = valid_variable
    return options


def valid_file(cube: Path, pattern: str) -> Path:
    """The file of a cube; the pattern begins in the folder of the cube, unless it is absolute.

    >>> valid_file(Path("line/a.hdr"), "*_roi.png").as_posix()
    'line/a_roi.png'
    """
    return cube.parent / pattern.replace(NAME, cube_name(cube))


def check_valid_files(cubes: Iterable[Path], pattern: str) -> None:
    """Accept cubes that all have a file.

    Raises:
        DataError: Some have none.
    """
    without = [cube for cube in cubes if not valid_file(cube, pattern).is_file()]
    if not without:
        return
    listed = ", ".join(cube_name(cube) for cube in without[:MOST_LISTED])
    if len(without) > MOST_LISTED:
        listed = f"{listed}, and {len(without) - MOST_LISTED} more"
    raise DataError(
        f"no file {pattern} says which pixels count of: {listed}",
        fix=f"add {valid_file(without[0], pattern).name}, or change valid (on the command line "
        "--valid)",
    )


def stated_valid(
    cube: Cube, file: str | Path | None, variable: str | None
) -> NDArray[np.bool_] | None:
    """Which pixels (H, W) of a cube count by a file or an array: those in which it is not 0.

    Args:
        cube: The cube.
        file: The file; None where the cube's own file has the array.
        variable: The array, where the file has several.

    Returns:
        None where neither a file nor an array is named.

    Raises:
        DataError: There is no such file or array, or it is no mask of the cube's size.
    """
    full = cube.with_masks
    if file is not None:
        valid = load_mask(file, full.shape, variable).numbers > 0
    elif variable is not None:
        name = own_mask_name(full, variable, parameter="valid_variable")
        valid = load_mask(cube.path, full.shape, name).numbers > 0
    else:
        return None
    if cube.unbinned is None or cube.reading.binning is None:
        return valid
    return bin_valid(valid, *cube.reading.binning)


def without_valid_files(cubes: Mapping[str, Path], pattern: str) -> dict[str, Path]:
    """Cubes by name, but for those that are the file of another one."""
    files = {valid_file(cube, pattern).absolute() for cube in cubes.values()}
    return {name: cube for name, cube in cubes.items() if not _is_among(cube, files)}


def _is_among(cube: Path, files: set[Path]) -> bool:
    own: Sequence[Path] = files_of_cube(cube)
    return any(file.absolute() in files for file in own)
