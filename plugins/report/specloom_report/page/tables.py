"""Numbers as tables: rows of cells, each with its text and the value it is sorted by."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from specloom_report.page.names import name_image

if TYPE_CHECKING:
    from specloom_report.page.names import Names

HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")
SPLITS = ("train", "val", "test", "predict")
BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
#: The titles of an image's metrics and counts, by their keys in a report.
IMAGE_COLUMNS = {
    "anomalous_objects": "true objects",
    "found_objects": "found objects",
    "false_objects": "false objects",
    "iou": "IoU",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "pixels": "pixels",
    "anomalous": "anomalous",
    "decided": "predicted anomalous",
    "hits": "true positives",
    "false_alarms": "false positives",
    "left_out": "excluded",
}
#: What means nothing for an image without an anomaly: it is 0 however good the image is.
UNDEFINED_WHERE_CLEAN = ("iou", "f1", "precision", "recall")
#: What means nothing without masks.
UNDEFINED_WITHOUT_MASKS = (
    "anomalous_objects",
    "found_objects",
    "false_objects",
    "anomalous",
    "hits",
    "false_alarms",
    *UNDEFINED_WHERE_CLEAN,
)
#: The titles of metrics, by the last part of their names.
METRIC_TITLES = {
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "pixels": "pixels that count",
    "anomalous_pixels": "anomalous pixels",
    "decided_pixels": "pixels predicted anomalous",
    "left_out_pixels": "excluded pixels",
    "image_iou": "IoU, mean over images",
    "image_precision": "precision, mean over images",
    "image_recall": "recall, mean over images",
    "image_f1": "F1, mean over images",
    "image_roc_auc": "ROC AUC, mean over images",
    "image_average_precision": "average precision, mean over images",
    "images": "images",
    "images_left_out": "images without both classes",
}
#: The titles of the counts of objects that the report makes.
OBJECT_TITLES = {
    "anomalous_objects": "true objects",
    "found_objects": "found objects",
    "decided_objects": "decided objects",
    "false_objects": "false objects",
}
PIXELS = "Pixels"
OBJECTS = "Objects"
IMAGES = "Images"
OTHERS = "Losses and calibration"


class Cell(NamedTuple):
    """The text of a cell, the value that it is sorted by, and the whole text where it is cut."""

    text: str
    key: Any = ""
    whole: str = ""


class Table(NamedTuple):
    """Column titles and rows of cells."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def format_number(value: float | None) -> str:
    """Return a number as a table shows it.

    >>> format_number(0.86698), format_number(32768), format_number(None)
    ('0.8670', '32768', '-')
    >>> format_number(1234567.8), format_number(3e-6)
    ('1.235e+06', '3.000e-06')
    """
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "-"
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.3e}"
    if abs(value) < 1000:
        return f"{value:.4f}"
    return f"{value:.1f}"


def format_seconds(value: float | None) -> str:
    """Return a duration.

    >>> format_seconds(0.00021), format_seconds(0.35), format_seconds(75.2)
    ('0.21 ms', '350 ms', '1 min 15 s')
    >>> format_seconds(4000), format_seconds(None)
    ('1 h 07 min', '-')
    """
    if value is None:
        return "-"
    if value < 0.01:
        return f"{1000 * value:.2g} ms"
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    seconds = round(value)
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {round(value / 60) % 60:02} min"


