"""``specloom data``: public data sets by name."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from specloom import ConfigError, UnavailableError, did_you_mean
from specloom_cubes.fetch.fetching import (
    Plan,
    carry_out,
    check_disk,
    free_bytes,
    is_complete,
    locked_data,
    plan_fetch,
)
from specloom_cubes.fetch.lock import LOCK, read_lock
from specloom_cubes.paths import expand

DATA_SETS: Mapping[str, str] = {
    "cubert-gmbh/XMR_Lentils": "lentils with foreign objects: .cu3s sessions, COCO annotations",
    "cubert-gmbh/XMR_Industrial_Foreign_Object_Detection_Lentils": (
        "lentils with seven kinds of foreign objects, 1136 frames of 61 bands: "
        ".cu3s sessions, COCO annotations"
    ),
    "cubert-gmbh/XMR_Demo_Industrial_Foreign_Object_Detection_Lentils": (
        "a small part of these, for a first try: .cu3s session, COCO annotations"
    ),
    "cubert-gmbh/X4_SWIR_Industrial_Foreign_Object_Detection_Bedding": (
        "wood shavings with foreign objects, 252 frames of 6 bands (450 to 1450 nm): "
        ".cu3s sessions, COCO annotations"
    ),
    "cubert-gmbh/XMR_Demo_Blood_Perfusion": (
        "hands, 61 bands, no annotations: .cu3s sessions in reflectance"
    ),
}
"""Data sets that are known to be of use here; any other public one is fetched by its name."""

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
ROOT = Path("data")


@click.group()
def data() -> None:
    """Fetch public data sets, and list them."""


@data.command("list")
def list_data() -> None:
    """List data sets by name, and those that were fetched into data/."""
    for name, text in DATA_SETS.items():
        click.echo(f"{name}  {text}")
    for path in sorted(ROOT.glob(f"*/{LOCK}")):
        lock = read_lock(path.parent)
        if lock is not None:
            size = sum(file.size for file in lock.files.values())
            click.echo(
                f"{path.parent}: {lock.repository} at {lock.revision[:12]}, "
                f"{_files(len(lock.files), size)}"
            )
    click.echo("sizes and licences are shown before a download: specloom data fetch OWNER/NAME")


@data.command()
@click.argument("name", metavar="OWNER/NAME")
@click.option("-o", "--out", metavar="FOLDER", help="Where its files go  [default: data/NAME].")
@click.option("--revision", metavar="COMMIT", help="The revision to take, where none is locked.")
@click.option("--update", is_flag=True, help="Take the newest revision, and lock it.")
@click.option("--offline", is_flag=True, help="Compare what is there with the lock, no more.")
@click.option("--yes", is_flag=True, help="Download without a question.")
def fetch(
    name: str, out: str | None, revision: str | None, update: bool, offline: bool, yes: bool
) -> None:
    """Fetch a public data set from the Hugging Face hub.

    The first fetch writes revision, sizes and hashes to data.lock.json beside the data; later ones
    hold them. A download that was cut is continued by the same command.
    """
    _check_repository(name)
    folder = ROOT / name.partition("/")[2]
    if out is not None:
        folder = expand(out)
    lock = locked_data(name, folder)
    if offline and lock is None:
        raise UnavailableError(
            f"{folder} has no lock, so that nothing says what should be there",
            fix="fetch it once without --offline",
        )
    if lock is not None and not update and revision is None and is_complete(lock, folder):
        size = sum(file.size for file in lock.files.values())
        click.echo(f"{folder}: {_files(len(lock.files), size)}, as locked at {lock.revision[:12]}")
        return
    if offline:
        raise UnavailableError(
            f"{folder} lacks files that its lock has", fix="fetch it without --offline"
        )
    plan = plan_fetch(name, folder, lock, revision, update=update)
    _announce(plan)
    check_disk(plan)
    if plan.missing and not yes:
        _confirm()
    lock = carry_out(plan, lambda file: click.echo(f"  {file.name} {_size(file.size)}"))
    size = sum(file.size for file in lock.files.values())
    click.echo(f"fetched: {folder}, {_files(len(lock.files), size)}, locked in {LOCK}")


def _announce(plan: Plan) -> None:
    """Print what a fetch will do, with its sizes."""
    taken = plan.taken
    size = sum(file.size for file in taken.files)
    license_text = taken.license or "none stated"
    click.echo(
        f"{taken.repository} at {taken.revision[:12]}: {_files(len(taken.files), size)}, "
        f"licence: {license_text}"
    )
    free = _size(free_bytes(plan.folder))
    click.echo(
        f"to download: {_files(len(plan.missing), plan.missing_bytes())} into {plan.folder} "
        f"({free} free)"
    )


def _confirm() -> None:
    """Continue only where a user says so.

    Raises:
        ConfigError: There is no user at a terminal.
    """
    if not sys.stdin.isatty():
        raise ConfigError(
            "nothing is downloaded without a confirmation, and there is no terminal",
            fix="add --yes",
        )
    click.confirm("Download?", abort=True)


def _check_repository(name: str) -> None:
    if REPOSITORY.fullmatch(name) is None:
        names = {known.partition("/")[2]: known for known in DATA_SETS}
        fix = "write OWNER/NAME, as in cubert-gmbh/XMR_Lentils"
        if name in names:
            fix = did_you_mean(names[name], DATA_SETS)
        raise ConfigError(f"{name!r} is no name of a data set", fix=fix)


def _files(count: int, size: int) -> str:
    if count == 1:
        return f"1 file, {_size(size)}"
    return f"{count} files, {_size(size)}"


def _size(size: int) -> str:
    for unit, of_unit in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= of_unit:
            return f"{size / of_unit:.1f} {unit}"
    return f"{size} bytes"
