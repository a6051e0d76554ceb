"""``specloom doctor``: check the installation."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specloom import printable, threads_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from specloom_report.diagnostics.checks import Finding

LABELS = {"ok": "ok", "note": "note", "broken": "BROKEN"}


@click.command()
@threads_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Check the installation; exit code 1 if something is broken.

    Every plugin of the nearest plugins.yaml, or else every installed one, is imported completely.
    """
    from specloom_report.diagnostics import checks

    findings = checks.all_findings(Path("run.yaml"))
    if as_json:
        summary = checks.summarise(list(findings))
        click.echo(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        summary = checks.summarise(list(_print_each(findings)))
        if summary["broken"]:
            click.echo(f"{summary['broken']} broken")
        else:
            click.echo("nothing is broken")
    if summary["broken"]:
        sys.exit(1)


def _print_each(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Print findings as they are found, under the headings of their topics, and pass them on."""
    topic = ""
    for finding in findings:
        if finding.topic != topic:
            topic = finding.topic
            click.echo(topic)
        line = f"  {LABELS[finding.state]:6}  {finding.name}: {finding.said}"
        click.echo(printable(line))
        if finding.fix:
            click.echo(printable(f"          fix: {finding.fix}"))
        yield finding
