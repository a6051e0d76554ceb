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
from specloom_report.page import figures, tables
from specloom_report.report_files import PAGE, Arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
EMPTY: Mapping[str, Any] = {
    "title": "",
    "description": "",
    "tags": (),
    "author": "",
    "facts": {},
    "plugins": {},
    "data": {"type": "", "params": ()},
    "phases": (),
    "graph": {"nodes": (), "links": ()},
    "error": None,
    "warnings": (),
    "ended": "",
    "seconds": None,
    "costs": None,
}


def write(folder: Path, report: Mapping[str, Any], arrays: Arrays) -> Path:
    """Write ``report.html``."""
    path = folder / PAGE
    write_file(path, rendered(report, arrays).encode())
    return path


def rendered(report: Mapping[str, Any], arrays: Arrays) -> str:
    """The page."""
    report = {**EMPTY, **report}
    script = (HERE / "page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page: str = _template().render(
        report=report,
        graph=graph_svg(report["graph"]) if report["graph"]["nodes"] else "",
        metrics=tables.metrics(report.get("metrics") or {}),
        judges=figures.judges(report.get("judged") or []),
        rows=tables.images(report.get("judged") or []),
        pictures=figures.pictures(report, arrays),
        training=figures.training(report.get("history") or []),
        selections=figures.selections(report, arrays),
        costs=tables.costs(report),
        plugins=tables.plugins(report.get("plugins") or {}),
        style=Markup((HERE / "page.css").read_text("utf-8") + SHAPES),
        script=Markup(script),
        digest=digest,
    )
    return page


def breakable(text: str) -> Markup:
    """A name that a narrow page breaks where it has a joint, not within a word.

    >>> breakable("metrics/average_precision")
    Markup('metrics/<wbr>average_<wbr>precision')
    """
    name = Markup(escape(text))
    return name.replace("/", Markup("/<wbr>")).replace("_", Markup("_<wbr>")) if name else name


@cache
def _template() -> Any:
    loader = FileSystemLoader(HERE)
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": tables.number, "moment": tables.moment}
    environment.filters |= {"seconds": tables.seconds, "bytes": tables.size}
    environment.filters["breakable"] = breakable
    return environment.get_template("page.html")
