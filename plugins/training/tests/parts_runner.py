"""A run whose statistical phase may be killed: ``parts_runner.py FOLDER SHARES [WHERE]``.

The process kills itself before it does so many shares, of one item each; 0 for never. WHERE is
``here`` for an executor, and nothing for the phase alone.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

import specloom_jobs.parts
import specloom_jobs.shares
from specloom import Run, load
from specloom.execution.resuming import resume
from specloom.execution.run_folder import run_in_folder
from specloom_jobs import Here
from specloom_training.share_fit import ShareFit

sys.path.append(str(Path(__file__).parent))
import job_toys as toys  # its folder is on the path only now

SCENES = 34
DOCUMENT = toys.STATISTICS.replace(
    "scenes: 20, height: 24, width: 24, bands: 20",
    f"scenes: {SCENES}, height: 12, width: 12, bands: 16",
)


def lower_levels() -> None:
    """Store totals of eight shares, of one item each."""
    specloom_jobs.parts.PART_LEVEL = 1
    specloom_jobs.shares.SHARE_TICKETS = 1


class Shares:
    """Counts the shares that fits do, and stops before one of them.

    Args:
        stop: The number of the share, from 1; 0 for none.
        action: Stops the process.
    """

    def __init__(self, stop: int, action: Any) -> None:
        self.count = 0
        self._stop = stop
        self._action = action
        self._do = ShareFit.do

    def __enter__(self) -> Shares:
        def do(work: ShareFit, tickets: Any) -> bytes:
            self.count += 1
            if self.count == self._stop:
                self._action()
            return self._do(work, tickets)

        ShareFit.do = do
        return self

    def __exit__(self, *_: Any) -> None:
        ShareFit.do = self._do


def made(folder: Path, document: str = DOCUMENT) -> Run:
    """The run in a folder: a new one, or the one that was stopped there."""
    if (folder / "run.json").exists():
        return resume(folder, device="cpu").run
    path = folder.parent / f"{folder.name}.yaml"
    path.write_text(document)
    run = load(path, device="cpu")
    run.folder = folder
    return run


def go(folder: Path, executor: Any = None, document: str = DOCUMENT) -> Run:
    """Do or continue the run in a folder."""
    run = made(folder, document)
    run.executor = executor
    run_in_folder(run, folder, anyway=run.resumed)
    return run


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    torch.set_num_threads(1)
    lower_levels()
    chosen = Here() if "here" in sys.argv[3:] else None
    with Shares(int(sys.argv[2]), kill):
        go(Path(sys.argv[1]), chosen)
