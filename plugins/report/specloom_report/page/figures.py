"""The charts and images of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from specloom_report.page.charts import Curve, Rule, chart
from specloom_report.page.images import DECISIONS, ERRORS, GROUND_TRUTH, image_tag, viridis
from specloom_report.page.tables import IMAGE_COLUMNS, format_number, order_splits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markupsafe import Markup

    from specloom_report.report_files import Arrays

UNIT_RANGE = (0.0, 1.0)
CHANCE_STYLE = 4
PANELS = {
    "colours": "false colour",
    "scores": "scores",
    "decisions": "decisions",
    "truth": "ground truth",
    "errors": "errors",
}
#: The panels that are made of an image's ``kinds``.
PALETTES = {"decisions": DECISIONS, "truth": GROUND_TRUTH, "errors": ERRORS}
CAPTION_METRICS = ("iou", "f1", "roc_auc")


def evaluation_charts(evaluations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each evaluating node the curves of all its stages and their histograms."""
    by_node: dict[str, dict[str, Mapping[str, Any]]] = {}
    for evaluation in evaluations:
        by_node.setdefault(evaluation["judge"], {})[evaluation["stage"]] = evaluation
    evaluations_shown = []
    for name, by_stage in by_node.items():
        stages = [by_stage[stage] for stage in order_splits(by_stage)]
        charts = list(_curves(stages))
        notes: list[str] = []
        for stage in stages:
            if "histogram" in stage:
                charts.append(_histogram(stage))
            notes.extend(_notes(stage))
        if charts:
            evaluations_shown.append({"name": name, "charts": charts, "notes": notes})
    return evaluations_shown


class OperatingPoint(NamedTuple):
    """Where the decisions lie on the curves; the precision is None if nothing was predicted."""

    true_positive_rate: float
    false_positive_rate: float
    precision: float | None


def _operating_point(stage: Mapping[str, Any]) -> OperatingPoint:
    counts = stage["counts"]
    true_positives = counts["hits"]
    predicted = counts["decided"]
    normal = counts["pixels"] - counts["anomalous"]
    precision = None
    if predicted:
        precision = true_positives / predicted
    return OperatingPoint(
        true_positive_rate=true_positives / counts["anomalous"],
        false_positive_rate=(predicted - true_positives) / normal,
        precision=precision,
    )


def _curves(stages: Sequence[Mapping[str, Any]]) -> Iterator[Markup]:
    """Yield a ROC and a precision-recall chart, if any stage has pixels of both classes."""
    with_curves = [stage for stage in stages if "roc" in stage]
    if not with_curves:
        return
    yield _roc_chart(with_curves)
    yield _precision_recall_chart(with_curves)


def _roc_chart(stages: Sequence[Mapping[str, Any]]) -> Markup:
    curves = []
    dots = []
    for style, stage in enumerate(stages):
        x, y = stage["roc"]
        curves.append(Curve(stage["stage"], x, y, style))
        point = _operating_point(stage)
        dots.append(_dot(point.false_positive_rate, point.true_positive_rate, style))
    chance = Curve("", [0, 1], [0, 1], CHANCE_STYLE)
    return chart(
        [*curves, chance, *dots],
        "ROC curves",
        ("false-positive rate", "true-positive rate"),
        x_range=UNIT_RANGE,
        y_range=UNIT_RANGE,
        height=320,
    )


def _precision_recall_chart(stages: Sequence[Mapping[str, Any]]) -> Markup:
    curves = []
    dots = []
    for style, stage in enumerate(stages):
        x, y = stage["pr"]
        curves.append(Curve(stage["stage"], x, y, style))
        point = _operating_point(stage)
        if point.precision is not None:
            dots.append(_dot(point.true_positive_rate, point.precision, style))
    counts = stages[0]["counts"]
    prevalence = float(counts["anomalous"] / counts["pixels"])
    chance = Curve("", [0, 1], [prevalence, prevalence], CHANCE_STYLE)
    return chart(
        [*curves, chance, *dots],
        "Precision-recall curves",
        ("recall", "precision"),
        x_range=UNIT_RANGE,
        y_range=UNIT_RANGE,
        height=320,
    )


