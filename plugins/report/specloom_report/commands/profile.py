"""``specloom profile``: time and memory of each node over the phases of a run."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from specloom import threads_option

NOTE = """\
time: wall clock; of nodes each forward call (on a GPU until its work ended), of fits their updates
outputs: the bytes of the largest outputs for one batch
growth: by how much the process's peak resident memory rose there, in all; 0 where it fitted into
  memory that was held before, so run one phase alone to see its own need"""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Change a value.")
@click.option("--device", default="auto", metavar="auto|cpu|cuda", help="Where arrays live.")
@threads_option
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def profile(file: Path, overrides: tuple[str, ...], device: str, as_json: bool) -> None:
    """Run FILE, keep nothing, and tell where its time and memory went."""
    from specloom import load
    from specloom_report.diagnostics.profiler import Profiler, told

    run = load(file, overrides, device=device)
    if (shown := run.plugins.observers().get("console.Progress")) is not None:
        run.plugins.add("console.Progress", shown)
    profiler = Profiler(run)
    run.plugins.add("report.Profiler", profiler)
    run.run()
    if as_json:
        click.echo(json.dumps(told(profiler.rows), indent=2))
        return
    for line in lines(profiler.rows):
        click.echo(line)
    click.echo(NOTE)


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """The table, phase by phase."""
    from specloom_report.page.tables import seconds, size

    gpu = any(row["gpu_peak"] for row in rows)
    whole = sum(row["seconds"] for row in rows) or 1.0
    table = [["", "", "calls", "time", "per call", "outputs", "growth", "GPU peak" if gpu else ""]]
    heads: dict[int, str] = {}
    for phase, group in groupby(rows, lambda row: str(row["phase"])):
        members = list(group)
        spent = sum(row["seconds"] for row in members)
        heads[len(table)] = f"{phase}: {seconds(spent)} ({spent / whole:.0%})"
        for one in members:
            calls = one["calls"] if one["what"] else 0
            each = seconds(one["seconds"] / calls) if calls else ""
            cells = [f"  {one['name']}", one["what"], str(calls or ""), seconds(one["seconds"])]
            sizes = [one["outputs"], one["peak_growth"], one["gpu_peak"]]
            table.append([*cells, each, *(size(most) if most else "" for most in sizes)])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    found = []
    for i, row in enumerate(table):
        found += [heads[i]] if i in heads else []
        words = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        found.append("  ".join([*words, *numbers]).rstrip())
    return found
