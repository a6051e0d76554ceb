"""``specloom report``: the report of a run, written again from the files of its folder."""

from __future__ import annotations

from pathlib import Path

import click

from specloom import complete_run_folders


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path), shell_complete=complete_run_folders)
def report(run_dir: Path) -> None:
    """Write the report of the run in RUN_DIR again, as RUN_DIR/report.html."""
    from specloom_report import report_files
    from specloom_report.page import write_page

    data, arrays = report_files.load(run_dir)
    click.echo(f"report: {write_page(run_dir, data, arrays)}")
