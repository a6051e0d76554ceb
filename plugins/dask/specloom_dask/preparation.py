"""What each worker does before its first share, also one that comes later or is started again."""

from __future__ import annotations

from typing import Any

from distributed import WorkerPlugin

#: Dask runs it under this name once on each worker.
NAME = "specloom"


class Preparation(WorkerPlugin):
    """Imports what takes seconds, and sets one thread of mathematics."""

    name = NAME

    def setup(self, worker: Any) -> None:
        """Prepare a worker."""
        import torch

        torch.set_num_threads(1)
        worker.specloom_prepared = True
