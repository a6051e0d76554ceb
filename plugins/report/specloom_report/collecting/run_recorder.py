"""Records one run and writes its report; an error here costs the report, never the run."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from specloom import impl
from specloom_report import report_files
from specloom_report.collecting.band_selection import BandSelection
from specloom_report.collecting.costs import Costs
from specloom_report.collecting.detections import Detections
from specloom_report.collecting.final_pass import add_unevaluated_images
from specloom_report.collecting.history import History
from specloom_report.collecting.thumbnails import MAX_IMAGES
from specloom_report.graphs.description import describe_graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specloom import Batch, Run

PICTURES = "scores and pictures"
SAVE_EVERY = 10.0
"""Seconds between two saves of the history, for a run that is killed and resumed."""


class RunRecorder:
    """Passes the hooks of a run on to the collectors, and writes the report from their results.

    Args:
        run: The run, which has a folder.
    """

    def __init__(self, run: Run) -> None:
        self._folder = Path(run.folder or ".")
        earlier: Mapping[str, Any] = {}
        if run.resumed:
            earlier = report_files.read_report(self._folder)
        #: Each has methods named after the hooks that it needs, and ``to_dict``.
        self._collectors: dict[str, Any] = {
            "curves": History(earlier.get("history") or ()),
            PICTURES: Detections(run.graph, lambda: _largest_split(run.record)),
            "bands": BandSelection(run.graph),
            "costs": Costs(),
        }
        self._warnings: list[str] = []
        self._started = monotonic()
        self._saved = self._started

    def _notify(self, run: Run, hook: str, *arguments: Any) -> None:
        """Call a hook of every collector; one that fails is removed, with a warning."""
        for name, collector in list(self._collectors.items()):
            method = getattr(collector, hook, None)
            if method is None:
                continue
            try:
                method(*arguments)
            except Exception as e:
                del self._collectors[name]
                self._warn_of_missing(run, name, e)

    def _warn_of_missing(self, run: Run, name: str, error: Exception) -> None:
        self._warn(run, f"the report lacks {name}: {type(error).__name__}: {error}")

    def _warn(self, run: Run, message: str) -> None:
        run.hook.warned(run=run, message=message)

    @impl
    def phase_started(self, run: Run, name: str) -> None:
        """Start a phase."""
        self._notify(run, "phase_started", name)

    @impl
    def node_ran(self, run: Run, node: str, outputs: Batch, seconds: float) -> None:
        """Record the outputs of a node."""
        self._notify(run, "node_ran", node, outputs, seconds)

    @impl
    def recorded(self, run: Run, step: int, values: Mapping[str, float]) -> None:
        """Record values of a step."""
        self._notify(run, "recorded", step, values)

    @impl
    def epoch_ended(self, run: Run, epoch: int) -> None:
        """Record an epoch; from time to time, save the history."""
        self._notify(run, "epoch_ended", epoch)
        if monotonic() - self._saved > SAVE_EVERY and "curves" in self._collectors:
            self._saved = monotonic()
            try:
                report_files.save(self._folder, self._collectors["curves"].to_dict(), {})
            except Exception as e:
                message = f"the data of the report could not be saved: {type(e).__name__}: {e}"
                self._warn(run, message)

    @impl
    def warned(self, message: str) -> None:
        """Record a warning."""
        self._warnings.append(message)

    @impl
    def run_ended(self, run: Run, error: BaseException | None) -> None:
        """Write the report."""
        run.plugins.manager.unregister(self)
        detections = self._collectors.get(PICTURES)
        if error is None and detections is not None and not detections.finished:
            try:
                add_unevaluated_images(run, detections)
            except Exception as e:
                self._warn_of_missing(run, "pictures", e)
        try:
            self._write(run, error)
        except Exception as e:
            where = traceback.extract_tb(e.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            message = f"no report was written ({place}): {type(e).__name__}: {e}"
            self._warn(run, message)

    def _write(self, run: Run, error: BaseException | None) -> None:
        from specloom_report.page import write_page

        report = self._describe_run(run)
        arrays: dict[str, Any] = {}
        for name, collector in self._collectors.items():
            try:
                section = collector.to_dict()
            except Exception as e:
                self._warn_of_missing(run, name, e)
                continue
            arrays |= section.pop("arrays", {})
            report |= section
        report |= {
            "graph": describe_graph(run.graph, report["data"]["type"]),
            "metrics": {stage: dict(values) for stage, values in run.metrics.items()},
            "warnings": list(dict.fromkeys(self._warnings)),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": monotonic() - self._started,
        }
        if error is not None:
            report["error"] = {"type": type(error).__name__, "message": str(error) or "interrupted"}
        report_files.save(self._folder, report, arrays)
        write_page(self._folder, report, arrays)

    def _describe_run(self, run: Run) -> dict[str, Any]:
        document = run.graph.document
        record = {
            "specloom": version("specloom"),
            "file": document.name,
            "seed": run.seed,
            "device": run.runtime.device,
            **run.record,
            "metadata": run.metadata,
        }
        return report_files.describe_run(record, document.value or {})


def _largest_split(record: Mapping[str, Any]) -> int:
    """Return how many images the largest split has, as far as the source describes them."""
    counts = [split.get("images", 0) for split in (record.get("splits") or {}).values()]
    return max(counts, default=MAX_IMAGES)
