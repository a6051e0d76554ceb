"""The command line: a thin skin over ``specloom.load``; plugins add commands of their own."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from specloom.errors import SpecloomError

OURS, INTERRUPTED = 70, 130


class Commands(click.Group):
    """The kernel's commands and those that plugins offer, which are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the kernel's and of all plugins' commands."""
        from specloom.catalogue import commands

        return sorted({*super().list_commands(ctx), *commands()})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """A command; a plugin's is imported only to be run, not to be listed."""
        if (own := super().get_command(ctx, name)) is not None:
            return own
        from specloom.catalogue import commands

        if (known := commands().get(name)) is None:
            return None
        if ctx.resilient_parsing or (ctx.invoked_subcommand is None and "--help" in sys.argv[1:2]):
            return click.Command(name, short_help=known["help"])
        from specloom.plugins import Plugins

        loaded: click.Command = Plugins().load(known["target"], known["plugin"], "")
        return loaded

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name; an unknown one gets a suggestion."""
        from specloom.errors import did_you_mean

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as e:
            fix = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f"{e.message} {fix.capitalize()}", ctx) from e


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "--version", package_name="specloom")
def cli() -> None:
    """Run graphs of plugins on hyperspectral images."""


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change one value of the file, such as nodes.rx.config.eps=0; may be repeated.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the results go; by default a new folder under runs/.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda",
    help="Where the arrays live.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="The seed of every random number, in place of the file's.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Print each node's sizes before the run.")
def run(
    file: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    device: str,
    seed: int | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Run every phase of FILE and write what comes out."""
    import specloom
    from specloom import results
    from specloom.table import metrics_table

    loaded = specloom.load(file, overrides, device=device, seed=seed, observed=True)
    if verbose:
        click.echo(summary(loaded.graph), err=True)
    folder = out or results.fresh_folder(str(loaded.metadata["name"]))
    results.check_folder(folder)
    loaded.go()
    results.write(loaded, folder, file=str(file), overrides=overrides)
    if as_json:
        click.echo(json.dumps(loaded.metrics, indent=2))
    else:
        if loaded.metrics:
            click.echo(metrics_table(loaded.metrics) + "\n")
        click.echo(f"results: {folder}")


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change one value of the files; may be repeated.",
)
@click.option("-v", "--verbose", is_flag=True, help="Print each node's sizes.")
def check(files: tuple[Path, ...], overrides: tuple[str, ...], verbose: bool) -> None:
    """Check FILES: build each graph and tell everything that is wrong, without reading a pixel."""
    import specloom

    failed = False
    for file in files:
        try:
            graph = specloom.load(file, overrides, device="cpu").graph
        except SpecloomError as e:
            click.echo(_told(e), err=True)
            failed = True
            continue
        unknown = f"; sizes not known yet: {', '.join(graph.unbuilt)}" if graph.unbuilt else ""
        click.echo(
            f"{file}: good, {len(graph.nodes)} nodes, {len(graph.links)} connections{unknown}"
        )
        if verbose:
            click.echo(summary(graph))
    if failed:
        sys.exit(SpecloomError.exit_code)


@cli.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the descriptors as JSON.")
def nodes(name: str | None, as_json: bool) -> None:
    """List what plugins offer, or describe NAME: its ports and parameters."""
    from specloom import describe
    from specloom.plugins import Plugins
    from specloom.table import table

    plugins = Plugins.for_file(Path("run.yaml"))
    if plugins.manifest:
        click.echo(f"plugins of {plugins.manifest}; installed ones are ignored", err=True)
    found = dict([describe.find_one(plugins, name)]) if name else describe.descriptors(plugins)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif name:
        ((label, one),) = found.items()
        click.echo(f"{label}\n\n{one['doc']}\n\n{describe.port_table(one)}\n")
        rows = [[key, _type(one_), _default(one_)] for key, one_ in one["params"].items()]
        if rows:
            click.echo(table([["parameter", "type", "default"], *rows]))
    elif found:
        rows = [[label, one["kind"], one["doc"].partition("\n")[0]] for label, one in found.items()]
        click.echo(table([["name", "kind", "what"], *rows]))
    else:
        click.echo("no plugin is installed")


@cli.command()
@click.option(
    "--out", type=click.Path(path_type=Path), help="The file to write, instead of printing."
)
def schema(out: Path | None) -> None:
    """Print the JSON Schema of run files, for editors that complete and check them."""
    from specloom import describe
    from specloom.plugins import Plugins
    from specloom.state import write_file

    text = json.dumps(
        describe.schema(describe.descriptors(Plugins.for_file(Path("run.yaml")))), indent=2
    )
    if out is None:
        click.echo(text)
    else:
        write_file(out, (text + "\n").encode())


def summary(graph: Any) -> str:
    """The nodes of a graph in running order, each with the sizes it was built for."""
    from specloom.table import table

    rows = [
        [
            name,
            graph.types.get(name, ""),
            ", ".join(
                f"{a}={s}" for a, s in sorted(getattr(graph.nodes[name], "built_for", {}).items())
            ),
        ]
        for name in graph.order
    ]
    return table([["node", "type", "sizes"], *rows])


def main() -> None:
    """Run the command line; errors of the user's are told without a traceback."""
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except SpecloomError as e:
        click.echo(_told(e), err=True)
        sys.exit(e.exit_code)
    except click.ClickException as e:
        e.show()
        sys.exit(e.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(OURS)
    except Exception as e:
        from specloom.results import write_log

        click.echo(
            f"specloom failed, and it is not your fault: {type(e).__name__}: {e}\n"
            f"  fix: report it with the log {write_log(e)}",
            err=True,
        )
        sys.exit(OURS)


def _told(error: SpecloomError) -> str:
    return "\n".join(
        f"error: {line}" if not line.startswith("  ") else line for line in str(error).splitlines()
    )


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(map(repr, schema["enum"]))
    inner = schema.get("items")
    return f"{schema.get('type', 'any')}" + (f" of {_type(inner)}" if inner else "")


def _default(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema["default"]) if "default" in schema else "required"
