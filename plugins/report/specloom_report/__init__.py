"""Reports of runs as one HTML file, graphs as pictures, profiles, and a check of the set-up."""

from collections.abc import Mapping
from typing import cast

from specloom import Graph, GraphView, impl

__version__ = "0.2.0"


@impl
def draw_graph(graph: GraphView) -> str:
    """Draw a graph as SVG."""
    from specloom_report.graphs.description import describe_graph
    from specloom_report.graphs.svg import graph_svg

    return str(graph_svg(describe_graph(cast("Graph", graph)), standalone=True))


@impl
def register_observers() -> Mapping[str, str]:
    """Offer the observer that writes a report of every run that has a folder."""
    return {"Reports": "specloom_report.collecting.observer:Reports"}


@impl
def register_commands() -> Mapping[str, str]:
    """Offer the commands."""
    return {
        "doctor": "specloom_report.commands.doctor:doctor",
        "graph": "specloom_report.commands.graph:graph",
        "profile": "specloom_report.commands.profile:profile",
        "report": "specloom_report.commands.report:report",
    }
