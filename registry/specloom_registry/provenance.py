"""What ``run.json`` says of where a run came from, beside what the kernel writes."""

from __future__ import annotations

import platform
import sys
from time import perf_counter
from typing import TYPE_CHECKING

from specloom import impl

if TYPE_CHECKING:
    from specloom import Run


class Provenance:
    """Adds plugins with versions, arguments, the machine, and how long each phase took."""

    def __init__(self) -> None:
        self._started = 0.0

    @impl
    def run_started(self, run: Run) -> None:
        """Note what is known before anything runs."""
        references = (*run.graph.types.values(), *(label for label, _ in run.phases))
        run.about |= {
            "metadata": run.metadata,
            "manifest": run.plugins.manifest and str(run.plugins.manifest),
            "plugins": run.plugins.versions(references),
            "arguments": sys.argv[1:],
            "python": platform.python_version(),
            "platform": platform.platform(),
            "phases": [],
        }

    @impl
    def phase_started(self) -> None:
        """Look at the clock."""
        self._started = perf_counter()

    @impl
    def phase_ended(self, run: Run, name: str) -> None:
        """Note how long the phase took."""
        run.about["phases"].append({"type": name, "seconds": perf_counter() - self._started})
