"""``specloom predict``: a saved pipeline applied to cubes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specloom import ConfigError, complete_run_folders, log_file_option, on_options, threads_option

if TYPE_CHECKING:
    from specloom_predict.many import Summary

path = click.Path(path_type=Path)


YAML = (".yaml", ".yml")
SIZE = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([A-Z]*)\s*", re.ASCII | re.IGNORECASE)
LEAST_BYTES = 4096
"""A size without a unit that is smaller is one of which the unit was forgotten."""


MOST_SHOWN = 50
"""The notes, and the errors, of cubes that are printed."""


class Size(click.ParamType["int"]):
    """Bytes: ``500MB``, ``2GB``, ``1.5GiB``."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes that a text means."""
        if isinstance(value, int):
            return value
        match = SIZE.fullmatch(str(value))
        unit = None if match is None else _unit_bytes(match[2])
        if match is None or unit is None or not float(match[1]):
            self.fail(f"{value!r} is not a size; write for example 500MB or 2GB", param, ctx)
        size = int(float(match[1]) * unit)
        if not match[2] and size < LEAST_BYTES:
            self.fail(f"{value!r} would be bytes; write the unit, as in {value}GB", param, ctx)
        return size


def _unit_bytes(unit: str) -> int | None:
    """The bytes of a unit: nothing, B, K, KB, KiB, M, … T; None for any other text."""
    upper = unit.upper()
    if upper in ("", "B"):
        return 1
    power = "KMGT".find(upper[0]) + 1
    base = {"": 1000, "B": 1000, "IB": 1024}.get(upper[1:])
    if power == 0 or base is None:
        return None
    return int(base**power)


def _split_list(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str]:
    if value is None:
        return []
    parts = [part.strip() for part in value.split(",")]
    return [part for part in parts if part]


@click.command()
@click.argument("pipeline", type=path, shell_complete=complete_run_folders)
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--out", type=path, required=True, metavar="DIR", help="Where results go.")
@click.option(
    "--format",
    "formats",
    default="npy",
    callback=_split_list,
    metavar="LIST",
    show_default=True,
    help="Formats, separated by commas: npy, envi, geotiff, png, csv.",
)
@click.option(
    "--outputs",
    callback=_split_list,
    metavar="LIST",
    help="Outputs of the pipeline, separated by commas [default: all that it declares].",
)
@click.option("--variable", metavar="NAME", help="The array to read where a file holds several.")
@click.option(
    "--wavelengths",
    type=click.Path(path_type=Path, exists=True),
    metavar="CSV",
    help="Band centres, used instead of those in the files.",
)
@click.option(
    "--scale",
    type=click.Choice(["physical", "stored"]),
    help="Whether the scale that files state is applied [default: as the pipeline was fitted].",
)
@click.option(
    "--memory",
    type=Size(),
    help="Memory limit for nodes that need the whole image [default: half of what is free].",
)
@click.option("--tile", "tile_bytes", type=Size(), help="Tile size when reading [default: 16MiB].")
@click.option(
    "--split-above",
    type=Size(),
    help="Size of a cube above which many workers predict it, tile by tile [default: 4GB].",
)
@click.option(
    "--device",
    default="auto",
    metavar="DEVICE",
    help="Compute device: auto (a GPU if there is one), cpu, cuda, cuda:N.",
)
@click.option(
    "--reject-when",
    "reject_when",
    multiple=True,
    metavar="RULE",
    help="Reject cubes for which a rule holds, such as 'objects > 0' or 'largest >= 4 px and "
    "decided > 0.1%'; several may be given [default: 'objects > 0'].",
)
@click.option(
    "--fail-on",
    callback=_split_list,
    metavar="LIST",
    help="Verdicts, separated by commas, with which the exit code is 1: reject, unjudged.",
)
@click.option("--dry-run", is_flag=True, help="Only report what would be predicted.")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue a stopped call, as a repeated call does; an error where DIR has none.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Look at each file of complete results, and make again what is missing or cut.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with 1 where a cube is unlike what the pipeline was fitted on.",
)
@click.option(
    "--keep-going",
    is_flag=True,
    help="With --on: go on though half of the latest 100 cubes failed with one message.",
)
@on_options
@threads_option
@click.option("-q", "--quiet", is_flag=True, help="Show only warnings and errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@log_file_option
def predict(as_json: bool, quiet: bool, **options: Any) -> None:
    """Apply PIPELINE to cubes and write its outputs with their geometry.

    PIPELINE is the pipeline.yaml that a run wrote, or that run's folder. INPUTS are files, folders
    and patterns. Results that are complete and up to date are skipped, so that a call that was
    stopped (by Ctrl-C, SIGTERM or a full disk) can be repeated. DIR/summary.csv has a row for each
    cube: accept, reject or unjudged, with the reason; DIR/ledger has a line for each cube that was
    finished.
    """
    from specloom_predict.many import predict_all

    _refuse_swapped(options["pipeline"], options["inputs"])
    try:
        summary = predict_all(**options, observed=True, quiet=quiet)
    except KeyboardInterrupt:
        _print_how_to_resume(options["out"])
        raise
    _print_notes(summary)
    if options["dry_run"]:
        _print_plan(summary)
    elif not quiet:
        _print_counts(summary, options["out"])
    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=2, ensure_ascii=False))
    if summary.unexpected is not None:
        raise summary.unexpected
    sys.exit(summary.exit_code)


