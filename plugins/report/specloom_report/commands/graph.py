"""``specloom graph``: a graph as a picture or as text, or the plan of one of its stages."""

from __future__ import annotations

from pathlib import Path

import click

from specloom import STAGES

FORMATS = ("text", "svg", "mermaid", "dot")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="[text]")
@click.option("--plan", type=click.Choice(STAGES), help="Show the execution plan of a stage.")
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Change a value.")
@click.option("--out", type=click.Path(path_type=Path), help="A file instead of the terminal.")
def graph(
    file: Path, form: str, plan: str | None, overrides: tuple[str, ...], out: Path | None
) -> None:
    """Show the graph of FILE with the sizes on its connections, or a plan.

    FILE is a run file, a saved pipeline, or the folder that a run wrote. With --plan: the calls of
    a stage in their order, what each reads, gives and frees, and which nodes are folded into the
    linear map behind them; of predict, what the graph's outputs need.
    """
    from specloom import write_file
    from specloom_report.graphs import execution_plan, text_formats
    from specloom_report.graphs.description import described
    from specloom_report.graphs.open_run import opened
    from specloom_report.graphs.svg import graph_svg

    run, _, data = opened(file, overrides)
    if plan is not None:
        if form != "text":
            raise click.UsageError("--plan is text: leave out --format")
        told = execution_plan.text(execution_plan.steps(run, plan), run.graph.types, plan)
    else:
        found = described(run.graph, data)
        made = {"text": text_formats.text, "mermaid": text_formats.mermaid, "dot": text_formats.dot}
        told = str(graph_svg(found, alone=True)) if form == "svg" else made[form](found)
    if out is None:
        click.echo(told)
    else:
        write_file(out, f"{told}\n".encode())
        click.echo(f"{out}", err=True)
