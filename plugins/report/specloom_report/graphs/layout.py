"""A layered drawing of a graph: every node below all that it reads, and few crossings.

After K. Sugiyama, S. Tagawa and M. Toda, "Methods for visual understanding of hierarchical
system structures", IEEE Trans. SMC 11(2), 1981: layers by the longest path, the order within them
by barycentres. A label stands in a layer of its own under the output that it names, so that labels
never meet each other or a node.

The layout is computed here because Graphviz is a program that a report cannot expect to be
installed, and a page that needs no network can load no script that draws. ``specloom graph
--format dot`` is for those who have it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from specloom_report.graphs.description import BATCH, GraphDescription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

NODE_HEIGHT = 42.0
LABEL_HEIGHT = 30.0
LINE_HEIGHT = 13.0
ROW_GAP = 16.0
COLUMN_GAP = 14.0
MARGIN = 8.0
ARROW = 4.0
SWEEPS = 8


@dataclass(eq=False)
class Box:
    """Something with a place: a node, the label of an output, or a bend of a long connection.

    Args:
        kind: ``node``, ``data``, ``label`` or ``bend``.
        lines: Its text.
        layer: Its layer, from 0 at the top.
        width: Its width.
        title: The text shown on hovering.
    """

    kind: str
    lines: tuple[str, ...]
    layer: int
    width: float
    title: str = ""
    above: list[Box] = field(default_factory=list)
    below: list[Box] = field(default_factory=list)
    x: float = 0.0
    top: float = 0.0
    height: float = 0.0

    @property
    def is_node(self) -> bool:
        """Whether it is drawn as a box."""
        return self.kind in ("node", "data")

    @property
    def left(self) -> float:
        """Its left edge; ``x`` is its middle."""
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.top + self.height


@dataclass(frozen=True)
class Line:
    """A piece of a connection, from box to box; ``end`` is in the next layer."""

    start: Box
    end: Box
    title: str


@dataclass(frozen=True)
class Drawing:
    """Boxes and lines with their places, and the size of the whole."""

    boxes: Sequence[Box]
    lines: Sequence[Line]
    width: float
    height: float


def layout(graph: GraphDescription) -> Drawing:
    """Return a graph with a place for each of its nodes, labels and connections."""
    nodes = _make_nodes(graph)
    boxes, lines = _connect(graph, nodes)
    rows = _rows(boxes)
    _order_rows(rows)
    _place_columns(rows)
    height = _place_rows(rows)
    width = max((box.right for box in boxes), default=0.0) + MARGIN
    return Drawing(boxes, lines, width, height)


def _make_nodes(graph: GraphDescription) -> dict[str, Box]:
    links = graph["links"]
    nodes: dict[str, Box] = {}
    if any(link["source"].startswith(f"{BATCH}.") for link in links):
        nodes[BATCH] = _node_box("data", BATCH, graph.get("data") or "data")
    for node in graph["nodes"]:
        nodes[node["name"]] = _node_box(
            "node", node["name"], node["type"], ", ".join(node["stages"])
        )
    edges = [(_node_of(link["source"]), _node_of(link["target"])) for link in links]
    for name, depth in _longest_paths(nodes, edges).items():
        nodes[name].layer = 2 * depth  # labels have the layers between
    return nodes


def _node_box(kind: str, name: str, type_: str, stages: str = "") -> Box:
    lines = tuple(text for text in (name, type_, stages) if text)
    text_width = max(7.3 * len(name), 6.0 * len(type_), 6.0 * len(stages))
    return Box(kind, lines, layer=0, width=max(text_width + 20, 70.0))


def _node_of(end: str) -> str:
    return end.partition(".")[0]


def _longest_paths(nodes: Iterable[str], edges: Sequence[tuple[str, str]]) -> Mapping[str, int]:
    """Return the length of the longest path to each node."""
    depths = dict.fromkeys(nodes, 0)
    for _ in depths:
        for source, target in edges:
            depths[target] = max(depths[target], depths[source] + 1)
    return depths


def _connect(graph: GraphDescription, nodes: Mapping[str, Box]) -> tuple[list[Box], list[Line]]:
    """Return all boxes with labels and bends, and the lines between them."""
    boxes = list(nodes.values())
    lines: list[Line] = []
    for source in dict.fromkeys(link["source"] for link in graph["links"]):
        links = [link for link in graph["links"] if link["source"] == source]
        links.sort(key=lambda link: nodes[_node_of(link["target"])].layer)
        upstream = nodes[_node_of(source)]
        label = _label_box(source, links[0]["size"], upstream)
        boxes.append(label)
        lines.append(Line(upstream, label, source))
        column = [label]  # one box in each layer below the node, shared by all its connections
        for link in links:
            downstream = nodes[_node_of(link["target"])]
            while column[-1].layer < downstream.layer - 1:
                bend = Box("bend", (), column[-1].layer + 1, 6.0)
                _stack(column[-1], bend)
                boxes.append(bend)
                lines.append(Line(column[-1], bend, source))
                column.append(bend)
            last = column[downstream.layer - 1 - label.layer]
            _stack(last, downstream)
            title = f"{source} to {link['target']} ({link['size']})"
            lines.append(Line(last, downstream, title))
    return boxes, lines


def _label_box(source: str, size: str, upstream: Box) -> Box:
    text = (source.partition(".")[2], size)
    width = max(5.6 * max(map(len, text)) + 8, 24)
    label = Box("label", text, upstream.layer + 1, width, title=source)
    _stack(upstream, label)
    return label


def _stack(upper: Box, lower: Box) -> None:
    upper.below.append(lower)
    lower.above.append(upper)


def _rows(boxes: Sequence[Box]) -> list[list[Box]]:
    """Return the boxes of each layer."""
    count = 1 + max((box.layer for box in boxes), default=0)
    rows: list[list[Box]] = [[] for _ in range(count)]
    for box in boxes:
        rows[box.layer].append(box)
    return rows


def _order_rows(rows: Sequence[list[Box]]) -> None:
    """Order each row by the barycentres of its neighbours, downwards and upwards in turn."""
    for sweep in range(SWEEPS):
        if sweep % 2 == 0:
            for row in rows:
                _order_row(row, lambda box: box.above)
        else:
            for row in reversed(rows):
                _order_row(row, lambda box: box.below)


def _order_row(row: list[Box], neighbours: Callable[[Box], Sequence[Box]]) -> None:
    row.sort(key=lambda box: _barycentre(neighbours(box), box.x))
    for place, box in enumerate(row):
        box.x = place - len(row) / 2


def _barycentre(boxes: Sequence[Box], default: float) -> float:
    if not boxes:
        return default
    return sum(box.x for box in boxes) / len(boxes)


def _place_columns(rows: Sequence[Sequence[Box]]) -> None:
    """Set x of all boxes: near their neighbours, without overlap, from the margin on."""
    for row in rows:
        _spread(row, [0.0] * len(row))
    for sweep in range(2 * SWEEPS):
        ordered = rows
        if sweep % 2:
            ordered = rows[::-1]
        for row in ordered:
            _spread(row, [_preferred_x(box) for box in row])
    boxes = list(chain.from_iterable(rows))
    left = min((box.left for box in boxes), default=0.0)
    for box in boxes:
        box.x += MARGIN - left


def _preferred_x(box: Box) -> float:
    """Return the middle of a box's neighbours; of a bend that of other bends, if there are any."""
    neighbours = [*box.above, *box.below]
    if box.kind == "bend":
        bends = [one for one in neighbours if one.kind == "bend"]
        if bends:
            neighbours = bends
    return _barycentre(neighbours, box.x)


