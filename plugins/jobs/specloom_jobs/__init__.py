"""Shares of the data, their merge in a fixed tree, and the executor in this process."""

from collections.abc import Mapping

from specloom import Job, MergeTree, UnavailableError, impl, install_pins
from specloom_jobs.here import Here, resumed_tree
from specloom_jobs.parts import JobParts, remove_parts, total_by_parts
from specloom_jobs.shares import make_shares

__all__ = [
    "Here",
    "JobParts",
    "MergeTree",
    "begin",
    "make_shares",
    "remove_parts",
    "resumed_tree",
    "total_by_parts",
]


def begin(job: Job) -> None:
    """Make the plugins of a job importable in this process, as every process does that is new.

    A process that was started with ``spawn`` inherits no finder of pinned plugins, and would
    import the copies that are installed.

    Raises:
        UnavailableError: A pinned plugin is not on this machine.
        PluginError: Another copy of a plugin was already imported.
    """
    missing = install_pins(job.pins)
    if missing:
        names = [str(pin["name"]) for pin in job.pins if pin["tree"] in missing]
        what = f"pinned plugins are not on this machine: {', '.join(names)}"
        raise UnavailableError(what, fix="run: specloom plugins sync")


@impl
def register_executors() -> Mapping[str, str]:
    """Offer the executor that works in this process."""
    return {"Here": "specloom_jobs.here:Here"}
