"""``specloom info``: what a cube's file holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from specloom import DataError, threads_option

MOST_CLASSES = 12


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--variable", metavar="NAME", help="The array to take where FILE holds several.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@threads_option
@click.option(
    "--statistics/--no-statistics",
    default=True,
    help="Whether to read the pixels, for their statistics  [default: yes].",
)
def info(file: Path, variable: str | None, as_json: bool, statistics: bool) -> None:
    """Tell what the cube in FILE is: its size, wavelengths, masks and values."""
    from specloom_cubes.describe import describe

    try:
        found = describe(file, variable, pixels=statistics)
    except DataError as error:
        # The parameter of a run file is an option here.
        fix = error.fix.replace("cube_variable", "--variable")
        raise DataError(error.what, where=error.where, fix=fix) from error
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    rows = list(_rows(found))
    width = max(len(label) for label, _ in rows)
    click.echo(found["file"])
    for label, text in rows:
        click.echo(f"  {label:{width}}  {text}")


def _rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    named = f", variable {found['variable']}" if found["variable"] else ""
    yield "format", found["format"] + named
    others = [one for one in found["arrays"] if one.split(" ")[0] != found["variable"]]
    if others:
        yield "also there", ", ".join(others)
    last = found["bands"] - 1
    yield "size", "{rows} rows x {columns} columns x {bands} bands".format(**found) + f" (0-{last})"
    stored = (found["dtype"], found["interleave"], _size(found["bytes"]))
    yield "stored as", ", ".join(filter(None, stored))
    yield from _wavelengths(found["wavelengths"])
    yield "bad bands", _ranges(found["bad_bands"]) or "none"
    if found["scale"] is not None:
        yield "scale", f"reflectance times {found['scale']:g}"
    yield from _masks(found)
    if place := found["georeference"]:
        left, top = place["upper_left"]
        across, down = place["pixel"]
        system = place["system"] or "unknown system"
        yield (
            "georeference",
            f"{system}, pixel {across:g} x {down:g}, upper left {left:.10g}, {top:.10g}",
        )
    else:
        yield "georeference", "none"
    yield from _values(found["statistics"], found["no_data"])
    for message in found["remarks"]:
        yield "WARNING", message.removeprefix(f"{found['file']} ").replace("\n  fix:", ";")


def _wavelengths(told: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if told is None:
        yield "wavelengths", "not stated"
        return
    text = f"{told['least']:.2f} to {told['greatest']:.2f} nm"
    if told["widths"]:
        least, greatest = told["widths"]
        text += f", widths {least:.2f} to {greatest:.2f} nm"
    if not told["ascending"]:
        text += f", NOT ascending at band {_ranges(told['not_ascending_at'])}"
    yield "wavelengths", text


def _masks(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for mask in found["masks"]:
        name = mask["variable"] or Path(mask["file"]).name
        if mask["classes"] is None:
            yield "mask", f"{name} is none: {mask['problem']}"
            continue
        classes = [
            f"{'unlabelled' if number == '-1' else f'class {number}'}: {count} px"
            for number, count in mask["classes"].items()
        ]
        if len(classes) > MOST_CLASSES:
            classes = [*classes[:MOST_CLASSES], f"and {len(classes) - MOST_CLASSES} more classes"]
        beside = "" if mask["variable"] else "; cubes.Folder finds it, cubes.Scene must be given it"
        yield "mask", f"{name} ({', '.join(classes)}){beside}"
    if not found["masks"]:
        yield "mask", "none in the file or beside it"


def _values(told: Mapping[str, Any] | None, ignored: float | None) -> Iterator[tuple[str, str]]:
    value = "no value stated" if ignored is None else f"{ignored:.10g}"
    if told is None:
        yield "no data", value
        return
    share = "" if ignored is None else f", {_percent(told['no_data'])} of all values"
    yield "no data", value + share
    if told["minimum"] is None:
        yield "values", "none is finite"
    else:
        yield "values", "{minimum:.6g} to {maximum:.6g}, mean {mean:.6g}".format(**told)
    yield "NaN or infinite", _percent(told["not_finite"])
    yield "constant bands", _ranges(told["constant"]) or "none"
    if told["empty"]:
        yield "bands without data", _ranges(told["empty"])


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers as ranges: 1-3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs)


def _percent(share: float) -> str:
    return "none" if share == 0 else f"{100 * share:.3g} %"


def _size(count: float) -> str:
    units = iter(("bytes", "KiB", "MiB", "GiB"))
    unit = next(units)
    while count >= 1000 and (larger := next(units, "")):
        count, unit = count / 1024, larger
    return f"{count:.3g} {unit}"
