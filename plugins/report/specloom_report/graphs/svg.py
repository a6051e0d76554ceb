"""A graph as an SVG picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from specloom_report.graphs.layout import Box, Drawing, Line, layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from specloom_report.graphs.description import Described

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


def graph_svg(graph: Described, *, alone: bool = False) -> Markup:
    """The picture of a graph.

    Args:
        graph: The graph.
        alone: For a file of its own, with its own colours.
    """
    drawing = layout(graph)
    parts = [*_lines(drawing), *(_box(box) for box in drawing.boxes if box.kind != "bend")]
    style = Markup("<style>{}</style>").format(Markup(STYLE + SHAPES)) if alone else Markup()
    count = len(graph["nodes"])
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="graph" role="img" width="{w:.0f}" '
        'height="{h:.0f}" viewBox="0 0 {w:.0f} {h:.0f}"><title>Graph of {n} nodes</title>'
        "{style}{parts}</svg>"
    ).format(w=drawing.width, h=drawing.height, n=count, style=style, parts=Markup("").join(parts))


def _box(box: Box) -> Markup:
    if box.kind == "label":
        port, size = box.lines
        return Markup(
            '<text class="port" x="{:.1f}" y="{:.1f}"><title>{}</title>{}</text>'
            '<text class="size" x="{:.1f}" y="{:.1f}">{}</text>'
        ).format(box.x, box.top + 11, box.note, port, box.x, box.top + 24, size)
    lines = Markup("").join(
        Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(
            "name" if i == 0 else "type", box.x, box.top + 18 + 13 * i, text
        )
        for i, text in enumerate(box.lines)
    )
    return Markup(
        '<g class="{}"><rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="5"/>{}</g>'
    ).format(box.kind, box.x - box.width / 2, box.top, box.width, box.height, lines)


def _lines(drawing: Drawing) -> Iterator[Markup]:
    for line in drawing.lines:
        into, out = line.end, line.start
        x0, y0 = _leave(drawing, line), out.top + out.height
        x1, y1 = _enter(drawing, line), into.top - 4 * into.solid
        middle = (y0 + y1) / 2
        path = f"M{x0:.1f} {y0:.1f}C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
        if into.kind == "bend":
            path += f"V{into.top + into.height:.1f}"
        yield Markup('<path d="{}"><title>{}</title></path>').format(path, line.title)
        if into.solid:
            yield Markup('<path class="tip" d="M{:.1f} {:.1f}l-3.5 -6h7z"/>').format(x1, into.top)


def _leave(drawing: Drawing, line: Line) -> float:
    """Where a line leaves a box: outputs stand side by side on the lower edge of a node."""
    out = line.start
    if not out.solid:
        return out.x
    return _along(out, [one.end for one in drawing.lines if one.start is out], line.end)


def _enter(drawing: Drawing, line: Line) -> float:
    """Where a line enters a box: inputs stand side by side on the upper edge of a node."""
    into = line.end
    if not into.solid:
        return into.x
    return _along(into, [one.start for one in drawing.lines if one.end is into], line.start)


def _along(box: Box, others: list[Box], one: Box) -> float:
    others = sorted(others, key=lambda other: other.x)
    return box.x - box.width / 2 + box.width * (others.index(one) + 1) / (len(others) + 1)
