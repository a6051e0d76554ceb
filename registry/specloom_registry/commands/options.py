"""Options that the commands of ``specloom plugins`` share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from specloom_registry.project.project import Project

MANIFEST = click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    help="The manifest; by default the nearest plugins.yaml.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
OFFLINE = click.option(
    "--offline", is_flag=True, envvar="SPECLOOM_OFFLINE", help="Ask nothing of other machines."
)
DRY = click.option("--dry-run", "dry", is_flag=True, help="Do nothing, tell what would be done.")
FILE = click.option(
    "--allow-file", is_flag=True, help="Take repositories on this machine by their file:// URLs."
)
PROBE = click.option(
    "--probe/--no-probe", default=True, help="Import each plugin once, in a process of its own."
)
Command = Callable[..., Any]


def asking(command: Command) -> Command:
    """The options of all commands; one that only tells is offline and dry as it is."""
    return MANIFEST(JSON(OFFLINE(DRY(command))))


def fetching(command: Command) -> Command:
    """The options of a command that may fetch."""
    return asking(FILE(command))


def changing(command: Command) -> Command:
    """The options of a command that changes something."""
    return fetching(PROBE(command))


def project(
    manifest: Path | None,
    *,
    offline: bool = False,
    allow_file: bool = False,
    dry: bool = False,
    probe: bool = True,
    may_begin: bool = False,
) -> Project:
    """The project that a command is about.

    Raises:
        ConfigError: There is no manifest.
    """
    from specloom.contract.errors import ConfigError
    from specloom.plugins import find_manifest
    from specloom_registry.model import lockfile
    from specloom_registry.project.project import Project

    file = manifest or find_manifest(Path("run.yaml"))
    if file is None and may_begin:
        file = Path("plugins.yaml")
    if file is None or (not lockfile.is_there(file) and not may_begin):
        raise ConfigError(
            f"there is no {file or 'plugins.yaml here or above'}",
            fix="begin one: specloom plugins add NAME --git URL --tag TAG",
        )
    return Project(file, offline, allow_file, probe, dry)


def tell(value: Any, as_json: bool, lines: Sequence[str]) -> None:
    """Print the answer: as JSON, or as lines for a person."""
    if as_json:
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        for line in lines:
            click.echo(line)


def warn(notices: Sequence[str]) -> None:
    """Print what the user should know of."""
    for notice in notices:
        click.echo(f"warning: {notice}", err=True)
