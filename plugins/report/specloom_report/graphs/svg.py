"""A graph as an SVG picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from specloom_report.graphs.layout import ARROW, LINE_HEIGHT, Box, Drawing, Line, layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from specloom_report.graphs.description import GraphDescription

# Colours come from the page that it stands in, or else from this; both follow the reader's theme.
STYLE = """
.graph{--fg:#1a1a1a;--muted:#55595f;--edge:#7b8087;--box:#f1f4f7;--data:#e3edf5;--bg:#fff;
font-family:system-ui,sans-serif;background:var(--bg)}
@media (prefers-color-scheme:dark){.graph{--fg:#ececec;--muted:#a9afb6;--edge:#8b9198;
--box:#262b30;--data:#1e3242;--bg:#14171a}}
"""
SHAPES = """
.graph text{fill:var(--fg);text-anchor:middle;font-size:11px}
.graph .name{font-weight:600;font-size:12px}
.graph .type,.graph .size{fill:var(--muted);font-size:10px}
.graph .port{font-size:10.5px}
.graph rect{fill:var(--box);stroke:var(--edge)}
.graph .data rect{fill:var(--data);stroke-dasharray:4 3}
.graph path{fill:none;stroke:var(--edge);stroke-width:1.2}
.graph path.tip{fill:var(--edge);stroke:none}
"""

PICTURE = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" class="graph" role="img" width="{width:.0f}" '
    'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">'
    "<title>Graph of {count} nodes</title>{style}{parts}</svg>"
)
LABEL = Markup(
    '<text class="port" x="{x:.1f}" y="{port_y:.1f}"><title>{title}</title>{port}</text>'
    '<text class="size" x="{x:.1f}" y="{size_y:.1f}">{size}</text>'
)
NODE = Markup(
    '<g class="{kind}"><rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
    'rx="5"/>{lines}</g>'
)
NODE_LINE = Markup('<text class="{style}" x="{x:.1f}" y="{y:.1f}">{text}</text>')
CONNECTION = Markup('<path d="{path}"><title>{title}</title></path>')
TIP = Markup('<path class="tip" d="M{x:.1f} {y:.1f}l-3.5 -6h7z"/>')


def graph_svg(graph: GraphDescription, *, standalone: bool = False) -> Markup:
    """Return the picture of a graph.

    Args:
        graph: The graph.
        standalone: Include colours, for a file of its own.
    """
    drawing = layout(graph)
    parts: list[Markup] = []
    for line in drawing.lines:
        parts += _draw_line(drawing, line)
    for box in drawing.boxes:
        if box.kind == "label":
            parts.append(_draw_label(box))
        elif box.is_node:
            parts.append(_draw_node(box))
    style = Markup()
    if standalone:
        style = Markup("<style>{}</style>").format(Markup(STYLE + SHAPES))
    return PICTURE.format(
        width=drawing.width,
        height=drawing.height,
        count=len(graph["nodes"]),
        style=style,
        parts=Markup("").join(parts),
    )


def _draw_label(box: Box) -> Markup:
    port, size = box.lines
    return LABEL.format(
        x=box.x,
        port_y=box.top + 11,
        title=box.title,
        port=port,
        size_y=box.top + 24,
        size=size,
    )


def _draw_node(box: Box) -> Markup:
    lines = []
    style = "name"
    for number, text in enumerate(box.lines):
        y = box.top + 18 + LINE_HEIGHT * number
        lines.append(NODE_LINE.format(style=style, x=box.x, y=y, text=text))
        style = "type"
    return NODE.format(
        kind=box.kind,
        x=box.left,
        y=box.top,
        width=box.width,
        height=box.height,
        lines=Markup("").join(lines),
    )


def _draw_line(drawing: Drawing, line: Line) -> Iterator[Markup]:
    start_x = _start_x(drawing, line)
    start_y = line.start.bottom
    end_x = _end_x(drawing, line)
    end_y = line.end.top
    if line.end.is_node:
        end_y -= ARROW
    middle = (start_y + end_y) / 2
    path = (
        f"M{start_x:.1f} {start_y:.1f}"
        f"C{start_x:.1f} {middle:.1f} {end_x:.1f} {middle:.1f} {end_x:.1f} {end_y:.1f}"
    )
    if line.end.kind == "bend":
        path += f"V{line.end.bottom:.1f}"
    yield CONNECTION.format(path=path, title=line.title)
    if line.end.is_node:
        yield TIP.format(x=end_x, y=line.end.top)


def _start_x(drawing: Drawing, line: Line) -> float:
    """Return where a line leaves a box: outputs are spread along the lower edge of a node."""
    if not line.start.is_node:
        return line.start.x
    ends = [other.end for other in drawing.lines if other.start is line.start]
    return _along_edge(line.start, ends, line.end)


def _end_x(drawing: Drawing, line: Line) -> float:
    """Return where a line enters a box: inputs are spread along the upper edge of a node."""
    if not line.end.is_node:
        return line.end.x
    starts = [other.start for other in drawing.lines if other.end is line.end]
    return _along_edge(line.end, starts, line.start)


def _along_edge(box: Box, neighbours: Sequence[Box], neighbour: Box) -> float:
    """Return the place of one of a box's neighbours, which are spread from left to right."""
    ordered = sorted(neighbours, key=lambda one: one.x)
    place = ordered.index(neighbour) + 1
    return box.left + box.width * place / (len(ordered) + 1)
