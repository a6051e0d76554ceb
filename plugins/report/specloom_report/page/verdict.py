"""The verdict of a run: what it found, in one line and a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from specloom_report.page.tables import format_number
from specloom_report.page.wording import counted, share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from specloom_report.page.viewer import Viewer


class Tile(NamedTuple):
    """A number with its name, and what else a reader should know of it."""

    name: str
    value: str
    note: str = ""


class Verdict(NamedTuple):
    """The answer in one line, a sentence, numbers by node, and where thresholds come from."""

    headline: str
    sentence: str
    tiles: Mapping[str, Sequence[Tile]]
    thresholds: Sequence[str] = ()


def find_verdict(report: Mapping[str, Any], viewer: Viewer) -> Verdict:
    """Return the verdict of a report."""
    if report.get("prediction"):
        return _verdict_of_prediction(report["prediction"], viewer)
    evaluations = [one for one in report.get("judged") or () if one["stage"] == viewer.stage]
    if not evaluations:
        return _verdict_without_images(report)
    first = evaluations[0]
    tiles: dict[str, Sequence[Tile]] = {}
    for evaluation in evaluations:
        own = list(_tiles(report, evaluation))
        if own not in tiles.values():
            tiles[evaluation["judge"]] = own
    thresholds = tuple(report.get("calibrations") or ())
    if not first.get("masked", True):
        return Verdict(_unmasked_headline(first), _strongest(viewer), tiles, thresholds)
    headline = f"No AUC on {first['stage']}: there are not pixels of both classes"
    if "roc_auc" in first:
        headline = f"AUC {format_number(first['roc_auc'])} on {first['stage']}"
    return Verdict(headline, _masked_sentence(first), tiles, thresholds)


def _verdict_without_images(report: Mapping[str, Any]) -> Verdict:
    for split, metrics in reversed((report.get("metrics") or {}).items()):
        for name, value in metrics.items():
            if name.endswith("/roc_auc"):
                headline = f"AUC {format_number(value)} on {split}"
                return Verdict(headline, "The pixels of this run were not recorded.", {})
    if report.get("metrics"):
        return Verdict("Metrics only", "The pixels of this run were not recorded.", {})
    return Verdict("Nothing was evaluated", "No image was compared with a mask.", {})


def _verdict_of_prediction(prediction: Mapping[str, Any], viewer: Viewer) -> Verdict:
    words = prediction["counts"]
    rows = prediction["rows"]
    headline = f"{words['reject']} of {counted(len(rows), 'cube')} rejected"
    if words["unjudged"]:
        headline = f"{headline}, {words['unjudged']} unjudged"
    tiles = [
        Tile("accepted", str(words["accept"])),
        Tile("rejected", str(words["reject"])),
        Tile("unjudged", str(words["unjudged"])),
    ]
    objects = [row["objects"] for row in rows if row["objects"] is not None]
    if objects:
        tiles.append(Tile("objects", f"{sum(objects):,}"))
    decided = [row["decided"] for row in rows if row["decided"] is not None]
    if decided:
        mean = 100 * sum(decided) / len(decided)
        tiles.append(Tile("pixels decided", f"{mean:.2g} %", "mean over cubes"))
    return Verdict(headline, _strongest(viewer), {"": tiles})


def _unmasked_headline(evaluation: Mapping[str, Any]) -> str:
    counts = evaluation["counts"]
    pixels = f"{share(counts['decided'], counts['pixels'])} of {counts['pixels']:,} pixels"
    objects = (evaluation.get("objects") or {}).get("decided_objects")
    if objects is None:
        return f"{pixels} decided"
    return f"{counted(objects, 'object')}, {pixels}"


def _strongest(viewer: Viewer) -> str:
    """Return where the highest score is."""
    best = None
    for image, shown in zip(viewer.as_listed(), viewer.shown, strict=True):
        for one in image.get("objects") or ():
            score = one.get("score")
            if score is not None and (best is None or score > best[0]):
                best = (score, f"row {one['row']}, column {one['column']} of {shown.name}")
    without = "There are no masks: nothing says which decisions are right."
    if best is None:
        return without
    return f"Strongest at {best[1]}, score {best[0]:.4g}. {without}"


def _masked_sentence(evaluation: Mapping[str, Any]) -> str:
    counts = evaluation["counts"]
    objects = evaluation.get("objects")
    if objects is None:
        found = f"{counts['hits']:,} of {counted(counts['anomalous'], 'anomalous pixel')} decided"
        false = counted(counts["decided"] - counts["hits"], "false-alarm pixel")
        return f"{found}; {false}."
    parts = [
        f"{objects['found_objects']:,} of {counted(objects['anomalous_objects'], 'object')} found",
        counted(objects["false_objects"], "false object"),
    ]
    clean = objects["clean_images"]
    if clean:
        text = f"{objects['false_alarm_images']} of {counted(clean, 'clean image')}"
        parts.append(f"false alarms in {text}")
    return "; ".join(parts) + "."


def _tiles(report: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterator[Tile]:
    counts = evaluation["counts"]
    masked = evaluation.get("masked", True)
    if "roc_auc" in evaluation:
        yield Tile("ROC AUC", format_number(evaluation["roc_auc"]), evaluation["stage"])
        precision = format_number(evaluation["average_precision"])
        yield Tile("average precision", precision, evaluation["stage"])
    yield from _threshold_tiles(report, evaluation)
    decided = share(counts["decided"], counts["pixels"])
    of = f"{counts['decided']:,} of {counts['pixels']:,}"
    yield Tile("pixels decided", decided, of)
    objects = evaluation.get("objects")
    if masked:
        yield Tile("true positives", f"{counts['hits']:,}", "pixels")
        yield Tile("false positives", f"{counts['decided'] - counts['hits']:,}", "pixels")
        yield Tile("false negatives", f"{counts['anomalous'] - counts['hits']:,}", "pixels")
    if masked and objects is not None:
        found = f"{objects['found_objects']:,} of {objects['anomalous_objects']:,}"
        yield Tile("objects found", found, f"{objects['false_objects']:,} false")
    elif objects is not None:
        yield Tile("objects", f"{objects['decided_objects']:,}", "connected regions")
    yield Tile("images", f"{evaluation['images']:,}", evaluation["stage"])
    if counts["left_out"]:
        yield Tile("excluded", f"{counts['left_out']:,}", "pixels")


def _threshold_tiles(report: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterator[Tile]:
    """Yield the threshold, if the decisions show one, or why they show none."""
    threshold = evaluation.get("threshold") or {}
    decider = evaluation.get("decider", "")
    note = f"of {decider}"
    if threshold.get("value") is not None:
        for line in report.get("calibrations") or ():
            if line.startswith(f"{decider} on "):
                split = line.removeprefix(f"{decider} on ").partition(":")[0]
                note = f"calibrated on {split}"
        yield Tile("threshold", format_number(threshold["value"]), note)
    elif threshold and not evaluation["counts"]["decided"]:
        yield Tile("threshold", "not reached", note)
    elif threshold and not threshold["single"]:
        yield Tile("threshold", "several", f"{decider} has no single one")
