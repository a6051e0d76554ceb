"""Nodes that learn from the mean and the covariance of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import LazyAffine, NodeError
from specloom.torch import StatisticalNode
from specloom_rx.moments import Moments

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class MomentsNode(StatisticalNode):
    """A node with inputs ``data`` and ``valid`` that is fitted by streaming moments.

    Write ``fit_start``, which calls ``gather``, and ``fit_end``, which takes ``gathered()`` and
    calls ``finish_fit``.
    """

    left_out = 0
    """How many pixels the last fit left out."""
    _moments: Moments | None = None

    def gather(self, channels: int, device: torch.device) -> None:
        """Forget earlier fits, and begin to gather rows of ``channels``."""
        self.fitted = False
        self._moments = Moments(channels, device)

    def fit_update(self, data: Tensor | LazyAffine, valid: Tensor | None = None) -> None:
        """Take in the usable pixels of (B, H, W, C) ``data``."""
        self._begun().update(data, None if valid is None else valid.reshape(-1))

    def fit_state(self) -> Mapping[str, Tensor]:
        """Counts, mean and scatter so far."""
        return self._begun().state()

    def fit_merge(self, state: Mapping[str, Tensor]) -> None:
        """Take in what another process gathered."""
        self._begun().merge(state)

    def gathered(self) -> Moments:
        """What was gathered; the node keeps none of it."""
        moments, self._moments = self._begun(), None
        self.left_out = moments.left_out
        return moments

    def _begun(self) -> Moments:
        if self._moments is None:
            raise NodeError(f"{self.label} has not started a fit", fix="call fit_start(0) first")
        return self._moments

    def told_pixels(self) -> str:
        """How many pixels were learned from, and left out if any were."""
        left_out = f" ({self.left_out} left out)" if self.left_out else ""
        return f"{self.pixels} pixels{left_out}"
