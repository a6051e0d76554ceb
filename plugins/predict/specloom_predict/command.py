"""``specloom predict``: a saved pipeline applied to cubes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specloom import threads_option

if TYPE_CHECKING:
    from specloom_predict.many import Summary

path = click.Path(path_type=Path)
UNITS = {"": 1, "B": 1} | {
    f"{prefix}{ending}": base**power
    for power, prefix in enumerate("KMGT", start=1)
    for ending, base in (("B", 1000), ("", 1000), ("IB", 1024))
}


class Size(click.ParamType["int"]):
    """Bytes: ``500MB``, ``2GB``, ``1.5GiB``."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The bytes that a text means."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
        if not found or found[2].upper() not in UNITS or not float(found[1]):
            self.fail(f"{value!r} is no size; write such as 500MB or 2GB", param, ctx)
        return int(float(found[1]) * UNITS[found[2].upper()])


def _listed(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str]:
    return [part.strip() for part in (value or "").split(",") if part.strip()]


@click.command()
@click.argument("pipeline", type=path)
@click.argument("inputs", nargs=-1, required=True)
@click.option("--out", type=path, required=True, metavar="DIR", help="Where results go.")
@click.option(
    "--format",
    "formats",
    default="npy",
    callback=_listed,
    metavar="LIST",
    show_default=True,
    help="Some of npy,envi,geotiff,png,csv.",
)
@click.option(
    "--outputs", callback=_listed, metavar="LIST", help="Which outputs [default: all declared]."
)
@click.option("--variable", metavar="NAME", help="The array to take where a file holds several.")
@click.option(
    "--wavelengths",
    type=click.Path(path_type=Path, exists=True),
    metavar="CSV",
    help="Band centres in place of those in the files.",
)
@click.option(
    "--memory", type=Size(), help="What whole-image nodes may take [default: half of what is free]."
)
@click.option("--tile", "tile_bytes", type=Size(), help="Of a cube in one tile [default: 16MiB].")
@click.option(
    "--device",
    default="auto",
    metavar="DEVICE",
    help="Compute device: auto (a GPU if there is one), cpu, cuda, cuda:N.",
)
@threads_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def predict(as_json: bool, **asked: Any) -> None:
    """Apply PIPELINE to cubes and write its outputs with their geometry.

    PIPELINE is the pipeline.yaml that a run wrote, or that run's folder. INPUTS are files, folders
    and patterns. What is complete already is skipped, so that a killed call can be repeated.
    """
    from specloom_predict.many import predict_all

    summary = predict_all(**asked, observed=True)
    _tell(summary, asked["out"])
    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=2, ensure_ascii=False))
    if summary.unexpected is not None:
        raise summary.unexpected
    sys.exit(summary.exit_code)


def _tell(summary: Summary, out: Path) -> None:
    for one in summary.done:
        for note in one["notes"]:
            click.echo(f"note: {one['input']}: {note}", err=True)
    for name, error in summary.failed:
        text = str(error) if Path(name).name in str(error) else f"{name}: {error}"
        lines = text.splitlines()
        for line in lines:
            click.echo(line if line.startswith("  ") else f"error: {line}", err=True)
    counts = (len(summary.done), len(summary.skipped), len(summary.failed))
    text = "{} done, {} skipped because they are complete, {} failed".format(*counts)
    click.echo(f"{text}: {out}", err=True)
