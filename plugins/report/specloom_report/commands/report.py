"""``specloom report``: the report of a run or a prediction, from the files of its folder."""

from __future__ import annotations

from pathlib import Path

import click

from specloom import complete_run_folders


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), shell_complete=complete_run_folders)
def report(folder: Path) -> None:
    """Write the report of a folder as FOLDER/report.html.

    FOLDER is what `specloom run` or `specloom predict` wrote. The report of a run is there already:
    this writes it again.
    """
    from specloom_report import report_files
    from specloom_report.page import write_page

    data, arrays = report_files.load(folder)
    click.echo(f"report: {write_page(folder, data, arrays)}")
