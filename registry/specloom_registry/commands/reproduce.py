"""``specloom reproduce`` and ``specloom compare``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from specloom.completion import complete_run_folders
from specloom.contract.errors import printable
from specloom_registry.base.table import table
from specloom_registry.commands import options
from specloom_registry.store import tree

INTERNAL_ERROR = 70
FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("run_dir", type=FOLDER, shell_complete=complete_run_folders)
@click.option(
    "--check", is_flag=True, help="Compare metrics and weights; exit with 1 if they differ."
)
@click.option(
    "-o",
    "--out",
    type=FOLDER,
    metavar="DIR",
    help="The folder of the results [default: one under runs/].",
)
@click.option(
    "--from",
    "vendored",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder written by 'plugins vendor', tried first.",
)
@click.option(
    "--requirements",
    type=FOLDER,
    metavar="FILE",
    help="Only write the packages that the run had, for pip install -r.",
)
@click.option("--yes", is_flag=True, help="Run what another user recorded without a question.")
@options.JSON
@options.OFFLINE
@options.FILE
def reproduce(
    run_dir: Path,
    check: bool,
    out: Path | None,
    vendored: Path | None,
    requirements: Path | None,
    yes: bool,
    as_json: bool,
    offline: bool,
    allow_file: bool,
) -> None:
    """Repeat the run in RUN_DIR with the same plugins, data and seed."""
    from specloom.contract.errors import ConfigError
    from specloom.execution.run_folder import fresh_folder
    from specloom_registry.provenance import reproduce as reproduction

    record = reproduction.read_finished(run_dir)
    if requirements is not None:
        _write_requirements(requirements, record)
        return
    if not yes:
        _confirm_other_user(run_dir, record)
    if check:
        reproduction.check_results(run_dir, record)
    folder = out or fresh_folder(f"{tree.resolved(run_dir).name}-again")
    if tree.resolved(folder) == tree.resolved(run_dir):
        what = f"{folder} holds the run to reproduce"
        raise ConfigError(what, fix="choose another folder with --out")
    fetched = reproduction.prepare(
        record, folder, offline=offline, allow_file=allow_file, vendored=vendored
    )
    if fetched:
        click.echo(f"fetched: {', '.join(fetched)}", err=True)
    code = reproduction.repeat(record, run_dir, folder)
    if code:
        sys.exit(code if code > 0 else INTERNAL_ERROR)  # negative: killed by a signal
    if not check:
        options.print_result({"out": str(folder)}, as_json, [f"results: {folder}"])
        return
    comparison = reproduction.compare(run_dir, folder)
    value = {
        "equal": comparison.equal,
        "metrics": comparison.metrics,
        "weights": comparison.weights,
        "changes": comparison.changes,
        "out": str(folder),
    }
    options.print_result(value, as_json, [*comparison.lines(), f"results: {folder}"])
    if not comparison.equal:
        sys.exit(1)


def _write_requirements(file: Path, record: Mapping[str, Any]) -> None:
    from specloom.execution.files import write_file
    from specloom_registry.provenance import run_record

    write_file(file, run_record.requirements(record).encode())
    click.echo(f"requirements: {file}")


def _confirm_other_user(run_dir: Path, record: Mapping[str, Any]) -> None:
    """List the code that a run of another user brings, and go on only if the user agrees.

    Raises:
        PluginIntegrityError: The user does not, or cannot answer.
    """
    from specloom_registry.base import ownership
    from specloom_registry.base.faults import PluginIntegrityError
    from specloom_registry.provenance import run_record

    owner = ownership.other_owner(run_dir) or ownership.other_owner(run_dir / "run.json")
    if owner is None or ownership.is_trusted(run_dir):
        return
    lines = [f"{run_dir} belongs to another user ({owner}). Reproducing it runs the code of"]
    lines += [f"  {line}" for line in run_record.origins(record)]
    click.echo(printable("\n".join(lines)), err=True)
    agreed = False
    with suppress(click.Abort):
        agreed = click.confirm("Run it?", err=True)
    if not agreed:
        what = f"E-OWNER the run belongs to another user ({owner}); nothing was run"
        fix = "look at the list above, and if you trust all of it add --yes"
        raise PluginIntegrityError(what, where=str(run_dir), fix=fix)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=FOLDER, shell_complete=complete_run_folders)
@click.option("--packages", is_flag=True, help="Also list packages whose versions differ.")
@options.JSON
def compare(runs: tuple[Path, ...], packages: bool, as_json: bool) -> None:
    """Compare RUNS: their metrics, and differences in parameters, plugins and data."""
    from specloom.contract.errors import ConfigError
    from specloom_registry.provenance import run_record

    if len({run.resolve() for run in runs}) < 2:
        fix = f"give another run too: specloom compare {runs[0]} RUN"
        raise ConfigError("there is one run, and nothing to compare it with", fix=fix)
    records = {str(run): run_record.read(run) for run in runs}
    metrics = {name: run_record.metrics(Path(name)) for name in records}
    parameters = {name: run_record.parameters(record) for name, record in records.items()}
    circumstances = {name: run_record.circumstances(record) for name, record in records.items()}
    different_parameters = run_record.differing(parameters)
    different_circumstances = [
        key
        for key in run_record.differing(circumstances)
        if packages or as_json or not key.startswith("package ")
    ]
    options.print_warnings(
        [
            f"{name} was stopped before its end, or is still running"
            for name, record in records.items()
            if not record["ended"]
        ]
    )
    value = {
        name: {
            "metrics": metrics[name],
            "parameters": {key: parameters[name].get(key) for key in different_parameters},
            "facts": {key: circumstances[name].get(key) for key in different_circumstances},
            "ended": record["ended"],
        }
        for name, record in records.items()
    }
    numbers = {name: _format_numbers(values) for name, values in metrics.items()}
    metric_names = list(dict.fromkeys(key for values in metrics.values() for key in values))
    tables = [
        _format_table("metric", metric_names, numbers),
        _format_table("parameter that differs", different_parameters, parameters),
        _format_table("circumstance that differs", different_circumstances, circumstances),
    ]
    text = "\n\n".join(one for one in tables if one)
    options.print_result(value, as_json, [text or "nothing to compare"])


def _format_table(title: str, keys: Sequence[str], values: Mapping[str, Mapping[str, str]]) -> str:
    """Format one row for each key and one column for each run; empty without a key."""
    if not keys:
        return ""
    runs = list(values.values())
    body = [[key, *(run.get(key) or "-" for run in runs)] for key in keys]
    return table([[title, *values], *body], right=range(1, len(values) + 1))


def _format_numbers(metrics: Mapping[str, float | None]) -> dict[str, str]:
    return {name: f"{value:.6g}" for name, value in metrics.items() if value is not None}
