"""``specloom graph``: a graph as a picture or as text, or the plan of one of its stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from specloom import STAGES

if TYPE_CHECKING:
    from specloom_report.graphs.open_run import OpenedRun

FORMATS = ("text", "svg", "mermaid", "dot")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), default="text", help="Output format [text]."
)
@click.option("--plan", type=click.Choice(STAGES), help="Show the execution plan of a stage.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Override one value of the run file (repeatable).",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write to a file.")
def graph(
    file: Path, format_: str, plan: str | None, overrides: tuple[str, ...], out: Path | None
) -> None:
    """Show the graph of FILE with the sizes on its connections, or a plan.

    FILE is a run file, a saved pipeline, or the folder of a run. With --plan: the calls of a stage
    in their order, what each reads, returns and frees, and which nodes are folded into the linear
    map behind them; of predict, only what the graph's outputs need.
    """
    from specloom import write_file
    from specloom_report.graphs.open_run import open_run

    if plan is not None and format_ != "text":
        raise click.UsageError("--plan is text only: remove --format")
    opened = open_run(file, overrides)
    text = _format_plan(opened, plan) if plan else _format_graph(opened, format_)
    if out is None:
        click.echo(text)
    else:
        write_file(out, f"{text}\n".encode())
        click.echo(f"{out}", err=True)


def _format_graph(opened: OpenedRun, format_: str) -> str:
    from specloom_report.graphs import text_formats
    from specloom_report.graphs.description import describe_graph
    from specloom_report.graphs.svg import graph_svg

    description = describe_graph(opened.run.graph, opened.source)
    if format_ == "svg":
        return str(graph_svg(description, standalone=True))
    if format_ == "mermaid":
        return text_formats.as_mermaid(description)
    if format_ == "dot":
        return text_formats.as_dot(description)
    return text_formats.as_text(description)


def _format_plan(opened: OpenedRun, stage: str) -> str:
    from specloom_report.graphs import execution_plan

    plan = execution_plan.plan_stage(opened.run, stage)
    return execution_plan.as_text(plan, opened.run.graph.types, stage)
