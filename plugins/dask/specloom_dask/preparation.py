"""What each worker does before its first share, also one that comes later or is started again."""

from __future__ import annotations

from typing import Any

from distributed import WorkerPlugin

#: Dask runs it under this name once on each worker.
NAME = "specloom"


PROFILER = ("profile", "profile-cycle")
"""What looks at the worker's threads a hundred times a second."""


class Preparation(WorkerPlugin):
    """Imports what takes seconds, sets one thread of mathematics, and stops Dask's profiler."""

    name = NAME

    def setup(self, worker: Any) -> None:
        """Prepare a worker."""
        import torch

        torch.set_num_threads(1)
        for callback in PROFILER:
            running = worker.periodic_callbacks.pop(callback, None)
            if running is not None:
                running.stop()
        worker.specloom_prepared = True
