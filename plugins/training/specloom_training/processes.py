"""Several processes that run one phase together, as ``torchrun`` starts them.

Each reads its own share of the training data. Statistics and losses are merged exactly; metrics
are measured by the first process alone, on everything, and told to the others.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist


def count() -> int:
    """How many processes run this phase together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is; 0 writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def join() -> None:
    """Meet the other processes, if ``torchrun`` started several and nobody did it yet."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or dist.is_initialized():
        return
    importlib.import_module("torch.distributed.nn.functional")  # later, it would hold the group
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    atexit.register(_leave)


def _leave() -> None:
    """Leave the others while Python still runs.

    A thread of the group may let go of a tensor as late as this. With the interpreter gone by
    then, it would abort the process, and ``torchrun`` would stop the others. The group ends its
    threads when nobody holds it any more.
    """
    if dist.is_initialized():
        dist.destroy_process_group()


def total(values: torch.Tensor) -> torch.Tensor:
    """The sum of ``values`` over all processes."""
    if count() > 1:
        values = values.contiguous()
        dist.all_reduce(values)
    return values


def gathered(data: bytes) -> list[bytes]:
    """What each process gave, in the order of their ranks."""
    if count() == 1:
        return [data]
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    lengths = torch.zeros(count(), dtype=torch.int64, device=device)
    lengths[rank()] = len(data)
    sizes = total(lengths).tolist()
    mine = torch.zeros(max(sizes), dtype=torch.uint8, device=device)
    mine[: len(data)] = torch.frombuffer(bytearray(data or b"\0"), dtype=torch.uint8)[: len(data)]
    everyone = [torch.empty_like(mine) for _ in sizes]
    dist.all_gather(everyone, mine)
    return [one[:size].cpu().numpy().tobytes() for one, size in zip(everyone, sizes, strict=True)]


def from_first(value: Any) -> Any:
    """What the first process gave, as JSON carries it."""
    return json.loads(gathered(json.dumps(value if rank() == 0 else None).encode())[0])


def share(numbers: Sequence[int], world: int, which: int) -> list[int]:
    """The ``which``-th of ``world`` parts of ``numbers``, whose lengths differ by 1 at most.

    >>> [share([5, 6, 7, 8, 9], 2, which) for which in (0, 1)]
    [[5, 6, 7], [8, 9]]
    """
    size, more = divmod(len(numbers), world)
    first = which * size + min(which, more)
    return list(numbers[first : first + size + (which < more)])
