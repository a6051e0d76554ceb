"""The command line: a thin skin over ``specloom.load``; plugins add commands of their own."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import click

import specloom
from specloom.completion import complete_run_folders
from specloom.contract.errors import (
    ConfigError,
    PluginError,
    SpecloomError,
    did_you_mean,
    machine_error,
    printable,
    raise_all,
)
from specloom.contract.memory import refuse_torch_without_memory
from specloom.contract.sources import DescribedSplit
from specloom.execution import resuming, run_folder, termination
from specloom.execution.data_description import assumptions, data_notes
from specloom.execution.executors import on_options, working_on
from specloom.logs import log_file_option
from specloom.plugins import (
    RECORD,
    RESOLVER,
    Plugins,
    find_manifest,
    find_record,
    installed_resolver,
    not_named_fix,
)
from specloom.threads import threads_option

FROZEN = "SPECLOOM_FROZEN"
HERE = "run.yaml"  # need not exist: it stands for the current folder
RUN_FILES = (".yaml", ".yml")
#: The exit code of a strict run in which a check failed.
FAILED_CHECK = 1
#: Commands that report what is wrong with a manifest, among other things.
DIAGNOSTIC = ("doctor",)


TO_RUN = "'specloom run FILE', which runs all phases of a run file: fits, training, evaluation"
TO_PREDICT = "'specloom predict PIPELINE CUBES --out DIR'"
TO_CHECK = "'specloom check FILE'"
TO_LIST = "'specloom nodes' for nodes, 'specloom plugins list' for plugins"
TO_DESCRIBE = "'specloom info CUBE', or 'specloom nodes NAME'"
TO_MAKE = "'specloom new run TEMPLATE --out FILE', or 'specloom new plugin NAME'"
OTHER_WORDS = {
    **dict.fromkeys(("train", "fit", "evaluate", "eval", "test", "start", "execute"), TO_RUN),
    **dict.fromkeys(("apply", "infer", "inference", "score", "classify"), TO_PREDICT),
    **dict.fromkeys(("validate", "lint", "verify"), TO_CHECK),
    **dict.fromkeys(("list", "ls"), TO_LIST),
    **dict.fromkeys(("create", "make", "template"), TO_MAKE),
    **dict.fromkeys(("show", "describe", "inspect"), TO_DESCRIBE),
    **dict.fromkeys(("install", "add"), "'specloom plugins add NAME'"),
    **dict.fromkeys(("version", "versions"), "'specloom doctor'"),
    **dict.fromkeys(("view", "html"), "'specloom report RUN_DIR'"),
}
"""The commands for what is called by other words elsewhere."""


class Commands(click.Group):
    """The kernel's commands and those that plugins offer, imported only when they are called.

    Plugins are those of the manifest that governs the current folder, else the installed ones.
    """

    described = dict[str, str]()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the alphabet's order; no plugin is imported."""
        self.described = {}
        for commands in _plugins_here().described_commands().values():
            self.described |= commands
        return sorted({*self.commands, *self.described})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The kernel's own command; for a plugin's, what lists show of it."""
        if name in self.commands:
            return self.commands[name]
        short_help = self.described.get(name)
        return click.Command(name, short_help=short_help)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command to be called, with a suggestion where there is none of that name."""
        name, *rest = args
        if "--frozen" in rest:
            os.environ[FROZEN] = "1"
        if name in self.commands:
            return name, self.commands[name], rest
        command = self._offered_command(ctx, name, rest)
        if not isinstance(command, click.Group) and "--frozen" not in _option_names(command):
            command = frozen_option(command)
        return name, command, rest

    def _offered_command(self, ctx: click.Context, name: str, args: list[str]) -> Any:
        """The command of that name that a plugin offers, imported.

        Raises:
            PluginError: Only a plugin offers it that the manifest does not name, or that is not
                installed.
            UsageError: There is no such command.
        """
        available = Plugins()
        own = available.described_commands().get(RESOLVER, {})
        if name in own:  # these repair manifests, so that none is read for them
            return _load_command(available, RESOLVER, name)
        try:
            plugins = Plugins.for_file(_governing_file(args))
        except SpecloomError:
            if name not in DIAGNOSTIC or FROZEN in os.environ:
                raise
            plugins = available
        owner = _owner(plugins, name)
        if owner:
            return _load_command(plugins, owner, name)
        for other, commands in available.described_commands().items():
            if name in commands and plugins.manifest is not None:
                what = (
                    f"no command {name!r} is offered here: the plugin {other!r} has it and is "
                    f"installed, but {plugins.present_manifest} does not name it"
                )
                raise PluginError(what, fix=not_named_fix(other))
        _raise_if_known(name)
        if name in OTHER_WORDS:
            raise click.UsageError(f"No such command {name!r}. Use {OTHER_WORDS[name]}", ctx)
        names = [*self.commands, *own]
        for commands in plugins.described_commands().values():
            names += commands
        fix = did_you_mean(name, names).capitalize()
        raise click.UsageError(f"No such command {name!r}. {fix}", ctx)