def _dot(x: float, y: float, style: int) -> Curve:
    return Curve("", [x], [y], style, kind="dot")


def _histogram(stage: Mapping[str, Any]) -> Markup:
    bins = stage["histogram"]
    edges = np.linspace(bins["low"], bins["high"], len(bins["normal"]) + 1)[:-1].tolist()
    highest = max([*bins["normal"], *bins["anomalous"], 1e-9])
    threshold = stage["threshold"].get("value")
    rules = []
    if threshold is not None:
        rules.append(Rule(threshold, f"threshold {threshold:.4g}"))
    return chart(
        [
            Curve("normal pixels", edges, bins["normal"], style=0, kind="bars"),
            Curve("anomalous pixels", edges, bins["anomalous"], style=1, kind="bars"),
        ],
        f"Scores of {stage['stage']}",
        (f"score, {stage['stage']}", "fraction of the class"),
        x_range=(bins["low"], bins["high"]),
        y_range=(0.0, 1.08 * highest),
        rules=rules,
        height=240,
    )


def _notes(stage: Mapping[str, Any]) -> Iterator[str]:
    """Yield sentences on a stage: areas, threshold, and what is a sample."""
    name = stage["stage"]
    if "roc_auc" in stage:
        auc = format_number(stage["roc_auc"])
        precision = format_number(stage["average_precision"])
        yield f"{name}: area under the ROC curve {auc}, average precision {precision}."
    elif "histogram" in stage:
        yield f"{name}: no curves, because there are no pixels of both classes."
    threshold = stage.get("threshold")
    if not stage["counts"]["decided"]:
        yield f"{name}: no pixel was predicted to be anomalous."
    elif threshold and not threshold["single"]:
        lowest = format_number(threshold["at_most"])
        highest = format_number(threshold["above"])
        yield (
            f"{name}: no single threshold explains these decisions (the lowest score of a "
            f"predicted anomaly is {lowest}, the highest score of another pixel {highest})."
        )
    stride = max(stage.get("one_in") or [1])
    if stride > 1:
        yield f"{name}: the curves are of a sample, one pixel in {stride} of a large class."
    if stage["images"] > len(stage["rows"]):
        yield f"{name}: the table has the first {len(stage['rows'])} of {stage['images']} images."


