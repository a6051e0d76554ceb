"""``specloom info``: what a cube's file holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from specloom import DataError, threads_option

if TYPE_CHECKING:
    from specloom_cubes.cube import Axes, Reading

MAX_CLASSES = 12
AXES = ("HWC", "CHW", "HCW")


@click.command()
@click.argument("files", metavar="FILES...", nargs=-1, required=True)
@click.option("--variable", metavar="NAME", help="The array to read where a file holds several.")
@click.option("--axes", type=click.Choice(AXES), help="The order of the axes as stored.")
@click.option("--shape", type=int, nargs=2, help="Rows and columns of a matrix of pixels.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON; of several files a list.")
@threads_option
@click.option(
    "--statistics/--no-statistics",
    default=None,
    help="Read the pixels, for their statistics  [default: yes for one file].",
)
def info(
    files: tuple[str, ...],
    variable: str | None,
    axes: Axes | None,
    shape: tuple[int, int] | None,
    as_json: bool,
    statistics: bool | None,
) -> None:
    """Describe cubes: size, wavelengths, scale, masks, georeference and values.

    Of a folder, or of several files, a table is printed, and what differs between the files.
    """
    from specloom_cubes.cube import Reading
    from specloom_cubes.paths import is_folder

    reading = Reading(axes, shape)
    if len(files) == 1 and not is_folder(files[0]):
        pixels = statistics is None or statistics
        _show_one(files[0], variable, reading, as_json=as_json, pixels=pixels)
        return
    from specloom_cubes import file_table

    described = file_table.describe_files(files, variable, reading, pixels=bool(statistics))
    if as_json:
        descriptions = [one.values() for one in described]
        click.echo(json.dumps(descriptions, indent=2, ensure_ascii=False))
    else:
        for line in file_table.table_lines(described):
            click.echo(line)
    exit_codes = [one.error.exit_code for one in described if one.error is not None]
    if exit_codes:
        sys.exit(max(exit_codes))


def _show_one(
    file: str, variable: str | None, reading: Reading, *, as_json: bool, pixels: bool
) -> None:
    """Print the description of one file."""
    from specloom_cubes.describe import describe, with_option

    try:
        description = describe(file, variable, reading=reading, pixels=pixels)
    except DataError as error:
        raise with_option(error) from error
    if as_json:
        click.echo(json.dumps(description, indent=2, ensure_ascii=False))
        return
    rows = _rows(description)
    width = max(len(label) for label, _ in rows)
    click.echo(description["file"])
    for label, text in rows:
        click.echo(f"  {label:{width}}  {text}")


Row: TypeAlias = tuple[str, str]
"""A label and a text."""


def _rows(description: Mapping[str, Any]) -> list[Row]:
    return [
        *_storage(description),
        *_wavelengths(description["wavelengths"]),
        ("bad bands", _ranges(description["bad_bands"]) or "none"),
        *_scale(description["scale"], description["scaling"]),
        *_masks(description["masks"]),
        ("georeference", _georeference(description["georeference"])),
        *_valid(description["valid"]),
        *_values(description["statistics"], description["no_data"]),
        *(("assumed", text) for text in description["assumptions"]),
        *_warnings(description["file"], description["remarks"]),
    ]


def _storage(description: Mapping[str, Any]) -> Iterator[Row]:
    variable = description["variable"]
    kind = description["format"]
    if variable:
        kind += f", variable {variable}"
    yield "format", kind
    others = [one for one in description["arrays"] if one.split(" ")[0] != variable]
    if others:
        yield "also there", ", ".join(others)
    size = "{rows} rows x {columns} columns x {bands} bands".format(**description)
    yield "size", f"{size} (0-{description['bands'] - 1})"
    parts = [description["dtype"], description["interleave"], _size(description["bytes"])]
    yield "stored as", ", ".join(part for part in parts if part)


def _scale(scale: float | None, scaling: Mapping[str, Any] | None) -> Iterator[Row]:
    label = "scale"
    if scale is not None:
        yield label, f"reflectance times {scale:g}"
        label = ""
    if scaling is not None:
        text = f"stored {scaling['factor']}, from {scaling['from']}"
        if not scaling["applied"]:
            text = f"{text}; not applied"
        yield label, text


def _valid(source: str | None) -> Iterator[Row]:
    if source is not None:
        yield "valid pixels", f"by {source}"


def _georeference(place: Mapping[str, Any] | None) -> str:
    if not place:
        return "none"
    left, top = place["upper_left"]
    across, down = place["pixel"]
    system = place["system"] or "unknown system"
    return f"{system}, pixel {across:g} x {down:g}, upper left {left:.10g}, {top:.10g}"


def _warnings(file: str, notes: Iterable[str]) -> Iterator[Row]:
    for note in notes:
        yield "WARNING", note.removeprefix(f"{file} ").replace("\n  fix:", ";")


def _wavelengths(grid: Mapping[str, Any] | None) -> Iterator[Row]:
    if grid is None:
        yield "wavelengths", "not stated"
        return
    text = f"{grid['least']:.2f} to {grid['greatest']:.2f} nm"
    if grid["widths"]:
        least, greatest = grid["widths"]
        text += f", widths {least:.2f} to {greatest:.2f} nm"
    if not grid["ascending"]:
        text += f", NOT ascending at band {_ranges(grid['not_ascending_at'])}"
    yield "wavelengths", text
    if grid["from"]:
        yield "", f"from {grid['from']}"


def _masks(masks: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    if not masks:
        yield "mask", "none in the file or beside it"
    for mask in masks:
        name = mask["variable"] or Path(mask["file"]).name
        if mask["classes"] is None:
            yield "mask", f"{name} is none: {mask['problem']}"
            continue
        text = f"{name} ({_classes(mask['classes'], mask.get('names', {}))})"
        if not mask["variable"]:
            text += "; cubes.Folder finds it, cubes.Scene needs it as mask"
        yield "mask", text


def _classes(counts: Mapping[str, int], names: Mapping[str, str]) -> str:
    """The number of pixels of each class, of the first classes where there are many."""
    texts = []
    for number, count in counts.items():
        label = "unlabelled" if number == "-1" else f"class {number}"
        if number in names:
            label += f" {names[number]}"
        texts.append(f"{label}: {count} px")
    if len(texts) > MAX_CLASSES:
        texts = [*texts[:MAX_CLASSES], f"and {len(texts) - MAX_CLASSES} more classes"]
    return ", ".join(texts)


def _values(values: Mapping[str, Any] | None, no_data: float | str | None) -> Iterator[Row]:
    text = "no value stated"
    if no_data is not None:
        text = f"{float(no_data):.10g}"
    if values is None:
        yield "no data", text
        return
    if no_data is not None:
        text += f", {_percent(values['no_data'])} of all values"
    yield "no data", text
    if values["minimum"] is None:
        yield "values", "none is finite"
    else:
        yield "values", "{minimum:.6g} to {maximum:.6g}, mean {mean:.6g}".format(**values)
    yield "NaN or infinite", _percent(values["not_finite"])
    yield "constant bands", _ranges(values["constant"]) or "none"
    if values["empty"]:
        yield "bands without data", _ranges(values["empty"])


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers as ranges: 1-3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    texts = []
    for first, last in runs:
        if last > first:
            texts.append(f"{first}-{last}")
        else:
            texts.append(str(first))
    return ", ".join(texts)


def _percent(share: float) -> str:
    return "none" if share == 0 else f"{100 * share:.3g} %"


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB"
