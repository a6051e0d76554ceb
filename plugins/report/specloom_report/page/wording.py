"""Numbers of evaluations and images in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from specloom_report.page.tables import format_number

if TYPE_CHECKING:
    from collections.abc import Mapping


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "object"), counted(1200, "pixel")
    ('1 object', '1,200 pixels')
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}s"


def share(part: int, whole: int) -> str:
    """Return a share in per cent.

    >>> share(406, 32768), share(3, 10**6), share(0, 0)
    ('1.2 %', '0.0003 %', '-')
    """
    if not whole:
        return "-"
    percent = 100 * part / whole
    if percent == 0:
        return "0 %"
    return f"{percent:.2g} %".replace("1e+02", "100")


def describe_image(metrics: Mapping[str, Any], masked: bool = True) -> str:
    """Return the result of one image in a few words.

    >>> describe_image({"pixels": 9, "anomalous": 0, "decided": 4, "hits": 0})
    'no anomaly; 4 false-alarm pixels'
    >>> describe_image({"pixels": 9, "anomalous": 0, "decided": 0, "hits": 0})
    'no anomaly, none decided'
    """
    if not metrics:
        return ""
    if not metrics["pixels"]:
        return "no pixel counts"
    decided = metrics["decided"]
    if not masked:
        return _describe_unmasked(metrics)
    if not metrics["anomalous"]:
        if not decided:
            return "no anomaly, none decided"
        return f"no anomaly; {_false_alarms(metrics)}"
    texts = [f"IoU {format_number(metrics.get('iou', 0.0))}"]
    if "found_objects" in metrics:
        true_objects = metrics["anomalous_objects"]
        texts.append(f"{metrics['found_objects']} of {counted(true_objects, 'object')} found")
        if metrics["false_objects"]:
            texts.append(f"{metrics['false_objects']} false")
    else:
        texts.append(counted(metrics["anomalous"] - metrics["hits"], "missed pixel"))
        texts.append(counted(decided - metrics["hits"], "false-alarm pixel"))
    return ", ".join(texts)


def _describe_unmasked(metrics: Mapping[str, Any]) -> str:
    decided = metrics["decided"]
    if not decided:
        return "nothing decided"
    text = f"{counted(decided, 'pixel')} decided"
    if "decided_objects" in metrics:
        return f"{counted(metrics['decided_objects'], 'object')}, {text}"
    return text


def _false_alarms(metrics: Mapping[str, Any]) -> str:
    text = counted(metrics["decided"], "false-alarm pixel")
    if "decided_objects" in metrics:
        return f"{text} in {counted(metrics['decided_objects'], 'object')}"
    return text
