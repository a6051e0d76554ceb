"""What a source says of its splits, and what of it does not fit the nodes."""

from collections.abc import Mapping
from typing import Any

from specloom.contract.errors import SpecloomError, as_specloom_error
from specloom.contract.sources import DescribedSplit, DescribesSplits
from specloom.graph.graph import Graph

#: The split that no phase reads.
UNREAD = "predict"


def describe_splits(graph: Graph, source: Any) -> dict[str, DescribedSplit]:
    """The description of each split that phases may read; empty for a source without any.

    Args:
        graph: The graph, for its splits and the place of the data in the run file.
        source: The source.

    Raises:
        SpecloomError: The files of a split cannot be used.
    """
    found: dict[str, DescribedSplit] = {}
    if not isinstance(source, DescribesSplits):
        return found
    for split in graph.splits:
        if split == UNREAD:
            continue
        try:
            description = source.describe(split)
        except Exception as e:
            where = graph.where("data")
            raise as_specloom_error(e, type(source).__name__, where) from e
        if description is not None:
            found[split] = description
    return found


def data_notes(graph: Graph, splits: Mapping[str, DescribedSplit]) -> list[SpecloomError]:
    """What of the splits does not fit the parameters of nodes, each with its place."""
    values = {split: description.values() for split, description in splits.items()}
    found: list[SpecloomError] = []
    if not values:
        return found
    for name, node in graph.nodes.items():
        if not hasattr(node, "data_notes"):
            continue
        for note in node.data_notes(values):
            where = note.where or graph.where("nodes", name)
            found.append(type(note)(note.what, where=where, fix=note.fix))
    return found


def assumptions(splits: Mapping[str, DescribedSplit]) -> list[str]:
    """What was assumed of the files of all splits, each once, as far as descriptions say it."""
    found: list[str] = []
    for description in splits.values():
        found += description.values().get("assumptions", ())
    return list(dict.fromkeys(found))
