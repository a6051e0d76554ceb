"""Several files side by side: one line each, and what differs between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from specloom import DataError, SpecloomError
from specloom_cubes import formats
from specloom_cubes.cube_files import files_of_cube, find_cubes
from specloom_cubes.describe import describe_cube, with_option
from specloom_cubes.paths import expand, is_folder
from specloom_cubes.sources.description import class_counts, scale_of
from specloom_cubes.sources.grid import TOLERANCE_NM
from specloom_cubes.sources.notes import capture_notes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Reading

MOST_NAMES = 3
"""The files that are named where one value is that of several."""

HEADINGS = ("file", "rows x columns", "bands", "stored as", "wavelengths", "scale", "mask")

Values: TypeAlias = dict[str, Any]


@dataclass(frozen=True, eq=False)
class DescribedFile:
    """A file of a table.

    Args:
        path: The file, as the user or the folder has it.
        description: What ``info`` says of it; empty where it cannot be read.
        centres: The band centres of its good bands, float64 (C,), or None.
        scale: What its values are.
        error: Why it cannot be read, or None.
    """

    path: str
    description: Values = field(default_factory=dict)
    centres: NDArray[np.float64] | None = None
    scale: str = ""
    error: SpecloomError | None = None

    @property
    def name(self) -> str:
        """The name of the file without its folder."""
        return Path(self.path).name

    def values(self) -> Values:
        """The description as plain values; of a file that cannot be read, what and fix."""
        if self.error is None:
            return self.description
        return {"file": self.path, "error": self.error.what, "fix": self.error.fix}


def describe_files(
    paths: Iterable[str], variable: str | None, reading: Reading, *, pixels: bool = False
) -> list[DescribedFile]:
    """The description of each file, and of each cube in folders.

    Args:
        paths: Files and folders.
        variable: The array to take where a file holds several.
        reading: How files are read where they can be read in several ways.
        pixels: Whether to read the pixels, for their statistics.

    Raises:
        DataError: A folder holds no cube.
    """
    files: list[str] = []
    for path in paths:
        if is_folder(path):
            files += _cubes_of(expand(path))
        else:
            files.append(path)
    cubes = _without_data_files(files)
    return [_describe(file, variable, reading, pixels=pixels) for file in cubes]


def _without_data_files(files: Sequence[str]) -> list[str]:
    """The files without the data files of ENVI headers that are among them."""
    data_files = set()
    for file in files:
        if file.lower().endswith(".hdr"):
            data_files |= {path.resolve() for path in files_of_cube(Path(file))[1:]}
    return [file for file in files if Path(file).resolve() not in data_files]


def _cubes_of(folder: Path) -> list[str]:
    """The cubes of a folder, in the order of their names."""
    cubes = find_cubes(folder, "*")
    if not cubes:
        fix = "name a folder with cubes, or the files themselves"
        raise DataError(f"{folder} holds no cube", fix=fix)
    return [str(path) for path in cubes.values()]


def _describe(file: str, variable: str | None, reading: Reading, *, pixels: bool) -> DescribedFile:
    try:
        own_variable = variable
        if formats.named_arrays(Path(file)) is None:
            own_variable = None
        cube = formats.open_cube(file, own_variable, reading)
        description = describe_cube(cube, Path(file), pixels=pixels)
    except DataError as error:
        return DescribedFile(file, error=with_option(error))
    except SpecloomError as error:
        return DescribedFile(file, error=error)
    return DescribedFile(file, description, cube.good_wavelengths, scale_of(cube))


def table_lines(files: Sequence[DescribedFile]) -> list[str]:
    """The table, and what differs, is assumed or is wrong, as lines."""
    readable = [one for one in files if one.error is None]
    lines: list[str] = []
    if readable:
        lines += _aligned([HEADINGS, *(_cells(one) for one in readable)])
        lines += [f"differ in {text}" for text in differences(readable)]
        lines += _shared_lines("assumed", readable, "assumptions")
        lines += [_one_line("WARNING", note) for note in _warnings(readable)]
    for one in files:
        if one.error is not None:
            lines.append(_error_line(one.path, one.error))
    return lines


def _error_line(path: str, error: SpecloomError) -> str:
    """An error with its file, which is named once."""
    what = error.what
    if path not in what:
        what = f"{path}: {what}"
    return f"ERROR: {what}; fix: {error.fix}"


def _cells(file: DescribedFile) -> tuple[str, ...]:
    about = file.description
    return (
        file.name,
        _size(file),
        str(about["bands"]),
        about["dtype"],
        _wavelengths(file),
        _scale(file),
        _mask(file),
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows whose cells stand under each other."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def differences(files: Sequence[DescribedFile]) -> list[str]:
    """What is not the same in all files: each aspect with its values and their files."""
    aspects: dict[str, Callable[[DescribedFile], str]] = {
        "size": _size,
        "bands": lambda one: str(one.description["bands"]),
        "bad bands": lambda one: str(len(one.description["bad_bands"])),
        "type": lambda one: str(one.description["dtype"]),
        "scale": _scale,
        "masks": _mask_kind,
    }
    found = []
    for aspect, value in aspects.items():
        groups: dict[str, list[DescribedFile]] = {}
        for one in files:
            groups.setdefault(value(one), []).append(one)
        if len(groups) > 1:
            parts = [f"{text} ({_names(members)})" for text, members in groups.items()]
            found.append(f"{aspect}: {'; '.join(parts)}")
    grids = _grids(files)
    if len(grids) > 1:
        parts = [f"{_wavelengths(members[0])} ({_names(members)})" for members in grids]
        found.append(f"wavelengths: {'; '.join(parts)}")
    return found


def _grids(files: Sequence[DescribedFile]) -> list[list[DescribedFile]]:
    """The files by band grid, those within the tolerance of sources together."""
    grids: list[list[DescribedFile]] = []
    for one in files:
        same = [members for members in grids if _same_grid(members[0].centres, one.centres)]
        if same:
            same[0].append(one)
        else:
            grids.append([one])
    return grids


def _same_grid(one: NDArray[np.float64] | None, two: NDArray[np.float64] | None) -> bool:
    if one is None or two is None:
        return one is two
    if one.shape != two.shape:
        return False
    return bool((np.abs(one - two) <= TOLERANCE_NM).all())


def _size(file: DescribedFile) -> str:
    return "{rows} x {columns}".format(**file.description)


def _wavelengths(file: DescribedFile) -> str:
    grid = file.description["wavelengths"]
    if grid is None:
        return "not stated"
    return f"{grid['least']:.2f} to {grid['greatest']:.2f} nm"


def _scale(file: DescribedFile) -> str:
    scaling = file.description["scaling"]
    if scaling is None:
        return file.scale
    return f"stored {scaling['factor']}"


def _mask(file: DescribedFile) -> str:
    """The masks of a file, with their classes."""
    texts = []
    for mask in file.description["masks"]:
        name = mask["variable"] or Path(mask["file"]).name
        if mask["classes"] is not None:
            classes = {int(number): count for number, count in mask["classes"].items()}
            texts.append(f"{name} ({class_counts(classes)})")
    return ", ".join(texts) or "none"


def _mask_kind(file: DescribedFile) -> str:
    """Where the masks of a file are, without the name of the file."""
    kinds = []
    for mask in file.description["masks"]:
        if mask["classes"] is not None:
            kinds.append(mask["variable"] or f"*{Path(mask['file']).suffix}")
    return ", ".join(kinds) or "none"


def _names(files: Sequence[DescribedFile]) -> str:
    """The names of the first files, and how many more there are."""
    shown = ", ".join(one.name for one in files[:MOST_NAMES])
    rest = len(files) - MOST_NAMES
    if rest > 0:
        return f"{shown} and {rest} more"
    return shown


def _shared_lines(label: str, files: Sequence[DescribedFile], key: str) -> list[str]:
    """A line for each text under a key of the descriptions, with its files."""
    by_text: dict[str, list[DescribedFile]] = {}
    for one in files:
        for text in one.description[key]:
            by_text.setdefault(text, []).append(one)
    lines = []
    for text, members in by_text.items():
        which = "all" if len(members) == len(files) else _names(members)
        lines.append(_one_line(f"{label} ({which})", text))
    return lines


def _warnings(files: Sequence[DescribedFile]) -> list[str]:
    """What is remarkable in each file, and in the folders of all."""
    notes: list[str] = []
    for one in files:
        notes += one.description["remarks"]
    notes += capture_notes([Path(one.path) for one in files])
    return notes


def _one_line(label: str, text: str) -> str:
    flat = text.replace("\n  fix:", "; fix:")
    return f"{label}: {flat}"
