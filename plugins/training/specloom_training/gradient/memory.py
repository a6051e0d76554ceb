"""Out of memory: recognised, and the batch size that fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from specloom import Graph, UnavailableError

if TYPE_CHECKING:
    from specloom_training.gradient.session import Session


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one behind it, says that no memory was left."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, torch.OutOfMemoryError | MemoryError):
            return True
        if isinstance(seen, RuntimeError) and "DefaultCPUAllocator" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def out_of_memory(session: Session) -> UnavailableError:
    """The error to be raised instead, with the batch size that fits, found by trying."""
    batch = session.batch
    session.optimization.optimizer.zero_grad(set_to_none=True)
    by_image = _by_image(session.run.graph, batch)
    size = max((len(batch[name]) for name in by_image), default=1)
    what = f"out of memory while training on batches of {size} images"
    smaller = size // 2
    while smaller > 0:
        if _fits(session, _first_images(batch, by_image, smaller)):
            return UnavailableError(what, fix=f"use a batch_size of {smaller}, which fits")
        smaller //= 2
    fix = "use smaller images, a part of the graph that is not trained, or a larger GPU"
    return UnavailableError(f"{what}, and not even one image fits", fix=fix)


def _by_image(graph: Graph, batch: Mapping[str, Any]) -> set[str]:
    """The names in a batch that have a value for each image."""
    found = set()
    for name in batch:
        end = name if "." in name else f"batch.{name}"
        if graph.port(end).names[:1] == ("B",):
            found.add(name)
    return found


def _first_images(batch: Mapping[str, Any], by_image: set[str], count: int) -> dict[str, Any]:
    smaller = dict(batch)
    for name in by_image:
        smaller[name] = batch[name][:count]
    return smaller


def _fits(session: Session, batch: Mapping[str, Any]) -> bool:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    try:
        values = session.plan(batch)
        total = torch.stack([values[end].float() for end in session.losses.ends]).sum()
        torch.autograd.backward(total)
    except Exception as e:
        if is_out_of_memory(e):
            return False
        raise
    finally:
        session.optimization.optimizer.zero_grad(set_to_none=True)
    return True
