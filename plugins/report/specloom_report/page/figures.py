"""The charts of a report: curves, histograms, spectra, bands and training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from specloom_pictures import cividis
from specloom_report.page.charts import BARS, DOTS, STEPS, Chart, Rule, Series
from specloom_report.page.images import image_tag
from specloom_report.page.tables import format_number, order_splits
from specloom_report.page.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from specloom_report.page.viewer import Viewer
    from specloom_report.report_files import Arrays

UNIT_RANGE = (0.0, 1.0)
BACKGROUND_STYLE = 0
FOREGROUND_STYLE = 1
PERCENTILE_STYLE = 4
CHANCE_STYLE = 4
CLASS_STYLES = (1, 2, 3, 5)
"""The styles of classes, which have names in the legend."""

WEIGHT_STYLE = 2
MATTERING = 3
"""The charts of training that are in full view."""

#: What matters in training beside the loss, by the last part of a quantity's name.
METRICS = ("average_precision", "roc_auc", "f1", "iou")
SETTINGS = ("temperature", "tau", "learning_rate", "lr")


class Charts:
    """The charts of a page, each with a place of its own."""

    def __init__(self) -> None:
        self.by_place: dict[str, Chart] = {}

    def add(self, chart: Chart) -> str:
        """Add a chart, and return its place."""
        place = f"chart{len(self.by_place)}"
        self.by_place[place] = chart
        return place


def evaluation_charts(
    evaluations: Sequence[Mapping[str, Any]], charts: Charts
) -> list[dict[str, Any]]:
    """Return for each evaluating node the curves of all its stages and their histograms."""
    by_node: dict[str, dict[str, Mapping[str, Any]]] = {}
    for evaluation in evaluations:
        by_node.setdefault(evaluation["judge"], {})[evaluation["stage"]] = evaluation
    evaluations_shown = []
    for name, by_stage in by_node.items():
        stages = [by_stage[stage] for stage in order_splits(by_stage)]
        places = [charts.add(one) for one in (*_curves(stages), *_histograms(stages))]
        notes: list[str] = []
        for stage in stages:
            notes.extend(_notes(stage))
        if places:
            evaluations_shown.append({"name": name, "charts": places, "notes": notes})
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


def _curves(stages: Sequence[Mapping[str, Any]]) -> Iterator[Chart]:
    """Yield ROC and precision-recall charts, if any stage has pixels of both classes."""
    with_curves = [stage for stage in stages if "roc" in stage]
    if not with_curves:
        return
    yield _roc_chart(with_curves)
    logarithmic = [stage for stage in with_curves if stage.get("roc_log", [[]])[0]]
    if logarithmic:
        yield _logarithmic_roc_chart(logarithmic)
    yield _precision_recall_chart(with_curves)


def _roc_chart(stages: Sequence[Mapping[str, Any]]) -> Chart:
    series = [Series("", [0, 1], [0, 1], CHANCE_STYLE, width=1)]
    for style, stage in enumerate(stages):
        x, y = stage["roc"]
        series.append(Series(_named(stage, "roc_auc", "AUC"), x, y, style))
        point = _operating_point(stage)
        series.append(_dot(point.false_positive_rate, point.true_positive_rate, style))
    return Chart(
        "ROC curve",
        "false-positive rate",
        "true-positive rate",
        series,
        note="The straight line is chance.",
        x_range=UNIT_RANGE,
        y_range=UNIT_RANGE,
        continuous=True,
        height=320,
    )


def _logarithmic_roc_chart(stages: Sequence[Mapping[str, Any]]) -> Chart:
    series = []
    lowest = min(stage["roc_log"][0][0] for stage in stages)
    for style, stage in enumerate(stages):
        x, y = stage["roc_log"]
        series.append(Series(_named(stage, "roc_auc", "AUC"), x, y, style))
        point = _operating_point(stage)
        rate = max(point.false_positive_rate, lowest)
        series.append(_dot(rate, point.true_positive_rate, style))
    return Chart(
        "ROC curve, logarithmic axis",
        "false-positive rate",
        "true-positive rate",
        series,
        note="For rare anomalies: what is found at few false alarms.",
        x_range=(lowest, 1.0),
        y_range=UNIT_RANGE,
        x_log=True,
        continuous=True,
        height=320,
    )


def _precision_recall_chart(stages: Sequence[Mapping[str, Any]]) -> Chart:
    counts = stages[0]["counts"]
    prevalence = float(counts["anomalous"] / counts["pixels"])
    series = [Series("", [0, 1], [prevalence, prevalence], CHANCE_STYLE, width=1)]
    for style, stage in enumerate(stages):
        x, y = stage["pr"]
        series.append(Series(_named(stage, "average_precision", "AP"), x, y, style))
        point = _operating_point(stage)
        if point.precision is not None:
            series.append(_dot(point.true_positive_rate, point.precision, style))
    return Chart(
        "Precision and recall",
        "recall",
        "precision",
        series,
        note="The straight line is chance.",
        x_range=UNIT_RANGE,
        y_range=UNIT_RANGE,
        continuous=True,
        height=320,
    )


def _named(stage: Mapping[str, Any], key: str, short: str) -> str:
    if key in stage:
        return f"{stage['stage']}, {short} {format_number(stage[key])}"
    return str(stage["stage"])


def _dot(x: float, y: float, style: int) -> Series:
    return Series("", [x], [y], style, kind=DOTS)


def _histograms(stages: Sequence[Mapping[str, Any]]) -> Iterator[Chart]:
    """Yield the histogram of each stage, all on one scale."""
    with_scores = [stage for stage in stages if "histogram" in stage]
    if not with_scores:
        return
    low = min(stage["histogram"]["low"] for stage in with_scores)
    high = max(stage["histogram"]["high"] for stage in with_scores)
    highest = max(max(_densities(stage, "normal"), default=0.0) for stage in with_scores)
    for stage in with_scores:
        highest = max(highest, max(_densities(stage, "anomalous"), default=0.0))
    for stage in with_scores:
        yield _histogram(stage, (low, high), 1.08 * max(highest, 1e-9))


def _densities(stage: Mapping[str, Any], name: str) -> list[float]:
    """Return the share of a class per unit of the score, in each bin."""
    bins = stage["histogram"]
    width = (bins["high"] - bins["low"]) / len(bins[name])
    return [fraction / width for fraction in bins[name]]


def _histogram(stage: Mapping[str, Any], x_range: tuple[float, float], highest: float) -> Chart:
    bins = stage["histogram"]
    edges = np.linspace(bins["low"], bins["high"], len(bins["normal"]) + 1)
    normal = _densities(stage, "normal")
    series = []
    if stage.get("masked", True):
        anomalous = _densities(stage, "anomalous")
        series.append(Series("normal pixels", edges, [*normal, normal[-1]], 0, STEPS))
        series.append(Series("anomalous pixels", edges, [*anomalous, anomalous[-1]], 1, STEPS))
    else:
        series.append(Series("pixels", edges, [*normal, normal[-1]], 0, STEPS))
    threshold = stage["threshold"].get("value")
    rules = []
    if threshold is not None:
        rules.append(Rule(threshold, f"threshold {threshold:.4g}"))
    return Chart(
        f"Scores of {stage['stage']}",
        "score",
        "share of the class per unit",
        series,
        x_range=x_range,
        y_range=(0.0, highest),
        rules=rules,
    )


def _notes(stage: Mapping[str, Any]) -> Iterator[str]:
    """Yield sentences on a stage: areas, threshold, and what is a sample."""
    name = stage["stage"]
    if "roc_auc" in stage:
        auc = format_number(stage["roc_auc"])
        precision = format_number(stage["average_precision"])
        yield f"{name}: area under the ROC curve {auc}, average precision {precision}."
    elif "histogram" in stage and stage.get("masked", True):
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


def spectra_chart(viewer: Viewer) -> Chart | None:
    """Return the mean spectra of both classes with percentiles of the background."""
    pooled = viewer.pooled()
    if "background" not in pooled:
        return None
    label, _places = viewer.axis()
    series, bands = _class_series(viewer)
    return Chart(
        "Mean spectra of the classes",
        label,
        "value",
        series,
        note=_spectra_note(viewer),
        bands=bands,
        height=340,
    )


def _spectra_note(viewer: Viewer) -> str:
    pooled = viewer.pooled()
    background = counted(pooled["background"]["pixels"], "pixel")
    texts = [f"{_class_names(viewer)[0]}: a grid of {background}"]
    classes = _shown_classes(viewer)
    for one in classes:
        texts.append(f"{viewer.class_name(one['class'])}: {counted(one['pixels'], 'pixel')}")
    if "foreground" in pooled and not classes:
        foreground = counted(pooled["foreground"]["pixels"], "pixel")
        texts.append(f"{_class_names(viewer)[1]}: {foreground}")
    return f"Of the images above; {', '.join(texts)}."


def _class_names(viewer: Viewer) -> tuple[str, str]:
    if viewer.masked:
        return "normal pixels", "anomalous pixels"
    return "background", "decided pixels"


def _shown_classes(viewer: Viewer) -> list[Mapping[str, Any]]:
    """Return the classes of the masks, where these say more than normal and anomalous."""
    classes = list(viewer.pooled().get("classes") or ())
    named = [one for one in classes if viewer.class_name(one["class"]) != f"class {one['class']}"]
    if len(classes) > 2 or named:
        return classes
    return []


def _class_series(viewer: Viewer) -> tuple[list[Series], list[tuple[int, int]]]:
    """Return the mean spectra of both classes, and which curves enclose the percentiles."""
    _label, places = viewer.axis()
    pooled = viewer.pooled()
    names = _class_names(viewer)

    def ordered(values: Sequence[float]) -> list[float]:
        own: list[float] = np.asarray(values)[viewer.order].tolist()
        return own

    background = pooled["background"]
    series = [
        Series("percentile 95", places, ordered(background["high"]), PERCENTILE_STYLE, width=1),
        Series("percentile 5", places, ordered(background["low"]), PERCENTILE_STYLE, width=1),
        Series(f"mean of {names[0]}", places, ordered(background["mean"]), BACKGROUND_STYLE),
    ]
    classes = _shown_classes(viewer)
    for place, one in enumerate(classes):
        kind = "anomalous" if one["anomalous"] else "normal"
        name = f"{viewer.class_name(one['class'])} ({kind})"
        series.append(Series(name, places, ordered(one["mean"]), CLASS_STYLES[place % 4]))
    if "foreground" in pooled and not classes:
        foreground = ordered(pooled["foreground"]["mean"])
        series.append(Series(f"mean of {names[1]}", places, foreground, FOREGROUND_STYLE))
    return series, [(0, 1)]


def training_charts(history: Sequence[Mapping[str, Any]], charts: Charts) -> list[dict[str, Any]]:
    """Return for each phase the charts that matter, all others, and what did not vary."""
    found = []
    for phase in history:
        varying = {}
        constant = {}
        for name, (steps, values) in phase["series"].items():
            if len(set(values)) > 1:
                varying[name] = (steps, values)
            else:
                constant[name] = values[-1]
        groups = _group_by_quantity(varying)
        order = _by_importance(groups, varying)
        places = []
        for quantity in order:
            places.append(charts.add(_training_chart(quantity, groups[quantity], varying)))
        if places or constant:
            found.append(
                {
                    "name": phase["name"],
                    "charts": places[:MATTERING],
                    "more": places[MATTERING:],
                    "constant": constant,
                }
            )
    return found


def _training_chart(quantity: str, names: Mapping[str, str], varying: Mapping[str, Any]) -> Chart:
    series = []
    for style, stage in enumerate(order_splits(names)):
        steps, values = varying[names[stage]]
        series.append(Series(stage, steps, values, style))
    return Chart(quantity, "epoch", "", series, height=220)


def _by_importance(
    groups: Mapping[str, Mapping[str, str]], varying: Mapping[str, Any]
) -> list[str]:
    """Return the quantities in the order of their charts.

    The greatest loss comes first, then the first metric and the first setting of ``IMPORTANT``,
    and then all others.
    """
    losses = [quantity for quantity in groups if quantity.rpartition("/")[2] == "loss"]

    def greatest(quantity: str) -> float:
        values = [abs(value) for name in groups[quantity].values() for value in varying[name][1]]
        return float(max(values))

    losses.sort(key=greatest, reverse=True)
    first = losses[:1]
    for wanted in (METRICS, SETTINGS):
        first += _first_of(groups, wanted)
    rest = [quantity for quantity in (*losses, *groups) if quantity not in first]
    return [*first, *dict.fromkeys(rest)]


def _first_of(groups: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return the quantity with the first of these names that there is; none where there is none."""
    for name in names:
        for quantity in groups:
            if quantity.rpartition("/")[2] == name:
                return [quantity]
    return []