def images(report: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return the first images of one stage, each in up to five panels."""
    pictures = report.get("pictures") or {}
    stage = pictures.get("stage", "")
    shown = []
    for image in pictures.get("images", ()):
        name = f"{image['judge']}/{image['number']}"
        metrics = _metrics_of_image(report, image["judge"], stage, image["number"])
        panels = dict(_panels(name, image["number"], arrays))
        shown.append({**image, "panels": panels, "caption": _caption(metrics)})
    return {
        "stage": stage,
        "images": shown,
        "bands": [_band_name(band) for band in pictures.get("bands") or ()],
        "titles": PANELS,
        "several_nodes": len({image["judge"] for image in shown}) > 1,
    }


def _panels(name: str, number: int, arrays: Arrays) -> Iterator[tuple[str, Markup]]:
    for part, title in PANELS.items():
        palette: Any = None
        key = f"{name}/{part}"
        if part == "scores":
            palette = viridis()
        elif part in PALETTES:
            palette = PALETTES[part]
            key = f"{name}/kinds"
        if key in arrays:
            yield part, image_tag(arrays[key], palette, f"image {number}: {title}")


def _metrics_of_image(
    report: Mapping[str, Any], node: str, stage: str, number: int
) -> Mapping[str, Any]:
    """Return the metrics of one image; nothing if the table of images ends before it."""
    for evaluation in report.get("judged") or ():
        if evaluation["judge"] == node and evaluation["stage"] == stage:
            rows: Sequence[Mapping[str, Any]] = evaluation["rows"]
            if number < len(rows):
                return rows[number]
    return {}


def _caption(metrics: Mapping[str, Any]) -> str:
    recorded = [key for key in CAPTION_METRICS if key in metrics]
    return ", ".join(f"{IMAGE_COLUMNS[key]} {format_number(metrics[key])}" for key in recorded)


def _band_name(band: Mapping[str, Any]) -> str:
    if band.get("nm") is None:
        return f"band {band['band']}"
    return f"{band['nm']:.0f} nm"


def training_charts(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each phase a small chart of each quantity that varies, with all its stages."""
    found = []
    for phase in history:
        varying = {}
        constant = {}
        for name, (steps, values) in phase["series"].items():
            if len(set(values)) > 1:
                varying[name] = (steps, values)
            else:
                constant[name] = values[-1]
        charts = []
        for quantity, names in _group_by_quantity(varying).items():
            curves = []
            for style, stage in enumerate(order_splits(names)):
                steps, values = varying[names[stage]]
                curves.append(Curve(stage, steps, values, style))
            svg = chart(curves, quantity, ("epoch", ""), height=200)
            charts.append({"title": quantity, "svg": svg})
        if charts or constant:
            found.append({"name": phase["name"], "charts": charts, "constant": constant})
    return found


def _group_by_quantity(names: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the names ``<stage>/<quantity>`` by quantity and stage."""
    groups: dict[str, dict[str, str]] = {}
    for name in names:
        stage, _, quantity = name.partition("/")
        groups.setdefault(quantity or name, {})[stage] = name
    return groups


def selection_charts(report: Mapping[str, Any], arrays: Arrays) -> list[dict[str, Any]]:
    """Return for each selector its weights over wavelengths and epochs, and the chosen bands."""
    found = []
    for selection in report.get("selections") or ():
        node = selection["node"]
        charts = {
            "chosen": [],
            "record": None,
            **selection,
            "chart": _weights_chart(selection),
            "epochs": "",
            "temperature": _temperature_chart(node, report.get("history") or ()),
        }
        levels = arrays.get(f"epochs/{node}")
        if levels is not None:
            charts["epochs"] = image_tag(levels, viridis(), f"weights of {node} over epochs")
            charts["rows"] = len(levels)
        found.append(charts)
    return found


def _weights_chart(selection: Mapping[str, Any]) -> Markup | str:
    """Return the weights of each output over the bands, or nothing where they are not known."""
    wavelengths = selection["wavelengths"]
    weights = selection.get("weights") or _weights_of_record(selection)
    if not weights:
        return ""
    places = wavelengths or list(range(len(weights[0])))
    if len(weights) > 1:
        curves = [Curve(f"output {k}", places, row, k) for k, row in enumerate(weights)]
    else:
        chosen = selection.get("chosen", [])
        x = [places[band["band"]] for band in chosen]
        y = [band["weight"] for band in chosen]
        curves = [Curve("", places, weights[0]), Curve("chosen", x, y, 1, kind="dot")]
    x_label = "band"
    if wavelengths:
        x_label = "wavelength, nm"
    return chart(curves, f"Weights of {selection['node']}", (x_label, "weight"))


def _weights_of_record(selection: Mapping[str, Any]) -> list[list[float]]:
    """Return 1 for each band that a record names and 0 for all others, for each output."""
    wavelengths = selection["wavelengths"]
    chosen = (selection.get("record") or {}).get("band_indices")
    if not wavelengths or not isinstance(chosen, list):
        return []
    return [_indicator(one, len(wavelengths)) for one in chosen]


def _indicator(chosen: int, bands: int) -> list[float]:
    """Return 1 for the chosen band and 0 for all others."""
    return [float(band == chosen) for band in range(bands)]


def _temperature_chart(node: str, history: Sequence[Mapping[str, Any]]) -> Markup | str:
    """Return the temperature of a selector over epochs, of the last phase that recorded it."""
    for phase in reversed(history):
        for name, (steps, values) in phase["series"].items():
            if name.split("/")[1:] in ([node, "temperature"], [node, "tau"]):
                curve = Curve("", steps, values)
                labels = ("epoch", "temperature")
                return chart([curve], f"Temperature of {node}", labels, height=200)
    return ""