def format_bytes(value: float | None) -> str:
    """Return a number of bytes.

    >>> format_bytes(512), format_bytes(2.5 * 2**20), format_bytes(None)
    ('512 B', '2.5 MiB', '-')
    """
    if value is None:
        return "-"
    power = min(int(math.log2(max(value, 1)) // 10), len(BYTE_UNITS) - 1)
    if power == 0:
        return f"{value:.0f} B"
    return f"{value / 1024**power:.1f} {BYTE_UNITS[power]}"


def format_time(text: str) -> str:
    """Return a time, as ISO 8601 has it, for readers.

    >>> format_time("2026-11-22T00:49:26+00:00"), format_time("")
    ('2026-11-22 00:49:26 UTC', 'at an unknown time')
    """
    if not text:
        return "at an unknown time"
    return text.replace("T", " ").replace("+00:00", " UTC")


def order_splits(names: Iterable[str]) -> list[str]:
    """Return the splits in the usual order, and then all others."""
    names = list(names)
    usual = [name for name in SPLITS if name in names]
    return usual + [name for name in names if name not in SPLITS]


class Group(NamedTuple):
    """Rows of a table with a title of their own."""

    title: str
    rows: Sequence[Sequence[Cell]]


def metrics_table(
    metrics: Mapping[str, Mapping[str, float]], evaluations: Sequence[Mapping[str, Any]] = ()
) -> tuple[list[str], list[Group]]:
    """Return the column titles and all metrics of pixels, objects, images, and others.

    There is a column for each split. Without metrics of objects, those of the report are shown.
    """
    splits = order_splits(metrics)
    names: dict[str, None] = {}
    for split in splits:
        names |= dict.fromkeys(metrics[split])
    groups: dict[str, list[list[Cell]]] = {PIXELS: [], OBJECTS: [], IMAGES: [], OTHERS: []}
    for name in names:
        values = [_number_cell(metrics[split].get(name)) for split in splits]
        last = name.rpartition("/")[2]
        title = METRIC_TITLES.get(last, last.replace("_", " "))
        if last == "loss" and "/" in name:
            title = f"loss of {name.rpartition('/')[0]}"
        groups[metric_group(name)].append([Cell(title), Cell(name), *values])
    if not groups[OBJECTS]:
        groups[OBJECTS] = _object_rows(splits, evaluations)
    shown = [Group(title, rows) for title, rows in groups.items() if rows]
    return ["metric", "name", *splits], shown


def _object_rows(
    splits: Sequence[str], evaluations: Sequence[Mapping[str, Any]]
) -> list[list[Cell]]:
    """Return the counts of objects that the report itself made, if it has masks."""
    rows = []
    for key, title in OBJECT_TITLES.items():
        counts: dict[str, int] = {}
        for one in evaluations:
            if "objects" in one and one.get("masked", True):
                counts.setdefault(one["stage"], one["objects"][key])
        values = [_number_cell(counts.get(split)) for split in splits]
        if counts.keys() & set(splits):
            rows.append([Cell(title), Cell("of the report"), *values])
    return rows


def metric_group(name: str) -> str:
    """Return what a metric is about.

    >>> metric_group("metrics/image_iou"), metric_group("objects/object_recall")
    ('Images', 'Objects')
    >>> metric_group("metrics/roc_auc"), metric_group("decider/calibrated_f1")
    ('Pixels', 'Losses and calibration')
    """
    last = name.rpartition("/")[2]
    if last.startswith("calibrated_") or last.endswith("loss"):
        return OTHERS
    if "object" in last or "region" in last or "pro" in last.split("_"):
        return OBJECTS
    if "image" in last or "images" in last:
        return IMAGES
    if last in METRIC_TITLES or last.endswith("pixels"):
        return PIXELS
    return OTHERS


def images_table(evaluations: Sequence[Mapping[str, Any]], names: Names) -> Table:
    """Return the metrics of each image by name, with those columns that any image has."""
    keys = _present_keys(evaluations)
    titles = ["split", "image", *(IMAGE_COLUMNS[key] for key in keys)]
    several_nodes = len({one["judge"] for one in evaluations}) > 1
    if several_nodes:
        titles = ["node", *titles]
    rows = []
    for one in evaluations:
        masked = one.get("masked", True)
        for number, image in enumerate(one["rows"]):
            name = name_image(names, one["stage"], number, one["images"], masked)
            row = [Cell(one["stage"], one["stage"]), Cell(name, name)]
            if several_nodes:
                row = [Cell(one["judge"], one["judge"]), *row]
            for key in keys:
                row.append(_number_cell(_image_value(image, key, masked)))
            rows.append(row)
    return Table(titles, rows)


def _image_value(image: Mapping[str, Any], key: str, masked: bool) -> float | None:
    """Return a metric of an image; None where it means nothing."""
    if not masked and key in UNDEFINED_WITHOUT_MASKS:
        return None
    if not image["anomalous"] and key in UNDEFINED_WHERE_CLEAN:
        return None
    if key == "false_alarms":
        return int(image["decided"] - image["hits"])
    value: float | None = image.get(key)
    return value


def _present_keys(evaluations: Sequence[Mapping[str, Any]]) -> list[str]:
    present: set[str] = set()
    for one in evaluations:
        masked = one.get("masked", True)
        for image in one["rows"]:
            for key in IMAGE_COLUMNS:
                if _image_value(image, key, masked) is not None:
                    present.add(key)
    return [key for key in IMAGE_COLUMNS if key in present]


def costs_table(report: Mapping[str, Any]) -> Table:
    """Return time and memory of each node, in the order in which they run."""
    costs = (report.get("costs") or {}).get("nodes") or {}
    total = sum(cost["seconds"] for cost in costs.values()) or 1.0
    rows = []
    for name in _running_order(costs, report):
        cost = costs[name]
        per_call = cost["seconds"] / max(cost["calls"], 1)
        rows.append(
            [
                Cell(name, name),
                Cell(str(cost["calls"]), cost["calls"]),
                Cell(format_seconds(cost["seconds"]), cost["seconds"]),
                Cell(f"{cost['seconds'] / total:.1%}", cost["seconds"]),
                Cell(format_seconds(per_call), per_call),
                Cell(format_bytes(cost["bytes"]), cost["bytes"]),
            ]
        )
    return Table(["node", "calls", "time", "share", "per call", "largest outputs"], rows)


def _running_order(names: Collection[str], report: Mapping[str, Any]) -> list[str]:
    nodes = (report.get("graph") or {}).get("nodes", ())
    ordered = [node["name"] for node in nodes if node["name"] in names]
    return ordered + [name for name in names if name not in ordered]


def plugins_table(plugins: Mapping[str, Any]) -> Table:
    """Return plugins with versions, and whatever else is known of where they come from."""
    records: dict[str, Mapping[str, Any]] = {}
    for name, record in plugins.items():
        if isinstance(record, Mapping):
            records[name] = record
        else:
            records[name] = {"version": record}
    columns = {"version": None}
    for record in records.values():
        columns |= dict.fromkeys(record)
    rows = []
    for name, record in records.items():
        values = [_cut_hashes(_as_text(record.get(column))) for column in columns]
        rows.append([Cell(name), *values])
    return Table(["plugin", *columns], rows)


def _cut_hashes(text: str) -> Cell:
    """Return a cell whose hashes are cut to their first twelve digits.

    >>> _cut_hashes("595f0e7ac074826edd3c7b794111ac70b4189351").text
    '595f0e7ac074…'
    """
    cut = HASH.sub(r"\1…", text)
    if cut == text:
        return Cell(text)
    return Cell(cut, whole=text)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_as_text(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_as_text, value))
    return str(value)


def _number_cell(value: float | None) -> Cell:
    if value is None:
        return Cell(format_number(value))
    return Cell(format_number(value), value)
