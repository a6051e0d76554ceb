"""The record of the targets of a detector."""

from __future__ import annotations

from specloom import Port

TARGET_INFO = Port(
    None,
    "record",
    kind="targets.target_info",
    doc="The names of the targets, in the order of the scores.",
    fields=("names",),
)
"""What flows from the output ``target_info``."""
