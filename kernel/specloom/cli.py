"""The command line: a thin skin over ``specloom.load``; plugins add commands of their own."""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

import specloom
from specloom.contract.errors import SpecloomError, did_you_mean, machine_error, raise_all
from specloom.execution import run_folder
from specloom.plugins import Plugins
from specloom.threads import threads_option


def described_commands() -> dict[str, str]:
    """What the descriptors of installed plugins say of their commands: a line of help by name.

    So ``--help`` imports no plugin, and none can break it.
    """
    found, plugins = dict[str, str](), Plugins()
    for file in filter(None, map(plugins.descriptor, plugins.modules)):
        with suppress(OSError, ValueError, RecursionError):
            described = json.loads(file.read_text("utf-8")).items()
            found |= {name: one["doc"] for name, one in described if one["kind"] == "commands"}
    return found


class Commands(click.Group):
    """The kernel's commands and those that plugins offer, imported only when they are called."""

    described = dict[str, str]()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the alphabet's order."""
        self.described = described_commands()
        return sorted({*self.commands, *self.described})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The kernel's own command; for a plugin's, what lists show of it."""
        known = self.commands.get(name)
        return known or click.Command(name, short_help=self.described.get(name))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command to be called, with a suggestion where there is none of that name."""
        if (name := args[0]) in self.commands:
            return name, self.commands[name], args[1:]
        plugins = Plugins()
        offered = {label.partition(".")[2]: label for label in plugins.offers(("commands",))}
        if name not in offered:
            fix = did_you_mean(name, [*self.commands, *offered]).capitalize()
            raise click.UsageError(f"No such command {name!r}. {fix}", ctx)
        return name, plugins.find(offered[name], ("commands",), "")[1], args[1:]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "--version", package_name="specloom")
def cli() -> None:
    """Run graphs of plugins on hyperspectral images."""


path = click.Path(path_type=Path)
set_help = "Change a value of the file: nodes.rx.config.eps=0."
change = click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help=set_help)


@cli.command()
@click.argument("path", metavar="FILE", type=path, required=False)
@change
@click.option("--out", type=path, metavar="DIR", help="Where results go [default: under runs/].")
@click.option("--resume", type=path, metavar="DIR", help="Go on with the killed run in DIR.")
@click.option("--overwrite", is_flag=True, help="Replace what the folder of results holds.")
@click.option("--device", default="auto", metavar="auto|cpu|cuda|cuda:N", help="Where arrays live.")
@click.option("--seed", type=click.IntRange(0), help="In place of the file's seed.")
@threads_option
@click.option("--fold/--no-fold", default=True, help="Fold affine nodes into those behind them.")
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
def run(out: Path | None, resume: Path | None, fold: bool, as_json: bool, **asked: Any) -> None:
    """Run every phase of FILE and write what comes out."""
    anyway = asked.pop("overwrite") or resume is not None
    if resume:
        asked = run_folder.interrupted_run(resume)
    elif asked["path"] is None:
        raise click.UsageError("give a run file, or --resume DIR")
    first = os.environ.get("RANK", "0") == "0"  # of several processes, one watches and writes
    loaded = specloom.load(**asked, observed=first)
    loaded.resumed, loaded.fold = resume is not None, fold
    loaded.folder = resume or out or run_folder.fresh_folder(str(loaded.metadata["name"]))
    if first:
        run_folder.run_in_folder(loaded, loaded.folder, anyway=anyway)
        click.echo(json.dumps(loaded.metrics, indent=2) if as_json else f"results: {loaded.folder}")
    else:
        loaded.run()


@cli.command()
@click.argument("files", nargs=-1, required=True, type=path)
@change
@click.option("--weights", is_flag=True, help="Look for the files of weights, too.")
def check(files: tuple[Path, ...], overrides: tuple[str, ...], weights: bool) -> None:
    """Check FILES and tell everything that is wrong, without reading a pixel."""
    failed = False
    for file in files:
        try:
            one = specloom.load(file, overrides, device="cpu")
            raise_all(one.graph.missing() if weights else [])
        except SpecloomError as e:
            click.echo(told(e), err=True)
            failed = True
            continue
        notes: list[str] = getattr(one.source, "notes", list)()
        for message in [*one.graph.unread(), *notes, *one.skipped()]:
            click.echo(f"warning: {message}", err=True)
        unknown = ""
        if one.graph.unbuilt:
            unknown = f"; not sized yet: {', '.join(one.graph.unbuilt)}"
        counts = f"{len(one.graph.nodes)} nodes, {len(one.graph.links)} connections"
        click.echo(f"{file}: good, {counts}{unknown}")
    sys.exit(SpecloomError.exit_code if failed else 0)


def told(error: SpecloomError) -> str:
    """An error as the command line shows it."""
    lines = str(error).splitlines()
    return "\n".join(line if line.startswith("  ") else f"error: {line}" for line in lines)


def main() -> None:
    """Run the command line; a user's errors are told without a traceback."""
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except (SpecloomError, click.ClickException) as e:
        click.echo(told(e), err=True) if isinstance(e, SpecloomError) else e.show()
        sys.exit(e.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except Exception as e:
        known = machine_error(e)
        if known is not None:
            click.echo(told(known), err=True)
            sys.exit(known.exit_code)
        click.echo(f"specloom failed, and it is not your fault: {type(e).__name__}: {e}", err=True)
        click.echo(f"  fix: report it with the log {run_folder.write_log(e)}", err=True)
        sys.exit(70)
