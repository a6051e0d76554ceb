"""``specloom report``: the report of a run, written again from what it left."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
def report(run_dir: Path) -> None:
    """Write the report of the run in RUN_DIR again, as RUN_DIR/report.html."""
    from specloom_report.page import write
    from specloom_report.report_files import recall

    click.echo(f"report: {write(run_dir, *recall(run_dir))}")
