"""A pass over a few images at the end of a run that compared none, for their pictures."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from specloom_report.collecting.detections import SHOWN_SPLITS
from specloom_report.collecting.thumbnails import MAX_IMAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specloom import Run
    from specloom_report.collecting.detections import Detections

MAX_SECONDS = 20.0
"""The pass ends with the first batch after so many seconds."""

MAX_BYTES = 1 << 30
"""Batches that are larger are not read for pictures."""


def add_unevaluated_images(run: Run, detections: Detections) -> None:
    """Apply the fitted graph to the first images of a split, where no split was evaluated.

    That is so without masks. No node's state changes, and no metric is computed.

    Args:
        run: The run, which has ended.
        detections: What collects the images.
    """
    ends = detections.ends()
    split = _first_split(run)
    if not split or not {"decisions", "logits"} & ends.keys() or run.graph.unfitted():
        return
    missing = run.graph.missing_data(split).values
    if ends.get("targets", "") in missing:
        ends = _without_masks(run, ends)
    plan = run.plan(split, [*ends.values(), *detections.cube_ends()])
    started = monotonic()
    count = 0
    with run.inference():
        for batch in run.source.batches(split):
            if _count_bytes(batch) > MAX_BYTES:
                return
            count += len(batch["cube"])
            values = plan(run.runtime.adopt(batch, run.graph.batch))
            detections.add_outputs(split, ends, values)
            if count >= MAX_IMAGES or monotonic() - started > MAX_SECONDS:
                return


def _without_masks(run: Run, ends: Mapping[str, str]) -> dict[str, str]:
    """Return what can be read without masks: not which pixels have a label, but which count."""
    found = {port: end for port, end in ends.items() if port not in ("targets", "classes")}
    if "valid" in found:
        node = found["valid"].partition(".")[0]
        without_labels = run.graph.port(found["valid"]).instead_of
        if without_labels:
            found["valid"] = f"{node}.{without_labels}"
    return found


def _first_split(run: Run) -> str:
    splits = list(run.source.splits())
    for split in SHOWN_SPLITS:
        if split in splits and split in run.graph.splits:
            return split
    return ""


def _count_bytes(batch: Mapping[str, Any]) -> int:
    return sum(int(getattr(value, "nbytes", 0)) for value in batch.values())
