"""The observer that writes a report when a run ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from specloom import impl

if TYPE_CHECKING:
    from specloom import Run

NO_REPORT = "SPECLOOM_NO_REPORT"


class Reports:
    """Writes ``report.html``, and its data, into the folder of each run that has one.

    The environment variable SPECLOOM_NO_REPORT switches it off; it then costs nothing. Of several
    processes the first one writes.
    """

    @impl
    def run_started(self, run: Run) -> None:
        """Start to record a run that has a folder."""
        if run.folder is None or not _is_first_process() or _is_switched_off():
            return
        try:
            from specloom_report.collecting.run_recorder import RunRecorder

            run.plugins.add("report.RunRecorder", RunRecorder(run))
        except Exception as e:
            message = f"no report will be written: {type(e).__name__}: {e}"
            run.hook.warned(run=run, message=message)


def _is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _is_switched_off() -> bool:
    return os.environ.get(NO_REPORT, "0") not in ("", "0")
