"""Moments of raw pixels, from which fits of several nodes follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, TypeVar, runtime_checkable

import torch
from torch import Tensor

from specloom import LazyAffine
from specloom_statistics.node import Accumulator, StreamingNode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specloom_statistics.moments import Moments
    from specloom_statistics.variance import RunningVariance

Map: TypeAlias = Tensor | LazyAffine
"""What comes to a node, for the pixels that moments are of: these themselves, or a map of them."""


@runtime_checkable
class FitsByMoments(Protocol):
    """A node whose fit follows from the moments of the pixels at one of its inputs.

    The pixels are those that its inputs ``valid`` and ``mask`` leave, where it has them. Nodes that
    need moments of the same pixels, also through affine maps that are fitted in the same pass, are
    fitted by one gathering of them.
    """

    moments_input: ClassVar[str]
    """That input."""

    needs_scatter: ClassVar[bool]
    """Whether the variances of the bands do not suffice."""

    def fit_moments(self, moments: Moments | RunningVariance, data: Map, **inputs: Any) -> None:
        """Take in what ``fit_update`` would have collected of all batches.

        Args:
            moments: Those of the raw pixels.
            data: What comes to the input for some raw pixels: the map that the moments need.
            inputs: The other inputs, without ``valid`` and ``mask``.
        """


A = TypeVar("A", bound=Accumulator)


class MomentsNode(StreamingNode[A]):
    """A node that is fitted by ``Moments`` or ``RunningVariance`` of its input ``data``."""

    moments_input: ClassVar[str] = "data"
    needs_scatter: ClassVar[bool] = True

    def fit_moments(self, moments: Moments | RunningVariance, data: Map) -> None:
        """Take in what ``fit_update`` would have collected of all batches."""
        self.statistics().merge(map_moments(moments, data))


def map_moments(
    moments: Moments | RunningVariance, data: Map, factors: Tensor | None = None
) -> Mapping[str, Tensor]:
    """The ``state()`` of pixels under the map of ``data``, for ``Moments`` and ``RunningVariance``.

    It equals what is summed of the mapped pixels within the rounding of float64.

    Args:
        moments: Those of the pixels themselves.
        data: A ``LazyAffine``, or a tensor where the pixels are not mapped.
        factors: What the mapped pixels are multiplied by, (C,); None for 1.
    """
    state = dict(moments.state())
    if "squares" not in state:
        state["squares"] = state["scatter"].diagonal().clone()
    mean = state["mean"]
    scale = torch.ones_like(mean)
    offset = torch.zeros_like(mean)
    if isinstance(data, LazyAffine):
        scale = scale * torch.as_tensor(data.scale).detach().to(mean)
        offset = offset + torch.as_tensor(data.offset).detach().to(mean)
    if factors is not None:
        scale = scale * factors
        offset = offset * factors
    state["mean"] = mean * scale + offset
    state["squares"] = state["squares"] * scale.square()
    if "scatter" in state:
        state["scatter"] = state["scatter"] * torch.outer(scale, scale)
    return state
