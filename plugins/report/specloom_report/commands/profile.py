"""``specloom profile``: time and memory of each node over the phases of a run."""

from __future__ import annotations

import json
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specloom import threads_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from specloom_report.diagnostics.profiler import Measurement

NOTE = """\
time: wall clock; of nodes their forward calls (on a GPU until the work ends), of fits the updates
outputs: the bytes of the largest outputs for one batch
growth: by how much the process's peak resident memory rose during these calls; 0 where they used
  memory that was allocated before, so profile one phase alone to see its own need"""
TITLES = ("", "", "calls", "time", "per call", "outputs", "growth")
TEXT_COLUMNS = 2


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Override one value of the run file (repeatable).",
)
@click.option(
    "--device",
    default="auto",
    metavar="auto|cpu|cuda",
    help="Compute device: auto (a GPU if there is one), cpu, cuda, cuda:N.",
)
@threads_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def profile(file: Path, overrides: tuple[str, ...], device: str, as_json: bool) -> None:
    """Run FILE without writing results, and show where its time and memory went."""
    from specloom import load
    from specloom_report.diagnostics.profiler import Profiler, summarise

    run = load(file, overrides, device=device)
    progress = run.plugins.observers().get("console.Progress")
    if progress is not None:
        run.plugins.add("console.Progress", progress)
    profiler = Profiler(run)
    run.plugins.add("report.Profiler", profiler)
    run.run()
    if as_json:
        click.echo(json.dumps(summarise(profiler.measurements), indent=2))
        return
    for line in table_lines(profiler.measurements):
        click.echo(line)
    click.echo(NOTE)


def table_lines(measurements: Sequence[Measurement]) -> list[str]:
    """Return the table as lines, with a heading for each phase.

    A heading spans all columns, which a table of rich cannot.
    """
    gpu = any(one.gpu_peak for one in measurements)
    titles = [*TITLES]
    if gpu:
        titles.append("GPU peak")
    total = sum(one.seconds for one in measurements) or 1.0
    cells = [_cells(one, gpu=gpu) for one in measurements]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    lines = [_align(titles, widths)]
    rows = iter(cells)
    for phase, group in groupby(measurements, lambda one: one.phase):
        members = list(group)
        lines.append(_heading(phase, members, total))
        lines += [_align(row, widths) for row in islice(rows, len(members))]
    return lines


def _heading(phase: str, members: Sequence[Measurement], total: float) -> str:
    from specloom_report.page.tables import format_seconds

    seconds = sum(one.seconds for one in members)
    return f"{phase}: {format_seconds(seconds)} ({seconds / total:.0%})"


def _cells(one: Measurement, *, gpu: bool) -> list[str]:
    from specloom_report.page.tables import format_bytes, format_seconds

    cells = [f"  {one.name}", one.what, "", format_seconds(one.seconds), ""]
    if one.what:
        cells[2] = str(one.calls)
        cells[4] = format_seconds(one.seconds / one.calls)
    sizes = [one.outputs, one.peak_growth]
    if gpu:
        sizes.append(one.gpu_peak or 0)
    for size in sizes:
        if size:
            cells.append(format_bytes(size))
        else:
            cells.append("")
    return cells


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = []
    for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
        if column < TEXT_COLUMNS:
            cells.append(cell.ljust(width))
        else:
            cells.append(cell.rjust(width))
    return "  ".join(cells).rstrip()
