"""A base class for nodes that are fitted by streaming statistics that merge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from specloom import NodeError
from specloom.torch import StatisticalNode

if TYPE_CHECKING:
    from torch import Tensor


class Accumulator(Protocol):
    """Statistics of a stream that merge with those of another part of it."""

    def state(self) -> Mapping[str, Tensor]:
        """The statistics so far."""

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the ``state()`` of another one."""


A = TypeVar("A", bound=Accumulator)


class StreamingNode(StatisticalNode, Generic[A]):
    """A node whose fit accumulates statistics of one kind, such as ``Moments``.

    Write ``fit_start``, which calls ``start_statistics``; ``fit_update``, which updates
    ``statistics()``; and ``fit_end``, which calls ``take_statistics`` and ``finish_fit``.
    """

    left_out = 0
    """How many pixels the last fit excluded."""
    _statistics: A | None = None

    def start_statistics(self, statistics: A) -> None:
        """Start a fit with empty ``statistics``; earlier fits do not count."""
        self.fitted = False
        self._statistics = statistics

    def statistics(self) -> A:
        """The statistics of the current fit.

        Raises:
            NodeError: No fit was started.
        """
        if self._statistics is None:
            raise NodeError(f"{self.label} has not started a fit", fix="call fit_start(0) first")
        return self._statistics

    def take_statistics(self) -> A:
        """The statistics of the fit, which the node no longer holds.

        Raises:
            NodeError: No fit was started.
        """
        statistics = self.statistics()
        self._statistics = None
        return statistics

    def fit_state(self) -> Mapping[str, Tensor]:
        """The statistics so far."""
        return self.statistics().state()

    def fit_merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the statistics of another process."""
        self.statistics().merge(state)

    def pixel_summary(self) -> str:
        """How many pixels were fitted, and how many were excluded if any were."""
        excluded = f" ({self.left_out} excluded)" if self.left_out else ""
        return f"{self.pixels} pixels{excluded}"
