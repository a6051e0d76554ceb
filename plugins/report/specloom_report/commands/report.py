"""``specloom report``: the report of a run or a prediction, from the files of its folder."""

from __future__ import annotations

from pathlib import Path

import click

from specloom import ConfigError, complete_run_folders

WRONG_STRUCTURE = (AttributeError, LookupError, TypeError, ValueError)
"""What a page raises for values of another structure than that of a report."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), shell_complete=complete_run_folders)
def report(folder: Path) -> None:
    """Write the report of a folder as FOLDER/report.html.

    FOLDER is what `specloom run` or `specloom predict` wrote. The report of a run is there already:
    this writes it again.
    """
    from jinja2 import TemplateError

    from specloom_report import report_files
    from specloom_report.page import write_page

    data, arrays = report_files.load(folder)
    try:
        path = write_page(folder, data, arrays)
    except (*WRONG_STRUCTURE, TemplateError) as e:
        stored = folder / report_files.DATA
        if not stored.is_file():
            raise
        what = f"{stored} is no report ({type(e).__name__}: {e})"
        raise ConfigError(what, fix="delete it, and repeat the command") from e
    click.echo(f"report: {path}")
