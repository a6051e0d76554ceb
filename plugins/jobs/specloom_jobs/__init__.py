"""Shares of the data, their merge in a fixed tree, and the executor in this process."""

from collections.abc import Mapping

from specloom import impl
from specloom_jobs.here import Here
from specloom_jobs.merge_tree import MergeTree
from specloom_jobs.shares import make_shares

__all__ = ["Here", "MergeTree", "make_shares"]


@impl
def register_executors() -> Mapping[str, str]:
    """Offer the executor that works in this process."""
    return {"Here": "specloom_jobs.here:Here"}
