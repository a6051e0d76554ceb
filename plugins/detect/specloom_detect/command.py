"""``specloom detect``: anomalies of cubes, without masks."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from specloom import fresh_folder, log_file_option, threads_option
from specloom_detect.run_files import DEFAULT_METHOD, DEFAULT_RATE, Method

if TYPE_CHECKING:
    from specloom_detect.detected_files import DetectedFiles

path = click.Path(path_type=Path)


@click.command()
@click.argument("cubes", metavar="CUBE...", nargs=-1, required=True)
@click.option(
    "--mask",
    "masks",
    multiple=True,
    metavar="FILE",
    help="Mask of class numbers to evaluate by; it changes no decision. Of "
    "several cubes: one for each, in their order, or the folder of all.",
)
@click.option(
    "--normal",
    multiple=True,
    type=int,
    default=(0,),
    show_default=True,
    metavar="CLASS",
    help="Class in the masks that is normal; all others are anomalies (repeatable).",
)
@click.option(
    "--valid",
    metavar="FILE",
    help="File, not 0 for the pixels that count; others are excluded. Of several cubes: a pattern "
    "such as '*_roi.png', with * for the name of a cube, in whose folder the files lie.",
)
@click.option(
    "--method",
    type=click.Choice(get_args(Method)),
    default=DEFAULT_METHOD,
    show_default=True,
    help="Detector: Reed-Xiaoli, the same without its highest scores in the background, or "
    "distances to a sample of the background.",
)
@click.option(
    "--false-alarm-rate",
    type=click.FloatRange(0, 0.08, min_open=True, max_open=True),
    default=DEFAULT_RATE,
    show_default=True,
    help="Share of the normal pixels that may be decided to be anomalies.",
)
@click.option(
    "-o",
    "--out",
    type=path,
    metavar="DIR",
    help="Folder for the results [default: a new one in runs/].",
)
@click.option("--overwrite", is_flag=True, help="Replace the results that the folder holds.")
@click.option("--variable", metavar="NAME", help="The array to read where a file holds several.")
@click.option(
    "--format",
    "formats",
    default="npy,png,csv",
    show_default=True,
    metavar="LIST",
    help="Formats of the maps, separated by commas: npy, envi, geotiff, png, csv.",
)
@click.option(
    "--device",
    default="auto",
    metavar="DEVICE",
    help="Compute device: auto (a GPU if there is one), cpu, cuda, cuda:N.",
)
@click.option("--open", "show", is_flag=True, help="Open the report in a browser.")
@click.option("--save-run", type=path, metavar="FILE", help="Write the run file that this is.")
@threads_option
@click.option("-v", "--verbose", is_flag=True, help="Show everything that is known of the data.")
@log_file_option
def detect(show: bool, formats: str, **options: Any) -> None:
    """Find the anomalies of each CUBE, without a mask.

    A CUBE is a file, a folder or a pattern. The detector is fitted on the cubes themselves, and
    decides for the pixels whose score lies above a threshold for a false-alarm rate, which follows
    from the scores without the largest 2 %. DIR gets a report, maps and tables of objects for each
    cube, a summary, and the fitted pipeline, which specloom predict applies to other cubes.
    """
    from specloom_detect.detected_files import detect_files
    from specloom_predict import failure_text

    out = options.pop("out")
    if out is None:
        out = fresh_folder(f"detect-{Path(options['cubes'][0]).stem}")
    wanted = [part.strip() for part in formats.split(",") if part.strip()]
    found = detect_files(out=out, formats=wanted, **options)
    for line in found.lines():
        click.echo(line)
    for name, error in found.failed:
        click.echo(failure_text(name, error), err=True)
    _print_place(found)
    if show:
        webbrowser.open(found.page.resolve().as_uri())
    sys.exit(found.exit_code)


def _print_place(found: DetectedFiles) -> None:
    """Print where to look, as the last line."""
    click.echo(f"look at: {found.page}")