def _plugins_here() -> Plugins:
    """The plugins of the current folder; those of the registry where the manifest is damaged."""
    try:
        return Plugins.for_file(Path(HERE))
    except SpecloomError as e:
        click.echo(f"warning: commands of plugins are not listed: {e.what}", err=True)
    modules = {name: module for name, module in Plugins().modules.items() if name == RESOLVER}
    return Plugins(modules)


def _governing_file(args: list[str]) -> Path:
    """The file whose plugins a command has: a saved pipeline, a run file, or one in this folder."""
    for text in args:
        place = Path(text)
        with suppress(OSError, ValueError):
            if find_record(place / RECORD) is not None:
                return place / RECORD
            if find_record(place) is not None:
                return place
            if place.suffix in RUN_FILES and place.is_file() and find_manifest(place) is not None:
                return place
    return Path(HERE)


def _owner(plugins: Plugins, name: str) -> str:
    """The plugin that offers a command; empty where there is none.

    Of plugins with a descriptor none is imported.
    """
    described = plugins.described_commands()
    for plugin, commands in described.items():
        if name in commands:
            return plugin
    for plugin in sorted(plugins.modules.keys() - described.keys()):
        with suppress(SpecloomError):
            if f"{plugin}.{name}" in plugins.offers(("commands",), plugin):
                return plugin
    return ""


def _raise_if_known(command: str) -> None:
    """Raise PluginError where a plugin is known that has the command and is not installed."""
    plugins = Plugins(installed_resolver())
    for resolver in plugins.modules:
        plugins.need(resolver)
    owner = plugins.manager.hook.find_command(name=command)
    if owner is not None:
        what = f"no command {command!r} is offered here: the plugin {owner!r} has it"
        fix = f"run: specloom plugins add {owner}, or: pip install specloom-{owner}"
        raise PluginError(what, fix=fix)


def _load_command(plugins: Plugins, plugin: str, name: str) -> Any:
    """The command of a plugin, imported."""
    _label, command = plugins.find(f"{plugin}.{name}", ("commands",), "")
    return command


def _option_names(command: click.Command) -> set[str]:
    """The options of a command, as they are written."""
    names: set[str] = set()
    for parameter in command.params:
        names.update(parameter.opts)
    return names


