"""``specloom reproduce`` and ``specloom compare``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from specloom_registry.commands import options
from specloom_registry.store import tree

FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("run_dir", type=FOLDER)
@click.option(
    "--check", is_flag=True, help="Compare metrics and weights; ends with 1 if not equal."
)
@click.option("--out", type=FOLDER, metavar="DIR", help="Where results go [default: under runs/].")
@click.option(
    "--from",
    "vendored",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder that 'plugins vendor' made, to take from first.",
)
@options.JSON
@options.OFFLINE
@options.FILE
def reproduce(
    run_dir: Path,
    check: bool,
    out: Path | None,
    vendored: Path | None,
    as_json: bool,
    offline: bool,
    allow_file: bool,
) -> None:
    """Run again what RUN_DIR's record says, with the same plugins, data and seed."""
    from specloom.contract.errors import ConfigError
    from specloom.execution.run_folder import fresh_folder
    from specloom_registry.provenance import reproduce as reproduction

    record = reproduction.finished(run_dir)
    if check:
        reproduction.check_results(run_dir)
    folder = out or fresh_folder(f"{tree.resolved(run_dir).name}-again")
    if tree.resolved(folder) == tree.resolved(run_dir):
        what = f"{folder} holds the run that is to be reproduced"
        raise ConfigError(what, fix="choose another folder with --out")
    fetched = reproduction.prepared(
        record, folder, offline=offline, allow_file=allow_file, vendored=vendored
    )
    if fetched:
        click.echo(f"fetched: {', '.join(fetched)}", err=True)
    if code := reproduction.repeat(record, run_dir, folder):
        sys.exit(code if code > 0 else 70)
    if not check:
        options.tell({"out": str(folder)}, as_json, [f"results: {folder}"])
        return
    verdict = reproduction.compare(run_dir, folder)
    value = {
        "equal": verdict.equal,
        "metrics": verdict.metrics,
        "weights": verdict.weights,
        "changes": verdict.causes,
        "out": str(folder),
    }
    options.tell(value, as_json, [*verdict.lines(), f"results: {folder}"])
    sys.exit(not verdict.equal)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@click.option("--packages", is_flag=True, help="Also list packages whose versions differ.")
@options.JSON
def compare(runs: tuple[Path, ...], packages: bool, as_json: bool) -> None:
    """Tabulate RUNS: their metrics, and what differs of parameters, plugins and data."""
    from specloom_registry.base.table import table
    from specloom_registry.provenance import run_record

    found = {str(run): run_record.read(run) for run in runs}
    metrics = {name: run_record.metrics(Path(name)) for name in found}
    parameters = {name: run_record.parameters_of(one) for name, one in found.items()}
    facts = {name: run_record.facts_of(one) for name, one in found.items()}
    shown = [
        key
        for key in run_record.differing(facts)
        if packages or as_json or not key.startswith("package ")
    ]
    keys = {"parameters": run_record.differing(parameters), "facts": shown}
    unfinished = [name for name, one in found.items() if not one["ended"]]
    options.warn([f"{name} was stopped before its end, or goes on still" for name in unfinished])
    value = {
        name: {
            "metrics": metrics[name],
            "parameters": {key: parameters[name].get(key) for key in keys["parameters"]},
            "facts": {key: facts[name].get(key) for key in keys["facts"]},
            "ended": found[name]["ended"],
        }
        for name in found
    }
    lines = []
    names = list(dict.fromkeys(key for one in metrics.values() for key in one))
    for title, rows in (
        ("metric", [[key, *(_number(one.get(key)) for one in metrics.values())] for key in names]),
        (
            "parameter that differs",
            [[k, *(one.get(k, "-") for one in parameters.values())] for k in keys["parameters"]],
        ),
        (
            "differs, too",
            [[key, *(one.get(key) or "-" for one in facts.values())] for key in keys["facts"]],
        ),
    ):
        if rows:
            lines += [table([[title, *found], *rows], right=range(1, len(found) + 1)), ""]
    options.tell(value, as_json, lines[:-1] or ["nothing to compare"])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
