"""A layered drawing of a graph: every node below all that feed it, and few crossings.

After K. Sugiyama, S. Tagawa and M. Toda, "Methods for visual understanding of hierarchical
system structures", IEEE Trans. SMC 11(2), 1981: layers by the longest path, the order within them
by barycentres. A label stands in a layer of its own under the output that it names, so that labels
never meet each other or a node.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from specloom_report.graphs.description import BATCH, Described

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NODE_HEIGHT, LABEL_HEIGHT, GAP, BESIDE, MARGIN = 42.0, 30.0, 16.0, 14.0, 8.0
SWEEPS = 8


@dataclass(eq=False)
class Box:
    """Something with a place: a node, the label of an output, or a bend of a long connection."""

    kind: str
    lines: tuple[str, ...]
    layer: int
    width: float
    above: list[Box] = field(default_factory=list)
    below: list[Box] = field(default_factory=list)
    x: float = 0.0
    top: float = 0.0
    height: float = 0.0
    note: str = ""

    @property
    def solid(self) -> bool:
        """Whether it is drawn as a box."""
        return self.kind in ("node", "data")


@dataclass(frozen=True)
class Line:
    """A piece of a connection, from box to box; ``end`` is that of a node."""

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


def layout(graph: Described) -> Drawing:
    """Give everything in a graph its place."""
    boxes, lines = _boxes(graph)
    rows: list[list[Box]] = [[] for _ in range(1 + max((box.layer for box in boxes), default=0))]
    for box in boxes:
        rows[box.layer].append(box)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            _sort(row, "above" if down else "below")
    for row in rows:
        _spread(row, [0.0] * len(row))
    for sweep in range(2 * SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            _spread(row, [_wish(box) for box in row])
    return _placed(rows, boxes, lines)


def _boxes(graph: Described) -> tuple[list[Box], list[Line]]:
    links = graph["links"]
    nodes: dict[str, Box] = {}
    if any(link["source"].startswith(f"{BATCH}.") for link in links):
        nodes[BATCH] = _node(BATCH, graph.get("data") or "data", "data")
    for one in graph["nodes"]:
        nodes[one["name"]] = _node(one["name"], one["type"], "node", ", ".join(one["stages"]))
    ends = [(_owner(link["source"]), _owner(link["target"])) for link in links]
    for name, layer in _layers(nodes, ends).items():
        nodes[name].layer = 2 * layer
    boxes, lines = list(nodes.values()), list[Line]()
    for source in dict.fromkeys(link["source"] for link in links):
        out = [link for link in links if link["source"] == source]
        upstream = nodes[_owner(source)]
        text = (source.partition(".")[2], out[0]["size"])
        width = max(5.6 * max(map(len, text)) + 8, 24)
        at = Box("label", text, upstream.layer + 1, width, [upstream], note=source)
        upstream.below.append(at)
        boxes.append(at)
        lines.append(Line(upstream, at, source))
        for link in sorted(out, key=lambda link: nodes[_owner(link["target"])].layer):
            downstream = nodes[_owner(link["target"])]
            while at.layer < downstream.layer - 1:
                bend = Box("bend", (), at.layer + 1, 6.0, [at])
                at.below.append(bend)
                boxes.append(bend)
                lines.append(Line(at, bend, source))
                at = bend
            start = at
            while start.layer > downstream.layer - 1:
                start = start.above[0]
            start.below.append(downstream)
            downstream.above.append(start)
            lines.append(Line(start, downstream, f"{source} to {link['target']} ({link['size']})"))
    return boxes, lines


def _node(name: str, kind: str, what: str, stages: str = "") -> Box:
    lines = (name, kind, stages) if stages else (name, kind)
    width = max(7.3 * len(name), 6.0 * len(kind), 6.0 * len(stages)) + 20
    return Box(what, lines, 0, max(width, 70.0))


def _owner(end: str) -> str:
    return end.partition(".")[0]


def _layers(names: Iterable[str], ends: Sequence[tuple[str, str]]) -> Mapping[str, int]:
    """The longest path to each node."""
    found = dict.fromkeys(names, 0)
    for _ in found:
        for upstream, downstream in ends:
            found[downstream] = max(found[downstream], found[upstream] + 1)
    return found


def _sort(row: list[Box], side: str) -> None:
    """Order a row by the mean place of its neighbours on one side."""
    place = {id(box): box.x for box in row}
    for box in row:
        near: list[Box] = getattr(box, side)
        place[id(box)] = _mean(near, box.x)
    row.sort(key=lambda box: place[id(box)])
    for i, box in enumerate(row):
        box.x = i - len(row) / 2


def _mean(boxes: Sequence[Box], otherwise: float) -> float:
    return sum(box.x for box in boxes) / len(boxes) if boxes else otherwise


def _wish(box: Box) -> float:
    """Where a box would stand: amid its neighbours, but long connections go straight down."""
    near = [*box.above, *box.below]
    if box.kind == "bend":
        near = [one for one in near if one.kind == "bend"] or near
    return _mean(near, box.x)


def _spread(row: Sequence[Box], wish: Sequence[float]) -> None:
    """Set x near the wishes, in order and without overlap."""
    left, right = list(wish), list(wish)
    for i in range(1, len(row)):
        left[i] = max(left[i], left[i - 1] + _apart(row[i - 1], row[i]))
    for i in range(len(row) - 2, -1, -1):
        right[i] = min(right[i], right[i + 1] - _apart(row[i], row[i + 1]))
    for box, a, b in zip(row, left, right, strict=True):
        box.x = (a + b) / 2


def _apart(a: Box, b: Box) -> float:
    return (a.width + b.width) / 2 + BESIDE


def _placed(rows: Sequence[Sequence[Box]], boxes: list[Box], lines: list[Line]) -> Drawing:
    shift = MARGIN - min((box.x - box.width / 2 for box in boxes), default=0.0)
    y = MARGIN
    for row in rows:
        tall = NODE_HEIGHT if any(box.solid for box in row) else LABEL_HEIGHT
        tall += 13.0 * any(len(box.lines) > 2 for box in row)
        for box in row:
            box.x += shift
            high = 13.0 * len(box.lines) + 14 if box.solid else tall
            box.top, box.height = y, high
        y += tall + GAP
    width = max((box.x + box.width / 2 for box in boxes), default=0.0) + MARGIN
    return Drawing(boxes, lines, width, y - GAP + MARGIN)
