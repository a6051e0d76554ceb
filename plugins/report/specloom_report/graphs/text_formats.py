"""A graph as text, as Mermaid and as DOT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specloom_report.graphs.description import BATCH, GraphDescription

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def as_text(graph: GraphDescription) -> str:
    """Return each node with its outputs, their sizes, and where they go.

    >>> print(as_text(EXAMPLE))
    batch  cubes.Folder
      cube  B H W 61  -> rx.data
    rx  rx.RXGlobal
      scores  B H W 1  -> output scores
    """
    sizes = dict(graph.get("output_sizes", {}))
    for link in graph["links"]:
        sizes[link["source"]] = link["size"]
    targets = _targets_by_source(graph)
    lines = []
    for name, type_ in node_types(graph).items():
        lines.append(_join(name, type_))
        for source, ends in targets.items():
            node, _, port = source.partition(".")
            if node == name:
                lines.append(_join(f"  {port}", sizes.get(source, ""), f"-> {', '.join(ends)}"))
    return "\n".join(lines)


def _targets_by_source(graph: GraphDescription) -> Mapping[str, list[str]]:
    targets: dict[str, list[str]] = {}
    for link in graph["links"]:
        targets.setdefault(link["source"], []).append(link["target"])
    for output, source in graph["outputs"].items():
        targets.setdefault(source, []).append(f"output {output}")
    return targets


def _join(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def as_mermaid(graph: GraphDescription) -> str:
    """Return a flow chart, as Markdown shows it between ``` mermaid fences.

    >>> print(as_mermaid(EXAMPLE))
    flowchart TD
      n_batch["batch<br/>cubes.Folder"]
      n_rx["rx<br/>rx.RXGlobal"]
      n_batch -- "cube to data: B H W 61" --> n_rx
    """
    lines = ["flowchart TD"]
    for name, type_ in node_types(graph).items():
        label = name
        if type_:
            label = f"{name}<br/>{type_}"
        lines.append(f'  n_{name}["{label}"]')
    for source, target, label in _labelled_edges(graph):
        lines.append(f'  n_{source} -- "{label}" --> n_{target}')
    return "\n".join(lines)


def as_dot(graph: GraphDescription) -> str:
    """Return a graph for Graphviz.

    >>> print(as_dot(EXAMPLE))
    digraph specloom {
      node [shape=box, style=rounded];
      "batch" [label="batch\\ncubes.Folder"];
      "rx" [label="rx\\nrx.RXGlobal"];
      "batch" -> "rx" [label="cube to data: B H W 61"];
    }
    """
    lines = ["digraph specloom {", "  node [shape=box, style=rounded];"]
    for name, type_ in node_types(graph).items():
        lines.append(f'  "{name}" [label="{name}\\n{type_}"];')
    for source, target, label in _labelled_edges(graph):
        lines.append(f'  "{source}" -> "{target}" [label="{label}"];')
    lines.append("}")
    return "\n".join(lines)


def node_types(graph: GraphDescription) -> dict[str, str]:
    """Return the type of every node by name, first that of the data."""
    types = {}
    if any(link["source"].startswith(f"{BATCH}.") for link in graph["links"]):
        types[BATCH] = graph.get("data") or "data"
    for node in graph["nodes"]:
        types[node["name"]] = node["type"]
    return types


def _labelled_edges(graph: GraphDescription) -> Iterator[tuple[str, str, str]]:
    """Yield source node, target node and the label of each connection.

    The label has the port and its size; both ports where their names differ.
    """
    for link in graph["links"]:
        source, _, output = link["source"].partition(".")
        target, _, input_ = link["target"].partition(".")
        label = output
        if output != input_:
            label = f"{output} to {input_}"
        if link["size"]:
            label = f"{label}: {link['size']}"
        yield source, target, label


#: A graph of one node, for the examples above.
EXAMPLE: GraphDescription = {
    "nodes": [{"name": "rx", "type": "rx.RXGlobal", "stages": [], "params": [], "fits": True}],
    "links": [{"source": "batch.cube", "target": "rx.data", "size": "B H W 61"}],
    "outputs": {"scores": "rx.scores"},
    "output_sizes": {"rx.scores": "B H W 1"},
    "data": "cubes.Folder",
}
