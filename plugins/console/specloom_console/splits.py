"""What the splits of a run hold, as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specloom import DescribedSplit


def split_lines(splits: Mapping[str, DescribedSplit], *, verbose: bool = False) -> list[str]:
    """A line for each split; splits that hold the same share one.

    Args:
        splits: The descriptions by split.
        verbose: Whether the details follow, indented.
    """
    by_line: dict[tuple[str, ...], list[str]] = {}
    for split, description in splits.items():
        text = (description.line(), *description.details())
        by_line.setdefault(text, []).append(split)
    lines = []
    for text, names in by_line.items():
        lines.append(f"{', '.join(names)}: {text[0]}")
        if verbose:
            lines += [f"  {detail}" for detail in text[1:]]
    return lines
