"""Watches one run and writes its report; whatever fails here costs the report, never the run."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from specloom import impl
from specloom_report import report_files
from specloom_report.collecting.band_selection import Selection
from specloom_report.collecting.costs import Costs
from specloom_report.collecting.detections import Judges
from specloom_report.collecting.history import History
from specloom_report.graphs.description import described

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specloom import Batch, Run

PAUSE = 10.0
"""Seconds between two notes of what was recorded, for a run that is killed and resumed."""


class Watcher:
    """Gathers what a report tells.

    Args:
        run: The run, which has a folder.
    """

    def __init__(self, run: Run) -> None:
        self._folder = Path(run.folder or ".")
        earlier = report_files.begun(self._folder) if run.resumed else {}
        self._parts: dict[str, Any] = {
            "curves": History(earlier.get("history")),
            "scores and pictures": Judges(run.graph),
            "bands": Selection(run.graph),
            "costs": Costs(),
        }
        self._warnings: list[str] = []
        self._began = self._noted = monotonic()

    def _tell(self, run: Run, hook: str, *arguments: Any) -> None:
        """Tell every part; one that fails is left out of the report, with a warning."""
        for name, part in list(self._parts.items()):
            if (method := getattr(part, hook, None)) is not None:
                try:
                    method(*arguments)
                except Exception as e:
                    del self._parts[name]
                    self._warn(run, f"the report lacks {name}: {type(e).__name__}: {e}")

    def _warn(self, run: Run, message: str) -> None:
        run.hook.warned(run=run, message=message)

    @impl
    def phase_started(self, run: Run, name: str) -> None:
        """A phase begins."""
        self._tell(run, "phase_started", name)

    @impl
    def node_ran(self, run: Run, node: str, outputs: Batch, seconds: float) -> None:
        """A node ran on a batch."""
        self._tell(run, "node_ran", node, outputs, seconds)

    @impl
    def recorded(self, run: Run, step: int, values: Mapping[str, float]) -> None:
        """Numbers were recorded."""
        self._tell(run, "recorded", step, values)

    @impl
    def epoch_ended(self, run: Run, epoch: int) -> None:
        """An epoch ended; from time to time, note what was recorded."""
        self._tell(run, "epoch_ended", epoch)
        if monotonic() - self._noted > PAUSE and "curves" in self._parts:
            self._noted = monotonic()
            try:
                report_files.save(self._folder, self._parts["curves"].told(), {})
            except Exception as e:
                self._warn(run, f"the report could not be noted: {type(e).__name__}: {e}")

    @impl
    def warned(self, message: str) -> None:
        """Keep what the user was warned of."""
        self._warnings.append(message)

    @impl
    def run_ended(self, run: Run, error: BaseException | None) -> None:
        """Write the report."""
        run.plugins.manager.unregister(self)
        try:
            self._write(run, error)
        except Exception as e:
            where = traceback.extract_tb(e.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            message = f"no report was written ({place}): {type(e).__name__}: {e}"
            self._warn(run, message)

    def _write(self, run: Run, error: BaseException | None) -> None:
        from specloom_report.page import write

        document = run.graph.document
        asked = {"file": document.name, "seed": run.seed, "device": run.runtime.device}
        record = {"specloom": version("specloom"), **asked, **run.record, "metadata": run.metadata}
        report = report_files.told_of(record, document.value or {})
        arrays: dict[str, Any] = {}
        for name, part in self._parts.items():
            try:
                told = part.told()
            except Exception as e:
                self._warn(run, f"the report lacks {name}: {type(e).__name__}: {e}")
                continue
            arrays |= told.pop("arrays", {})
            report |= told
        report |= {
            "graph": described(run.graph, report["data"]["type"]),
            "metrics": {stage: dict(values) for stage, values in run.metrics.items()},
            "warnings": list(dict.fromkeys(self._warnings)),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": monotonic() - self._began,
        }
        if error is not None:
            report["error"] = {"type": type(error).__name__, "message": str(error) or "interrupted"}
        report_files.save(self._folder, report, arrays)
        write(self._folder, report, arrays)
