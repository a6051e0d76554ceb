"""Nodes and graphs as text, and as HTML for notebooks."""

import inspect
from collections.abc import Iterable, Mapping
from contextlib import suppress
from html import escape
from typing import Any

from specloom.contract.abilities import Fittable
from specloom.contract.ports import Connection, dtype_name
from specloom.plugins import Plugins
from specloom.runfile.parameters import parameters

LONGEST = 60
"""Characters of a value that are shown."""

STYLE = "text-align:left;vertical-align:top;padding:2px 10px"


def node_text(node: Any) -> str:
    """A node as it would be written, with the parameters unlike their defaults, and its fit.

    ``RXGlobal(num_channels=20, name='rx')  # fitted on 3,000 pixels``
    """
    arguments = [f"{name}={_short(value)}" for name, value in _changed(node).items()]
    text = f"{type(node).__name__}({', '.join(arguments)})"
    fit = _fit_text(node)
    if fit:
        return f"{text}  # {fit}"
    return text


def _changed(node: Any) -> dict[str, Any]:
    """The parameters of a node unlike their defaults, with its name."""
    found = {}
    for name, parameter in parameters(type(node)).items():
        value = getattr(node, name, parameter.default)
        if not _is_equal(value, parameter.default):
            found[name] = value
    if getattr(node, "name", ""):
        found["name"] = node.name
    return found


def _is_equal(value: Any, default: Any) -> bool:
    """Whether a value is the default; arrays never are."""
    if value is default:
        return True
    if default is inspect.Parameter.empty or hasattr(value, "shape"):
        return False
    return bool(value == default)


def _short(value: Any) -> str:
    """A value in a few characters: of an array the type and the shape, never its numbers."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"<{dtype_name(value)} {tuple(value.shape)}>"
    text = repr(value)
    if len(text) > LONGEST:
        return f"{text[: LONGEST - 1]}…"
    return text


def _fit_text(node: Any) -> str:
    """Whether a node is fitted, and on what; empty for a node without a fit."""
    if not isinstance(node, Fittable) or not node.fit_passes:
        return ""
    if not node.fitted:
        return "not fitted"
    pixels = vars(node).get("pixels")
    if isinstance(pixels, int) and pixels:
        return f"fitted on {pixels:,} pixels"
    return "fitted"


def node_html(node: Any) -> str:
    """A node with its ports, as a table."""
    rows = []
    for side, ports in (("input", node.inputs), ("output", node.outputs)):
        for name, port in ports.items():
            axes = port.axes
            if axes is None:
                axes = port.dtype
            rows.append([side, name, axes, port.doc])
    heading = f"<code>{escape(node_text(node))}</code>"
    return heading + table(["side", "port", "axes", "what"], rows)


def nodes_html(nodes: Mapping[str, Any], connections: Iterable[Connection]) -> str:
    """Nodes with what each is connected to, as a table."""
    leading: dict[str, list[str]] = {name: [] for name in nodes}
    for connection in connections:
        leading.setdefault(connection.source_node, []).append(
            f"{connection.source} → {connection.target}"
        )
    rows = []
    for name, node in nodes.items():
        rows.append([name, node_text(node), "\n".join(leading[name])])
    return table(["node", "what", "leads to"], rows)


def graph_html(graph: Any) -> str:
    """A graph as a picture, where a plugin draws it, or else as a table of its nodes."""
    with suppress(Exception):  # a picture that fails must not hide what is shown
        drawn = Plugins().first_answer("draw_graph", graph=graph)
        if drawn is not None:
            return str(drawn)
    return nodes_html(graph.nodes, graph.connections)


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of texts, each escaped; its line ends are breaks."""
    cells = "".join(f'<th style="{STYLE}">{escape(text)}</th>' for text in header)
    lines = [f"<tr>{cells}</tr>"]
    for row in rows:
        cells = "".join(f'<td style="{STYLE}">{_cell(text)}</td>' for text in row)
        lines.append(f"<tr>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _cell(text: str) -> str:
    return escape(text).replace("\n", "<br>")
