"""One of several processes that fit together: ``share_processes.py FOLDER``.

``RANK``, ``WORLD_SIZE`` and so on are set as ``torchrun`` sets them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

import specloom_jobs.shares
from specloom import pack

sys.path.append(str(Path(__file__).parent))
import job_toys as toys  # its folder is on the path only now

TICKETS = 2
"""The tickets of a share, so that few images make many shares."""


def fitted(folder: Path) -> bytes:
    """The state of a pipeline of several fits, one of them in two passes."""
    torch.set_num_threads(1)
    specloom_jobs.shares.SHARE_TICKETS = TICKETS
    folder.mkdir(parents=True, exist_ok=True)
    run = toys.run_all(toys.STATISTICS, folder)
    _, weights = pack(run.graph, run.plugins)
    return weights


if __name__ == "__main__":
    rank = os.environ["RANK"]
    place = Path(sys.argv[1]) / rank
    (place.with_suffix(".safetensors")).write_bytes(fitted(place))
