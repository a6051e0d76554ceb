"""Totals of the statistical fits of a run, with which it goes on after it was killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from specloom import SpecloomError, impl
from specloom_jobs import JobParts, make_shares, remove_parts
from specloom_training import processes
from specloom_training.log_lines import LOGGER

if TYPE_CHECKING:
    from specloom import Job, Run

LABEL = "specloom_training.FitParts"
"""The name under which it watches a run."""

FOLDER = "parts"


class FitParts:
    """The folder ``parts`` of a run, which is removed when the run ends well.

    Args:
        run: The run, which has a folder.
    """

    def __init__(self, run: Run) -> None:
        assert run.folder is not None, "the caller has checked it"
        self.run = run
        self._folder = run.folder / FOLDER
        if not run.resumed:
            remove_parts(self._folder)

    def of_job(self, job: Job, split: str, what: str, *, totals_only: bool = False) -> JobParts:
        """The parts of a job, with what an earlier process stored.

        Args:
            job: The job.
            split: The split that it reads.
            what: What the work is called.
            totals_only: Whether the executor cannot use subtrees.
        """
        source: Any = self.run.source
        device = self.run.runtime.device.partition(":")[0]
        parts = JobParts(self._folder, job, device)
        parts.look(make_shares(source.tickets(split)), totals_only=totals_only)
        if parts.shares_found:
            found = {"work": what, "shares": parts.shares_found}
            self.run.record.setdefault("taken_up", []).append(found)
            LOGGER.info("%s: %d shares were done before", what, parts.shares_found)
        return parts

    @impl
    def run_ended(self, run: Run, error: BaseException | None) -> None:
        """Remove the folder, unless the run is to be resumed."""
        if run is not self.run:
            return
        if error is None:
            remove_parts(self._folder)
        elif isinstance(error, SpecloomError) and self._folder.is_dir():
            error.is_resumable = True  # of this error alone
        self.run.plugins.manager.unregister(self)


def fit_parts(run: Run) -> FitParts | None:
    """The parts of a run, the same ones for all of its phases.

    None where the run has no folder, or where several processes fit together.
    """
    if run.folder is None or processes.count() > 1:
        return None
    manager = run.plugins.manager
    known: Any = manager.get_plugin(LABEL)
    if known is not None and known.run is run:
        return known  # type: ignore[no-any-return]  # only a FitParts has this name
    if known is not None:
        manager.unregister(known)
    parts = FitParts(run)
    run.plugins.add(LABEL, parts)
    return parts
