"""``specloom doctor``: what is installed, what works, and what is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from specloom import threads_option

MARKS = {"ok": "ok", "note": "note", "broken": "BROKEN"}


@click.command()
@threads_option
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def doctor(as_json: bool) -> None:
    """Tell what is installed, what works and what is missing; exit code 1 if something is broken.

    Every plugin of the nearest plugins.yaml, or else every installed one, is imported as a whole.
    """
    from specloom_report.diagnostics import checks

    found: list[checks.Finding] = []
    topic = ""
    for one in checks.findings(Path("run.yaml")):
        found.append(one)
        if as_json:
            continue
        if one.topic != topic:
            topic = one.topic
            click.echo(topic)
        click.echo(f"  {MARKS[one.state]:6}  {one.name}: {one.said}")
        if one.fix:
            click.echo(f"          fix: {one.fix}")
    told = checks.as_json(found)
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        count = told["broken"]
        click.echo(f"{count} broken" if count else "nothing is broken")
    sys.exit(1 if told["broken"] else 0)
