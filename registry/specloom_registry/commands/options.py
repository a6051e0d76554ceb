"""Options that the commands of ``specloom plugins`` share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specloom.contract.errors import printable

if TYPE_CHECKING:
    from specloom_registry.project.project import Project

MANIFEST = click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    help="The manifest; by default the nearest plugins.yaml.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
OFFLINE = click.option(
    "--offline", is_flag=True, envvar="SPECLOOM_OFFLINE", help="Do not use the network."
)
DRY = click.option(
    "--dry-run", "dry", is_flag=True, help="Change nothing; print what would be done."
)
FILE = click.option(
    "--allow-file", is_flag=True, help="Allow file:// URLs of repositories on this machine."
)
PROBE = click.option(
    "--probe/--no-probe", default=True, help="Import each plugin once, in a process of its own."
)
GIT = click.option(
    "--git", help="The repository's URL [default: SPECLOOM_INDEX, or 'index' of the manifest]."
)
TAG = click.option("--tag", help="The tag [default: that of the newest compatible version].")
SUBDIR = click.option("--subdir", help="The plugin's folder within the repository.")
TAG_PATTERN = click.option(
    "--tag-pattern", help="How tags spell versions, such as 'rx-v{version}'."
)
PATH = click.option("--path", help="The plugin's folder, instead of a repository.")
Command = Callable[..., Any]


def common(command: Command) -> Command:
    """Add the options of all commands; one that only reads ignores those that do not matter."""
    return MANIFEST(JSON(OFFLINE(DRY(command))))


def fetching(command: Command) -> Command:
    """Add the options of a command that may fetch."""
    return common(FILE(command))


def changing(command: Command) -> Command:
    """Add the options of a command that changes something."""
    return fetching(PROBE(command))


def source(command: Command) -> Command:
    """Add the options of a command that names where a plugin comes from."""
    return GIT(TAG(SUBDIR(TAG_PATTERN(PATH(command)))))


def project(
    manifest: Path | None,
    *,
    offline: bool = False,
    allow_file: bool = False,
    dry: bool = False,
    probe: bool = True,
    may_create: bool = False,
) -> Project:
    """Return the project that a command works on.

    Raises:
        ConfigError: There is no manifest.
    """
    from specloom.contract.errors import ConfigError
    from specloom.plugins import find_manifest
    from specloom_registry.base.paths import may_exist
    from specloom_registry.project.project import Project

    file = manifest or find_manifest(Path("run.yaml"))
    if file is None and may_create:
        file = Path("plugins.yaml")
    missing = file is None or not may_exist(file)
    if file is None or (missing and not may_create):
        raise ConfigError(
            f"there is no {file or 'plugins.yaml here or above'}",
            fix="create one: specloom plugins add NAME --path FOLDER, or --git URL --tag TAG",
        )
    return Project(file, offline, allow_file, probe, dry)


def print_result(value: Any, as_json: bool, lines: Sequence[str]) -> None:
    """Print the result: as JSON, or as lines of text."""
    if as_json:
        click.echo(printable(json.dumps(value, indent=2, ensure_ascii=False)))
    else:
        for line in lines:
            click.echo(printable(line))


def print_warnings(notices: Sequence[str]) -> None:
    """Print warnings for the user."""
    for notice in notices:
        click.echo(printable(f"warning: {notice}"), err=True)
