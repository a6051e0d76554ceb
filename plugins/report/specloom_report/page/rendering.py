"""Puts the parts of a report into the template."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from specloom import write_file
from specloom_pictures import (
    DECIDED,
    EXCLUDED,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    TRUE_POSITIVE,
    cividis,
)
from specloom_report.colours import as_hex
from specloom_report.graphs.svg import SHAPES, graph_svg
from specloom_report.page import data, figures, tables
from specloom_report.page.charts import as_json as figures_json
from specloom_report.page.cubes import prediction_table
from specloom_report.page.names import split_names
from specloom_report.page.packing import Block
from specloom_report.page.verdict import find_verdict
from specloom_report.page.viewer import Viewer
from specloom_report.report_files import PAGE, Arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
#: uPlot 1.6.32 with its licence; README.md there says where it is from.
UPLOT = HERE / "uplot"
#: What could end the script element in which JSON stands, and how JSON has it instead.
ESCAPED = {"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"}
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
    # It is made of report.json and report.npz, and can be made again.
    write_file(path, render(report, arrays).encode(), sync=False)
    return path


def render(report: Mapping[str, Any], arrays: Arrays) -> str:
    """Return the page of a report."""
    report = {**DEFAULTS, **report}
    graph = Markup()
    if report["graph"]["nodes"]:
        graph = graph_svg(report["graph"])
    evaluations = report.get("judged") or []
    block = Block()
    viewer = Viewer(report, arrays, block)
    charts = figures.Charts()
    spectra = figures.spectra_chart(viewer)
    spectra_place = ""
    if spectra is not None:
        spectra_place = charts.add(spectra)
    metric_columns, metric_groups = tables.metrics_table(report.get("metrics") or {}, evaluations)
    contents = {
        "verdict": find_verdict(report, viewer),
        "viewer": viewer,
        "spectra": spectra_place,
        "metric_columns": metric_columns,
        "metric_groups": metric_groups,
        "evaluations": figures.evaluation_charts(evaluations, charts),
        "image_rows": tables.images_table(evaluations, split_names(report)),
        "cubes": prediction_table(report),
        "training": figures.training_charts(report.get("history") or [], charts),
        "selections": figures.selection_charts(report, arrays, viewer, charts),
        "costs": tables.costs_table(report),
        "splits": data.data_table(report["splits"]),
        "split_details": data.data_details(report["splits"]),
        "plugins": tables.plugins_table(report.get("plugins") or {}),
    }
    values = {
        "viewer": viewer.as_json(),
        "charts": figures_json(charts.by_place),
        "block": block.text(),
    }
    script = (HERE / "page.js").read_text("utf-8")
    library = (UPLOT / "uPlot.iife.min.js").read_text("utf-8")
    page: str = _template().render(
        report=report,
        graph=graph,
        charts=charts.by_place,
        values=as_script_data(values),
        style=_style(),
        library=Markup(library),
        library_licence=Markup((UPLOT / "LICENSE").read_text("utf-8")),
        script=Markup(script),
        digests=[_digest(library), _digest(script)],
        **contents,
    )
    return page


def as_script_data(values: Mapping[str, Any]) -> Markup:
    """Return plain values as JSON that ends no element of the page."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign, escaped in ESCAPED.items():
        text = text.replace(sign, escaped)
    return Markup(text)


def _style() -> Markup:
    own = (HERE / "page.css").read_text("utf-8")
    library = (UPLOT / "uPlot.min.css").read_text("utf-8")
    colours = {
        "cividis": ",".join(as_hex(one) for one in cividis()[::15].tolist()),
        "tp": as_hex(TRUE_POSITIVE),
        "fp": as_hex(FALSE_POSITIVE),
        "fn": as_hex(FALSE_NEGATIVE),
        "excluded": as_hex(EXCLUDED),
        "decided": as_hex(DECIDED),
    }
    variables = "".join(f"--{name}:{value};" for name, value in colours.items())
    return Markup(f"{library}:root{{{variables}}}{own}{SHAPES}")


def _digest(script: str) -> str:
    """Return the hash by which the page's security policy admits its own scripts alone."""
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
