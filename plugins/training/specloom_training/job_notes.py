"""Why a phase does work in its own process although the run has an executor."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specloom import Run


def note_work_in_process(run: Run, line: str) -> None:
    """Warn, once a run, of work that no job does, and record it for ``run.json``."""
    notes = run.record.setdefault("in_this_process", [])
    if line not in notes:
        notes.append(line)
        warnings.warn(line, stacklevel=4)