def _set_frozen(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Make a plugin that is not as it was locked or recorded an error, in this process."""
    if value:
        os.environ[FROZEN] = "1"


frozen_option = click.option(
    "--frozen",
    is_flag=True,
    expose_value=False,
    callback=_set_frozen,
    help="Refuse plugins that are not as locked, or not those of the run.",
)


def _labels_of_commands(plugins: Plugins) -> dict[str, str]:
    """The full name of each command that plugins offer, such as ``cubes.predict``."""
    labels = {}
    for label in plugins.offers(("commands",)):
        _plugin, _, name = label.partition(".")
        labels[name] = label
    return labels


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "--version", package_name="specloom")
def cli() -> None:
    """Run graphs of plugins on hyperspectral images."""


path = click.Path(path_type=Path)
set_help = "Override one value of the run file; PATH+=VALUE appends to a list (repeatable)."
change = click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help=set_help)


@cli.command()
@click.argument("path", metavar="FILE", type=path, required=False)
@change
@click.option(
    "-o",
    "--out",
    type=path,
    metavar="DIR",
    help="Folder for the results [default: a new one in runs/].",
)
@click.option(
    "--resume",
    type=path,
    metavar="DIR",
    help="Resume the interrupted run in DIR.",
    shell_complete=complete_run_folders,
)
@click.option("--overwrite", is_flag=True, help="Replace the results that the folder holds.")
@click.option(
    "--device",
    metavar="DEVICE",
    help="Compute device: auto (a GPU if there is one), cpu, cuda, cuda:N.",
)
@click.option("--seed", type=click.IntRange(0), help="Override the seed of the run file.")
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with 1 where an evaluated cube is unlike what the pipeline was fitted on.",
)
@on_options
@threads_option
@frozen_option
@click.option(
    "--fold/--no-fold",
    default=True,
    help="Fold affine and linear nodes into the maps that read them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Show only warnings and errors.")
@click.option("-v", "--verbose", is_flag=True, help="Show everything that is known of the data.")
@log_file_option
def run(
    out: Path | None,
    resume: Path | None,
    overwrite: bool,
    strict: bool,
    fold: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    on: str | None,
    workers: int | None,
    insecure: bool,
    **arguments: Any,
) -> None:
    """Run all phases of FILE and write the results."""
    is_first = os.environ.get("RANK", "0") == "0"  # of several processes, one watches and writes
    if resume is not None:
        if out is not None and out != resume:
            raise click.UsageError(f"--resume {resume} writes into {resume}, not {out}")
        loaded, changes = resuming.resume(resume, **arguments, observed=is_first)
        if changes and is_first:
            click.echo(f"going on with {resume}: {'; '.join(changes)}", err=True)
    else:
        loaded = _started(observed=is_first, **arguments)
    loaded.fold = fold
    loaded.quiet = quiet
    loaded.verbose = verbose
    folder = resume or out
    if folder is None:
        folder = run_folder.fresh_folder(str(loaded.metadata["name"]))
    loaded.folder = folder
    if not is_first:
        loaded.run()
        return
    may_replace = overwrite or loaded.resumed
    with working_on(loaded, on, workers, insecure=insecure, folder=folder):
        run_folder.run_in_folder(loaded, folder, anyway=may_replace)
    if as_json:
        metrics = json.dumps(loaded.metrics, indent=2)
        click.echo(metrics)
    else:
        page = folder / "report.html"
        if page.is_file():
            click.echo(f"look at: {page}", err=True)
        click.echo(f"results: {folder}")
    if strict and loaded.failed_checks:
        sys.exit(FAILED_CHECK)


def _started(path: Path | None, device: str | None, **arguments: Any) -> specloom.Run:
    """The run of a file.

    Raises:
        UsageError: No file is given.
    """
    if path is None:
        raise click.UsageError("give a run file, or --resume DIR")
    _refuse_run_folder(path)
    return specloom.load(path, device=device or "auto", **arguments)


def _refuse_run_folder(path: Path) -> None:
    """Raise ConfigError where a path is the folder of a run, which only ``predict`` applies."""
    if (path / RECORD).is_file() or (path / "pipeline.yaml").is_file():
        what = f"{path} is the folder that a run wrote, not a run file"
        fix = f"give the run file; to apply the pipeline: specloom predict {path} CUBE --out DIR"
        raise ConfigError(what, fix=fix)


@cli.command()
@click.argument("files", metavar="FILES...", nargs=-1, required=True, type=path)
@change
@click.option("--weights", is_flag=True, help="Check also that the files of weights exist.")
@frozen_option
def check(files: tuple[Path, ...], overrides: tuple[str, ...], weights: bool) -> None:
    """Check FILES and report every problem, without reading a pixel."""
    failed = False
    for file in files:
        try:
            _refuse_run_folder(file)
            loaded = specloom.load(file, overrides, device="cpu")
            if weights:
                raise_all(loaded.graph.missing_files())
            splits = loaded.describe_data()
        except SpecloomError as e:
            _print_message(format_error(e))
            failed = True
        else:
            _report_good(file, loaded, splits)
    if failed:
        sys.exit(SpecloomError.exit_code)


def _report_good(
    file: Path,
    loaded: specloom.Run,
    splits: Mapping[str, DescribedSplit],
) -> None:
    """Print the warnings of a run file without errors, and what it holds."""
    graph = loaded.graph
    messages = graph.notes()
    if hasattr(loaded.source, "notes"):
        place = graph.where("data")
        messages += [f"{place}: {note}" for note in loaded.source.notes()]
    messages += [str(note) for note in data_notes(graph, splits)]
    messages += [str(note) for note in loaded.unfitted()]
    messages += loaded.skipped()
    for message in messages:
        _print_message(f"warning: {message}")
    for text in assumptions(splits):
        _print_message(f"note: {graph.where('data')}: {text}")
    summary = f"{file}: good, {len(graph.nodes)} nodes, {len(graph.connections)} connections"
    if graph.unbuilt:
        unsized = ", ".join(graph.unbuilt)
        summary = f"{summary}; not sized yet: {unsized}"
    click.echo(summary)


def format_error(error: SpecloomError) -> str:
    """An error as the command line shows it."""
    lines = []
    for line in str(error).splitlines():
        is_detail = line.startswith("  ")
        if not is_detail:
            line = f"error: {line}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    """Run the command line; a user's errors are shown without a traceback."""
    refuse_torch_without_memory()
    try:
        with termination.terminable():
            exit_code = cli.main(standalone_mode=False)
        sys.exit(exit_code or 0)
    except SpecloomError as e:
        _print_message(format_error(e))
        sys.exit(e.exit_code)
    except click.ClickException as e:
        e.show()
        sys.exit(e.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(interrupted())
    except Exception as e:
        sys.exit(report_unexpected(e))


def interrupted() -> int:
    """Print that the user, or SIGTERM, has interrupted the command; its exit code."""
    if termination.was_terminated():
        click.echo("terminated (SIGTERM)", err=True)
        return termination.EXIT_CODE
    click.echo("interrupted", err=True)
    return 130


COLOURS = {"error": "red", "warning": "yellow", "note": "cyan", "  fix": "green"}
"""The colours of the words at the beginning of messages."""


def _print_message(text: str) -> None:
    """Print a message to standard error."""
    click.echo(coloured(text, sys.stderr), err=True)


def coloured(text: str, stream: TextIO) -> str:
    """A message with the words at the beginning of its lines in colour, on a terminal that has it.

    ``NO_COLOR`` in the environment, whatever its value, turns colours off (no-color.org).
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    lines = []
    for line in text.splitlines():
        word, colon, rest = line.partition(":")
        if colon and word in COLOURS:
            line = click.style(f"{word}:", fg=COLOURS[word], bold=True) + rest
        lines.append(line)
    return "\n".join(lines)


def report_unexpected(error: Exception) -> int:
    """Print an error that no part of specloom expected; its exit code."""
    cause = machine_error(error)
    if cause is not None:
        _print_message(format_error(cause))
        return cause.exit_code
    log = run_folder.write_log(error)
    what = printable(f"Internal error ({type(error).__name__}: {error})")
    click.echo(f"{what}: this is a bug, please report it with the log {log}", err=True)
    return 70
