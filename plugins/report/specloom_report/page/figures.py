"""The charts and pictures of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_report.page.charts import Curve, Rule, chart
from specloom_report.page.images import DECISIONS, ERRORS, TRUTH, heat, picture
from specloom_report.page.tables import number, splits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markupsafe import Markup

    from specloom_report.report_files import Arrays

UNIT = (0.0, 1.0)
PARTS = {
    "colours": "false colour",
    "scores": "scores",
    "decisions": "decisions",
    "truth": "ground truth",
    "errors": "errors",
}


def judges(judged: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each node that judges: curves of all its stages, and a histogram of each."""
    found = []
    for name in dict.fromkeys(one["judge"] for one in judged):
        stages = {one["stage"]: one for one in judged if one["judge"] == name}
        ordered = [stages[stage] for stage in splits(stages)]
        charts = [*_curves(ordered), *(_histogram(one) for one in ordered if "histogram" in one)]
        notes = [note for one in ordered for note in _notes(one)]
        if charts:
            found.append({"name": name, "charts": charts, "notes": notes})
    return found


def _curves(stages: Sequence[Mapping[str, Any]]) -> Iterator[Markup]:
    known = [one for one in stages if "roc" in one]
    if not known:
        return
    points = [_working_point(one) for one in known]
    roc = [Curve(one["stage"], one["roc"][0], one["roc"][1], i) for i, one in enumerate(known)]
    roc += [Curve("", [0, 1], [0, 1], style=4)]
    dots = [(p["alarms"], p["recall"]) for p in points]
    roc += [Curve("", [x], [y], style=i, kind="dot") for i, (x, y) in enumerate(dots)]
    yield chart(
        roc,
        "ROC curves",
        ("false alarms, share of normal pixels", "hits, share of anomalous pixels"),
        x_range=UNIT,
        y_range=UNIT,
        height=320,
    )
    pr = [Curve(one["stage"], one["pr"][0], one["pr"][1], i) for i, one in enumerate(known)]
    rates = [_rate(one) for one in known]
    pr += [Curve("", [0, 1], [rate, rate], style=4) for rate in rates[:1]]
    some = [(i, p["recall"], p["precision"]) for i, p in enumerate(points)]
    pr += [Curve("", [x], [y], style=i, kind="dot") for i, x, y in some if y is not None]
    yield chart(
        pr,
        "Precision-recall curves",
        ("recall", "precision"),
        x_range=UNIT,
        y_range=UNIT,
        height=320,
    )


def _working_point(one: Mapping[str, Any]) -> dict[str, Any]:
    counts = one["counts"]
    normal = counts["pixels"] - counts["anomalous"]
    return {
        "recall": counts["hits"] / counts["anomalous"],
        "alarms": (counts["decided"] - counts["hits"]) / normal,
        "precision": counts["hits"] / counts["decided"] if counts["decided"] else None,
    }


def _rate(one: Mapping[str, Any]) -> float:
    return float(one["counts"]["anomalous"] / one["counts"]["pixels"])


def _histogram(one: Mapping[str, Any]) -> Markup:
    bins = one["histogram"]
    edges = np.linspace(bins["low"], bins["high"], len(bins["normal"]) + 1)[:-1].tolist()
    top = 1.08 * max([*bins["normal"], *bins["anomalous"], 1e-9])
    cut = one["threshold"].get("value")
    return chart(
        [
            Curve("normal pixels", edges, bins["normal"], style=0, kind="bars"),
            Curve("anomalous pixels", edges, bins["anomalous"], style=1, kind="bars"),
        ],
        f"Scores of {one['stage']}",
        (f"score, {one['stage']}", "share of the class"),
        x_range=(bins["low"], bins["high"]),
        y_range=(0.0, top),
        rules=[] if cut is None else [Rule(cut, f"threshold {cut:.4g}")],
        height=240,
    )


def _notes(one: Mapping[str, Any]) -> Iterator[str]:
    stage, told = one["stage"], one.get("threshold") or {}
    if "roc_auc" in one:
        auc, ap = number(one["roc_auc"]), number(one["average_precision"])
        yield f"{stage}: area under the ROC curve {auc}, average precision {ap}."
    elif "histogram" in one:
        yield f"{stage}: there are no pixels of both classes, so there is no curve."
    if not one["counts"]["decided"]:
        yield f"{stage}: no pixel was decided to be an anomaly."
    elif told and not told["single"]:
        yield (
            f"{stage}: no single threshold makes these decisions (the lowest score decided is "
            f"{number(told['at_most'])}, the highest not decided {number(told['above'])})."
        )
    thinned = [n for n in one.get("one_in") or () if n > 1]
    if thinned:
        yield f"{stage}: curves from a sample, of large classes one pixel in {max(thinned)}."
    if one["images"] > len(one["rows"]):
        yield f"{stage}: the table has the first {len(one['rows'])} of {one['images']} images."


