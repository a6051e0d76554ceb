"""The command line: a thin skin over ``specloom.load``; plugins add commands of their own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from specloom.errors import SpecloomError, did_you_mean
from specloom.table import metrics_table, sizes_table

OURS, INTERRUPTED = 70, 130


class Borrowed(click.Command):
    """A plugin's command, imported when it is called and not when it is listed."""

    def __init__(self, name: str, known: dict[str, str]) -> None:
        super().__init__(name, short_help=known["help"])
        self.known = known

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Hand the call over to the plugin's own command."""
        from specloom.plugins import Plugins

        command = Plugins().load(self.known["target"], self.known["plugin"], "")
        context: click.Context = command.make_context(*args, **kwargs)
        return context


class Commands(click.Group):
    """The kernel's commands and those that plugins offer."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the alphabet's order."""
        from specloom.catalogue import commands

        return sorted({*super().list_commands(ctx), *commands()})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The kernel's own command of that name, or a plugin's."""
        from specloom.catalogue import commands

        own = super().get_command(ctx, name)
        if own is not None or (known := commands().get(name)) is None:
            return own
        return Borrowed(name, known)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click does it, with a suggestion where there is no such command."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as e:
            fix = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f"{e.message} {fix.capitalize()}", ctx) from e


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "--version", package_name="specloom")
def cli() -> None:
    """Run graphs of plugins on hyperspectral images."""


path = click.Path(path_type=Path)
set_help = "Change a value of the file: nodes.rx.config.eps=0."
change = click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help=set_help)
verbosely = click.option("-v", "--verbose", is_flag=True, help="Print each node's sizes.")


@cli.command()
@click.argument("file", type=path)
@change
@click.option("--out", type=path, metavar="DIR", help="Where results go [default: under runs/].")
@click.option("--device", default="auto", metavar="auto|cpu|cuda", help="Where arrays live.")
@click.option("--seed", type=click.IntRange(0), help="In place of the file's seed.")
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
@verbosely
def run(file: Path, overrides: tuple[str, ...], **options: Any) -> None:
    """Run every phase of FILE and write what comes out."""
    import specloom
    from specloom import results

    seed, device = options["seed"], options["device"]
    loaded = specloom.load(file, overrides, device=device, seed=seed, observed=True)
    if options["verbose"]:
        click.echo(sizes_table(loaded.graph), err=True)
    folder = options["out"] or results.fresh_folder(str(loaded.metadata["name"]))
    results.check_folder(folder)
    loaded.go()
    results.write(loaded, folder, file=str(file), overrides=overrides)
    if options["as_json"]:
        click.echo(json.dumps(loaded.metrics, indent=2))
    else:
        click.echo(metrics_table(loaded.metrics) + f"results: {folder}")


@cli.command()
@click.argument("files", nargs=-1, required=True, type=path)
@change
@verbosely
def check(files: tuple[Path, ...], overrides: tuple[str, ...], verbose: bool) -> None:
    """Check FILES and tell everything that is wrong, without reading a pixel."""
    import specloom

    failed = False
    for file in files:
        try:
            graph = specloom.load(file, overrides, device="cpu").graph
        except SpecloomError as e:
            click.echo(told(e), err=True)
            failed = True
            continue
        unknown = f"; not sized yet: {', '.join(graph.unbuilt)}" if graph.unbuilt else ""
        counts = f"{len(graph.nodes)} nodes, {len(graph.links)} connections"
        click.echo(f"{file}: good, {counts}{unknown}")
        if verbose:
            click.echo(sizes_table(graph))
    sys.exit(SpecloomError.exit_code if failed else 0)


def told(error: SpecloomError) -> str:
    """An error as the command line shows it."""
    lines = str(error).splitlines()
    return "\n".join(line if line.startswith("  ") else f"error: {line}" for line in lines)


def main() -> None:
    """Run the command line; a user's errors are told without a traceback."""
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except SpecloomError as e:
        click.echo(told(e), err=True)
        sys.exit(e.exit_code)
    except click.ClickException as e:
        e.show()
        sys.exit(e.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except Exception as e:
        from specloom.results import write_log

        click.echo(f"specloom failed, and it is not your fault: {type(e).__name__}: {e}", err=True)
        click.echo(f"  fix: report it with the log {write_log(e)}", err=True)
        sys.exit(OURS)