def _spread(row: Sequence[Box], preferred: Sequence[float]) -> None:
    """Set x near the preferred places, in order and without overlap.

    It is the mean of two solutions, one pushed to the right and one to the left.
    """
    pushed_right = list(preferred)
    for i in range(1, len(row)):
        least = pushed_right[i - 1] + _distance(row[i - 1], row[i])
        pushed_right[i] = max(pushed_right[i], least)
    pushed_left = list(preferred)
    for i in range(len(row) - 2, -1, -1):
        most = pushed_left[i + 1] - _distance(row[i], row[i + 1])
        pushed_left[i] = min(pushed_left[i], most)
    for box, a, b in zip(row, pushed_right, pushed_left, strict=True):
        box.x = (a + b) / 2


def _distance(a: Box, b: Box) -> float:
    return (a.width + b.width) / 2 + COLUMN_GAP


def _place_rows(rows: Sequence[Sequence[Box]]) -> float:
    """Set top and height of all boxes, and return the height of the drawing."""
    top = MARGIN
    for row in rows:
        row_height = LABEL_HEIGHT
        if any(box.is_node for box in row):
            row_height = NODE_HEIGHT
        if any(len(box.lines) > 2 for box in row):
            row_height += LINE_HEIGHT
        for box in row:
            box.top = top
            box.height = row_height
            if box.is_node:
                box.height = LINE_HEIGHT * len(box.lines) + 14
        top += row_height + ROW_GAP
    return top - ROW_GAP + MARGIN
