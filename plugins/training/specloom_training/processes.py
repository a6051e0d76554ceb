"""Several processes that run one phase together, as ``torchrun`` starts them.

Each reads its own share of the training data. Statistics and losses are merged exactly; metrics
are measured by the first process alone, on everything, and sent to the others.
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
    if dist.is_initialized():
        return dist.get_world_size()
    return 1


def rank() -> int:
    """Which of them this one is; 0 writes."""
    if dist.is_initialized():
        return dist.get_rank()
    return 0


def join() -> None:
    """Join the other processes, if ``torchrun`` started several and this was not done yet."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or dist.is_initialized():
        return
    importlib.import_module("torch.distributed.nn.functional")  # later, it would hold the group
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl")
    else:
        dist.init_process_group("gloo")
    atexit.register(_leave)


def _leave() -> None:
    """Leave the others while Python still runs.

    A thread of the group may free a tensor as late as this. If the interpreter had ended by then,
    it would abort the process, and ``torchrun`` would stop the others. The group ends its threads
    when there is no reference to it any more.
    """
    if dist.is_initialized():
        dist.destroy_process_group()


def all_sum(values: torch.Tensor) -> torch.Tensor:
    """The sum of ``values`` over all processes."""
    if count() > 1:
        values = values.contiguous()
        dist.all_reduce(values)
    return values


def all_gather(data: bytes) -> list[bytes]:
    """The ``data`` of each process, in the order of their ranks."""
    if count() == 1:
        return [data]
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    lengths = torch.zeros(count(), dtype=torch.int64, device=device)
    lengths[rank()] = len(data)
    sizes = all_sum(lengths).tolist()
    own = torch.zeros(max(sizes), dtype=torch.uint8, device=device)
    if data:  # torch makes no tensor of nothing
        own[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    gathered = [torch.empty_like(own) for _ in sizes]
    dist.all_gather(gathered, own)
    pairs = zip(gathered, sizes, strict=True)
    return [one[:size].cpu().numpy().tobytes() for one, size in pairs]


def broadcast(value: Any) -> Any:
    """The ``value`` of the first process, as JSON carries it."""
    own = value if rank() == 0 else None
    return json.loads(all_gather(json.dumps(own).encode())[0])


def share(numbers: Sequence[int], world: int, which: int) -> list[int]:
    """The ``which``-th of ``world`` parts of ``numbers``, whose lengths differ by 1 at most.

    >>> [share([5, 6, 7, 8, 9], 2, which) for which in (0, 1)]
    [[5, 6, 7], [8, 9]]
    """
    size, longer_parts = divmod(len(numbers), world)
    first = which * size + min(which, longer_parts)
    last = (which + 1) * size + min(which + 1, longer_parts)
    return list(numbers[first:last])
