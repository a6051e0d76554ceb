"""The command line: a thin skin over ``specloom.load``; plugins add commands of their own."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

import specloom
from specloom import results, state
from specloom.errors import SpecloomError, UnavailableError, did_you_mean
from specloom.plugins import Plugins
from specloom.table import table

OURS, INTERRUPTED = 70, 130
ASK = [sys.executable, "-c", "from specloom.cli import show_commands; show_commands()"]


def offered_commands() -> dict[str, dict[str, str]]:
    """What plugins offer, by name: ``plugin.name``, its ``"module:command"``, a line of help.

    It is remembered in the user's cache folder, and asked anew by a process of its own when a
    package was installed or removed, so that ``--help`` imports no plugin and none can break it.
    """
    # A package that comes or goes changes the time of a folder on sys.path.
    stamps = [(p, Path(p).stat().st_mtime_ns) for p in sys.path if "site" in p and Path(p).is_dir()]
    key = hashlib.sha256(repr((sys.path, sys.version, stamps)).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    file, found = cache / "specloom" / f"commands-{key}.json", dict[str, dict[str, str]]()
    with suppress(OSError, ValueError):
        found = json.loads(file.read_text("utf-8"))
    if not found:
        done = subprocess.run(ASK, capture_output=True, text=True, timeout=60, check=False)
        with suppress(ValueError, IndexError, UnavailableError):
            found = json.loads(done.stdout.splitlines()[-1])
            state.write_json(file, found)  # a cache that cannot be written costs time only
    return found


def show_commands() -> None:
    """Print the commands of every working plugin as one line of JSON."""
    plugins, found = Plugins(), {}
    for label, target in plugins.offers(("commands",)).items():
        help_ = plugins.load(target, label).get_short_help_str(80)
        found[label.partition(".")[2]] = {"label": label, "target": target, "help": help_}
    print(json.dumps(found))


class Commands(click.Group):
    """The kernel's commands and those that plugins offer, imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the alphabet's order."""
        return sorted({*self.commands, *offered_commands()})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The kernel's own command; for a plugin's, what lists show of it."""
        if name in self.commands or name not in (known := offered_commands()):
            return self.commands.get(name)
        return click.Command(name, short_help=known[name]["help"])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command to be called, with a suggestion where there is none of that name."""
        name, known = args[0], self.list_commands(ctx)
        if name not in known:
            fix = did_you_mean(name, known).capitalize()
            raise click.UsageError(f"No such command {name!r}. {fix}", ctx)
        if name in self.commands:
            return name, self.commands[name], args[1:]
        offered = offered_commands()[name]
        return name, Plugins().load(offered["target"], offered["label"]), args[1:]


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
def run(file: Path, overrides: tuple[str, ...], seed: int | None, **options: Any) -> None:
    """Run every phase of FILE and write what comes out."""
    loaded = specloom.load(file, overrides, device=options["device"], seed=seed, observed=True)
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


def metrics_table(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Metrics by name, one column for each split; nothing where nothing was measured."""
    names = dict.fromkeys(name for values in metrics.values() for name in values)
    rows = [[name, *(_number(m.get(name, "-")) for m in metrics.values())] for name in names]
    right = range(1, len(metrics) + 1)
    return table([["metric", *metrics], *rows], right=right) + "\n\n" if rows else ""


def sizes_table(graph: Any) -> str:
    """The nodes of a graph in running order, each with the sizes it was built for."""
    rows = [["node", "type", "sizes"]]
    for name in graph.order:
        sizes = sorted(getattr(graph.nodes[name], "built_for", {}).items())
        rows.append([name, graph.types.get(name, ""), ", ".join(f"{a} = {n}" for a, n in sizes)])
    return table(rows)


def _number(value: float | str) -> str:
    """Counts as they are, measures with four decimals."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


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
        click.echo(f"specloom failed, and it is not your fault: {type(e).__name__}: {e}", err=True)
        click.echo(f"  fix: report it with the log {results.write_log(e)}", err=True)
        sys.exit(OURS)
