"""A graph as text, as Mermaid and as DOT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specloom_report.graphs.description import BATCH, Described

if TYPE_CHECKING:
    from collections.abc import Iterator


def text(graph: Described) -> str:
    """Each node with its outputs, their sizes, and where they go.

    >>> print(text(EXAMPLE))
    batch  cubes.Folder
      cube  B H W 61  -> rx.data
    rx  rx.RXGlobal
      scores  B H W 1  -> output scores
    """
    lines = []
    for name, kind in named(graph).items():
        lines.append(f"{name}  {kind}" if kind else name)
        sizes = {link["source"]: link["size"] for link in graph["links"]}
        goes: dict[str, list[str]] = {}
        for link in graph["links"]:
            goes.setdefault(link["source"], []).append(link["target"])
        for output, end in graph["outputs"].items():
            goes.setdefault(end, []).append(f"output {output}")
        for end in (end for end in goes if end.partition(".")[0] == name):
            size = sizes.get(end) or graph.get("output_sizes", {}).get(end, "")
            parts = [f"  {end.partition('.')[2]}", size, f"-> {', '.join(goes[end])}"]
            lines.append("  ".join(part for part in parts if part))
    return "\n".join(lines)


def mermaid(graph: Described) -> str:
    """A flow chart, as Markdown shows it between ``` mermaid fences.

    >>> print(mermaid(EXAMPLE))
    flowchart TD
      n_batch["batch<br/>cubes.Folder"]
      n_rx["rx<br/>rx.RXGlobal"]
      n_batch -- "cube to data: B H W 61" --> n_rx
    """
    lines = ["flowchart TD"]
    for name, kind in named(graph).items():
        lines.append(f'  n_{name}["{name}<br/>{kind}"]' if kind else f'  n_{name}["{name}"]')
    lines += [f'  n_{a} -- "{label}" --> n_{b}' for a, b, label in _edges(graph)]
    return "\n".join(lines)


def dot(graph: Described) -> str:
    """A graph for Graphviz.

    >>> print(dot(EXAMPLE))
    digraph specloom {
      node [shape=box, style=rounded];
      "batch" [label="batch\\ncubes.Folder"];
      "rx" [label="rx\\nrx.RXGlobal"];
      "batch" -> "rx" [label="cube to data: B H W 61"];
    }
    """
    lines = ["digraph specloom {", "  node [shape=box, style=rounded];"]
    for name, kind in named(graph).items():
        lines.append(f'  "{name}" [label="{name}\\n{kind}"];')
    lines += [f'  "{a}" -> "{b}" [label="{label}"];' for a, b, label in _edges(graph)]
    return "\n".join([*lines, "}"])


def named(graph: Described) -> dict[str, str]:
    """The type of every node by name, first that of the data."""
    found = {}
    if any(link["source"].startswith(f"{BATCH}.") for link in graph["links"]):
        found[BATCH] = graph.get("data") or "data"
    return found | {one["name"]: one["type"] for one in graph["nodes"]}


def _edges(graph: Described) -> Iterator[tuple[str, str, str]]:
    """Giver, taker and what flows; where a port has another name behind it, both names."""
    for link in graph["links"]:
        upstream, _, source = link["source"].partition(".")
        downstream, _, target = link["target"].partition(".")
        ports = source if source == target else f"{source} to {target}"
        yield upstream, downstream, f"{ports}: {link['size']}" if link["size"] else ports


#: A graph of one node, for the examples above.
EXAMPLE: Described = {
    "nodes": [{"name": "rx", "type": "rx.RXGlobal", "stages": [], "params": [], "fits": True}],
    "links": [{"source": "batch.cube", "target": "rx.data", "size": "B H W 61"}],
    "outputs": {"scores": "rx.scores"},
    "output_sizes": {"rx.scores": "B H W 1"},
    "data": "cubes.Folder",
}