def pictures(report: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """The first images of one stage, each in up to five pictures."""
    told = report.get("pictures") or {}
    rows = {(o["judge"], o["stage"]): o["rows"] for o in report.get("judged") or ()}
    found, table = [], heat()
    for image in told.get("images", ()):
        name = f"{image['judge']}/{image['number']}"
        shown = {}
        for part, label in PARTS.items():
            alt = f"image {image['number']}: {label}"
            if part in ("colours", "scores"):
                if (levels := arrays.get(f"{name}/{part}")) is not None:
                    shown[part] = picture(levels, table if part == "scores" else None, alt)
            elif (kinds := arrays.get(f"{name}/kinds")) is not None:
                palette = {"decisions": DECISIONS, "truth": TRUTH, "errors": ERRORS}[part]
                shown[part] = picture(kinds, palette, alt)
        known = rows.get((image["judge"], told["stage"])) or []
        row = known[image["number"]] if image["number"] < len(known) else {}
        caption = [f"{k.upper()} {number(row[k])}" for k in ("iou", "f1") if k in row]
        if "roc_auc" in row:
            caption.append(f"ROC-AUC {number(row['roc_auc'])}")
        found.append({**image, "shown": shown, "caption": ", ".join(caption)})
    bands = [
        f"{b['nm']:.0f} nm" if b.get("nm") is not None else f"band {b['band']}"
        for b in told.get("bands") or ()
    ]
    several = len({one["judge"] for one in found}) > 1
    return {
        "stage": told.get("stage", ""),
        "images": found,
        "bands": bands,
        "parts": PARTS,
        "several": several,
    }


def training(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each phase a small chart for each quantity that moved, with all its stages."""
    found = []
    for phase in history:
        series: Mapping[str, Any] = phase["series"]
        moving = {n: s for n, s in series.items() if len({*s[1]}) > 1}
        groups: dict[str, list[str]] = {}
        for name in moving:
            groups.setdefault(name.partition("/")[2] or name, []).append(name)
        charts = []
        for what, names in groups.items():
            stage = {name.partition("/")[0]: name for name in names}
            lines = [
                Curve(one, moving[stage[one]][0], moving[stage[one]][1], i)
                for i, one in enumerate(splits(stage))
            ]
            charts.append({"title": what, "svg": chart(lines, what, ("epoch", ""), height=200)})
        still = {n: s[1][-1] for n, s in series.items() if n not in moving}
        if charts or still:
            found.append({"name": phase["name"], "charts": charts, "still": still})
    return found


def selections(report: Mapping[str, Any], arrays: Arrays) -> list[dict[str, Any]]:
    """What each selector chose: weights over wavelengths, over epochs, and the bands."""
    found = []
    for one in report.get("selections") or ():
        made: dict[str, Any] = {"chosen": [], "record": None, **one, "chart": "", "epochs": ""}
        if one.get("weights") or made["record"]:
            made["chart"] = _bands(made)
        if (levels := arrays.get(f"epochs/{one['node']}")) is not None:
            made["epochs"] = picture(levels, heat(), f"weights of {one['node']} over epochs")
            made["rows"] = len(levels)
        made["temperature"] = _temperature(one["node"], report.get("history") or ())
        found.append(made)
    return found


def _bands(one: Mapping[str, Any]) -> Markup | str:
    """The weights of each output over the bands; 1 and 0 where bands were simply chosen."""
    grid, weights = one["wavelengths"], one["weights"]
    if not weights:
        chosen = one["record"].get("band_indices")
        if not grid or not isinstance(chosen, list):
            return ""
        weights = [[float(band == here) for band in range(len(grid))] for here in chosen]
    places = grid or list(range(len(weights[0])))
    several = len(weights) > 1
    lines = [
        Curve(f"output {k}" if several else "", places, row, style=k)
        for k, row in enumerate(weights)
    ]
    if not several:
        chosen = one["chosen"]
        nm = [places[c["band"]] for c in chosen]
        lines.append(Curve("chosen", nm, [c["weight"] for c in chosen], 1, "dot"))
    label = "wavelength, nm" if grid else "band"
    return chart(lines, f"Weights of {one['node']}", (label, "weight"))


def _temperature(node: str, history: Sequence[Mapping[str, Any]]) -> Markup | str:
    for phase in reversed(history):
        for name, (steps, values) in phase["series"].items():
            if name.split("/")[1:] in ([node, "temperature"], [node, "tau"]):
                line, labels = Curve("", steps, values), ("epoch", "temperature")
                return chart([line], f"Temperature of {node}", labels, height=200)
    return ""