def _group_by_quantity(names: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the names ``<stage>/<quantity>`` by quantity and stage."""
    groups: dict[str, dict[str, str]] = {}
    for name in names:
        stage, _, quantity = name.partition("/")
        groups.setdefault(quantity or name, {})[stage] = name
    return groups


def selection_charts(
    report: Mapping[str, Any], arrays: Arrays, viewer: Viewer, charts: Charts
) -> list[dict[str, Any]]:
    """Return for each selector its bands over the mean spectra and over epochs."""
    found = []
    for selection in report.get("selections") or ():
        node = selection["node"]
        shown = {"chosen": [], "record": None, **selection, "charts": [], "epochs": ""}
        for chart in (
            _bands_chart(selection, viewer),
            _temperature_chart(node, report.get("history") or ()),
        ):
            if chart is not None:
                shown["charts"].append(charts.add(chart))
        levels = arrays.get(f"epochs/{node}")
        if levels is not None:
            shown["epochs"] = image_tag(levels, cividis(), f"weights of {node} over epochs")
            shown["rows"] = len(levels)
        found.append(shown)
    return found


def _bands_chart(selection: Mapping[str, Any], viewer: Viewer) -> Chart | None:
    """Return the chosen bands and the relevance of all, over the mean spectra where known."""
    strengths = _strengths(selection)
    if not strengths:
        return None
    count = len(next(iter(strengths.values())))
    wavelengths = selection["wavelengths"]
    label = "band"
    places = [float(band) for band in range(count)]
    if wavelengths:
        label = "wavelength, nm"
        places = wavelengths
    order = np.argsort(places, kind="stable")
    over_spectra = len(viewer.order) == count and "background" in viewer.pooled()
    series: list[Series] = []
    bands: list[tuple[int, int]] = []
    for style, (name, values) in enumerate(strengths.items(), start=WEIGHT_STYLE):
        ordered = np.asarray(values, float)[order]
        rising = np.asarray(places, float)[order]
        series.append(Series(name, rising, ordered, style, BARS, right=over_spectra))
    if over_spectra:
        spectra, pairs = _class_series(viewer)
        bands = [(high + len(series), low + len(series)) for high, low in pairs]
        series += spectra
    y_label = "relevance"
    right_label = ""
    if over_spectra:
        y_label = "value"
        right_label = " and ".join(dict.fromkeys(name.partition(" ")[0] for name in strengths))
    return Chart(
        f"Bands that {selection['node']} chose",
        label,
        y_label,
        series,
        note=_chosen_note(selection, places, label),
        rules=[Rule(places[band], "") for band in _chosen(selection)],
        bands=bands,
        right_label=right_label,
        height=360,
    )


def _strengths(selection: Mapping[str, Any]) -> dict[str, Sequence[float]]:
    """Return the relevance or the weight of each band, by name."""
    if selection.get("relevance"):
        return {"relevance": selection["relevance"]}
    weights = selection.get("weights") or _weights_of_record(selection)
    if len(weights) == 1:
        return {"weight": weights[0]}
    return {f"weight in output {number}": row for number, row in enumerate(weights)}


def _chosen(selection: Mapping[str, Any]) -> list[int]:
    chosen = [band["band"] for band in selection.get("chosen") or ()]
    recorded = (selection.get("record") or {}).get("band_indices")
    if not chosen and isinstance(recorded, list):
        chosen = recorded
    return list(dict.fromkeys(chosen))


def _chosen_note(selection: Mapping[str, Any], places: Sequence[float], label: str) -> str:
    names = []
    for band in _chosen(selection):
        if label == "band":
            names.append(f"band {band}")
        else:
            names.append(f"{places[band]:.1f} nm")
    if not names:
        return ""
    return f"Dashed lines are the chosen bands: {', '.join(names)}."


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


def _temperature_chart(node: str, history: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Return the temperature of a selector over epochs, of the last phase that recorded it."""
    for phase in reversed(history):
        for name, (steps, values) in phase["series"].items():
            if name.split("/")[1:] in ([node, "temperature"], [node, "tau"]):
                series = [Series("temperature", steps, values)]
                return Chart(f"Temperature of {node}", "epoch", "temperature", series, height=220)
    return None
