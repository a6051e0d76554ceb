"""``specloom fleet check``: what each worker is, and what is wrong with it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from specloom import ConfigError, on_options


@click.group()
def fleet() -> None:
    """Look at the workers that --on names."""


@fleet.command()
@on_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="A folder that every worker must see.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def check(
    on: str | None, workers: int | None, insecure: bool, out: Path | None, as_json: bool
) -> None:
    """Let workers introduce themselves, and print what is wrong with each.

    The exit code is 1 where a worker cannot work.
    """
    from specloom_dask.check import check_fleet

    if on is None:
        fix = "add for example: --on dask"
        raise ConfigError("there is no fleet to check", where="--on", fix=fix)
    rows, notes = check_fleet(on, workers, insecure=insecure, folder=out)
    if as_json:
        click.echo(json.dumps({"workers": rows, "notes": notes}, indent=2))
    else:
        _print_table(rows)
    for note in notes:
        click.echo(f"warning: {note}", err=True)
    wrong = [problem for row in rows for problem in row["problems"]]
    if wrong:
        sys.exit(1)


COLUMNS = (
    "worker",
    "host",
    "python",
    "specloom",
    "specloom-dask",
    "torch",
    "numpy",
    "cpu",
    "memory",
)


def _print_table(rows: list[dict[str, Any]]) -> None:
    cells = [list(COLUMNS)]
    for row in rows:
        cells.append([_shown(name, row[name]) for name in COLUMNS])
    widths = [max(len(line[at]) for line in cells) for at in range(len(COLUMNS))]
    for line, row in zip(cells, [{}, *rows], strict=True):
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())
        _print_problems(row)


def _print_problems(row: Mapping[str, Any]) -> None:
    for problem in row.get("problems", ()):
        click.echo(f"  {problem['what']}")
        click.echo(f"    fix: {problem['fix']}")


def _shown(name: str, value: Any) -> str:
    if name == "memory":
        return f"{value / 1e9:.1f} GB"
    return str(value)
