"""Puts the parts of a report into the template."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from specloom import write_file
from specloom_report.graphs.svg import SHAPES, graph_svg
from specloom_report.page import data, figures, tables
from specloom_report.report_files import PAGE, Arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
#: What the template reads of a report, where the report lacks it.
DEFAULTS: Mapping[str, Any] = {
    "title": "",
    "description": "",
    "tags": (),
    "author": "",
    "facts": {},
    "plugins": {},
    "data": {"type": "", "params": ()},
    "splits": (),
    "phases": (),
    "calibrations": (),
    "graph": {"nodes": (), "links": ()},
    "error": None,
    "warnings": (),
    "ended": "",
    "seconds": None,
    "costs": None,
}


def write_page(folder: Path, report: Mapping[str, Any], arrays: Arrays) -> Path:
    """Write ``report.html`` in one step and return its path.

    Raises:
        UnavailableError: It cannot be written.
    """
    path = folder / PAGE
    write_file(path, render(report, arrays).encode())
    return path


def render(report: Mapping[str, Any], arrays: Arrays) -> str:
    """Return the page of a report."""
    report = {**DEFAULTS, **report}
    graph = Markup()
    if report["graph"]["nodes"]:
        graph = graph_svg(report["graph"])
    evaluations = report.get("judged") or []
    script = (HERE / "page.js").read_text("utf-8")
    page: str = _template().render(
        report=report,
        graph=graph,
        metrics=tables.metrics_table(report.get("metrics") or {}),
        evaluations=figures.evaluation_charts(evaluations),
        image_rows=tables.images_table(evaluations),
        images=figures.images(report, arrays),
        training=figures.training_charts(report.get("history") or []),
        selections=figures.selection_charts(report, arrays),
        costs=tables.costs_table(report),
        splits=data.data_table(report["splits"]),
        split_details=data.data_details(report["splits"]),
        plugins=tables.plugins_table(report.get("plugins") or {}),
        style=Markup((HERE / "page.css").read_text("utf-8") + SHAPES),
        script=Markup(script),
        script_digest=_digest(script),
    )
    return page


def _digest(script: str) -> str:
    """Return the hash by which the page's security policy admits its own script alone."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def breakable(text: str) -> Markup:
    """Return a name that a narrow page breaks after a ``/`` or ``_``, not within a word.

    >>> breakable("metrics/average_precision")
    Markup('metrics/<wbr>average_<wbr>precision')
    """
    name = Markup(escape(text))
    return name.replace("/", Markup("/<wbr>")).replace("_", Markup("_<wbr>"))


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = tables.format_number
    environment.filters["time"] = tables.format_time
    environment.filters["duration"] = tables.format_seconds
    environment.filters["bytes"] = tables.format_bytes
    environment.filters["breakable"] = breakable
    return environment.get_template("page.html")