def _print_how_to_resume(out: Path) -> None:
    """Print how to go on after Ctrl-C or SIGTERM, where anything was started."""
    from specloom_predict.verdicts import SUMMARY

    if (out / SUMMARY).is_file():
        text = f"to resume: repeat the command with --resume; what is complete in {out} is skipped"
        click.echo(text, err=True)


def _refuse_swapped(pipeline: Path, inputs: Sequence[str]) -> None:
    """Raise ConfigError where a cube stands first, and the pipeline behind it."""
    first = Path(inputs[0])
    is_pipeline = first.suffix in YAML or (first / "pipeline.yaml").is_file()
    is_cube = pipeline.is_file() and pipeline.suffix not in (*YAML, ".safetensors")
    if is_pipeline and is_cube:
        fix = f"specloom predict {first} {pipeline} --out DIR"
        raise ConfigError(f"{pipeline} is no pipeline: the pipeline comes first", fix=fix)


def _print_notes(summary: Summary) -> None:
    """Print notes and errors to standard error, of each kind the first ``MOST_SHOWN``."""
    from specloom_predict.many import failure_text

    notes = 0
    for one in summary.done:
        for note in one["notes"]:
            notes += 1
            if notes <= MOST_SHOWN:
                click.echo(f"note: {one['input']}: {note}", err=True)
    _print_left_out(notes, "notes", "predict.json of each cube")
    for note in summary.notes:
        click.echo(f"note: {note}", err=True)
    for name, error in summary.failed[:MOST_SHOWN]:
        click.echo(failure_text(name, error), err=True)
    _print_left_out(len(summary.failed), "errors", "summary.csv")


def _print_left_out(count: int, what: str, place: str) -> None:
    """Print how many notes or errors were not shown, and where they are."""
    if count > MOST_SHOWN:
        click.echo(f"note: {count - MOST_SHOWN:,} more {what}: see {place}", err=True)


def _print_plan(summary: Summary) -> None:
    """Print what a call would do to standard error."""
    for one in summary.planned:
        click.echo(f"would predict {one['input']} into {one['folder']}", err=True)
    counts = f"{len(summary.skipped)} up to date, {len(summary.failed)} failed"
    cubes = _cubes(len(summary.planned))
    click.echo(f"dry run, nothing is written: {cubes} to predict, {counts}", err=True)


def _print_counts(summary: Summary, out: Path) -> None:
    """Print what cannot be relied on, the verdicts, and what was done, to standard error."""
    from specloom_predict.verdicts import SUMMARY, count_verdicts

    unlike = summary.count_unlike()
    if unlike:
        total = len(summary.done) + len(summary.skipped)
        what = "unlike what the pipeline was fitted on"
        click.echo(f'{unlike} of {total} cubes {what}; see "domain" in predict.json', err=True)
    unjudged = sum(one["unjudged"] for one in summary.done)
    if unjudged:
        pixels = sum(one["pixels"] for one in summary.done)
        click.echo(f"{unjudged} of {pixels} pixels could not be assessed", err=True)
    verdicts = count_verdicts(summary.verdicts)
    click.echo(f"{verdicts}: {out / SUMMARY}", err=True)
    counts = f"{len(summary.skipped)} up to date, {len(summary.failed)} failed"
    if summary.not_started:
        counts += f", {summary.not_started} not started"
    click.echo(f"{_cubes(len(summary.done))} predicted, {counts}: {out}", err=True)


def _cubes(count: int) -> str:
    return "1 cube" if count == 1 else f"{count} cubes"
