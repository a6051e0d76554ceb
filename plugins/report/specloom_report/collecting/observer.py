"""The observer that writes a report when a run ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from specloom import impl

if TYPE_CHECKING:
    from specloom import Run

OFF = "SPECLOOM_NO_REPORT"


class Reports:
    """Writes ``report.html``, and what it is made of, into the folder of each run that has one.

    The environment variable SPECLOOM_NO_REPORT switches it off; it then costs nothing. Of several
    processes the first one writes.
    """

    @impl
    def run_started(self, run: Run) -> None:
        """Begin to watch a run that has a folder."""
        first = os.environ.get("RANK", "0") == "0"
        if run.folder is None or not first or os.environ.get(OFF, "0") not in ("", "0"):
            return
        try:
            from specloom_report.collecting.run_recorder import Watcher

            run.plugins.add("report.Watcher", Watcher(run))
        except Exception as e:
            message = f"there will be no report: {type(e).__name__}: {e}"
            run.hook.warned(run=run, message=message)
