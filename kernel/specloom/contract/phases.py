"""What a phase of a run is: trainers, and what they may say beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from specloom.contract.errors import SpecloomError
    from specloom.contract.views import GraphView, RunView

#: A graph, as a phase takes it: ``specloom.Graph``, or the ``GraphView`` of it.
AnyGraph = TypeVar("AnyGraph", bound="GraphView", contravariant=True)
#: A run, as a phase takes it: ``specloom.Run``, or the ``RunView`` of it.
AnyRun = TypeVar("AnyRun", bound="RunView", contravariant=True)

#: The place in the run file of a phase's parameter: ``at("split")`` is ``run.yaml:31``, and
#: ``at("optimizer", "lr")`` that of a value within one.
At: TypeAlias = Callable[..., str]


@runtime_checkable
class Trainer(Protocol[AnyGraph, AnyRun]):
    """One phase of a run."""

    def check(self, graph: AnyGraph, at: At) -> Iterable[SpecloomError]:
        """Everything wrong with this phase on this graph, before anything runs.

        ``at("split")`` is the place of a parameter in the run file, ``run.yaml:31``.
        """

    def train(self, run: AnyRun) -> None:
        """Run the phase."""


@runtime_checkable
class LossMinimiser(Protocol[AnyGraph]):
    """A trainer that minimises losses; a loss that no phase minimises is an error."""

    def losses_of(self, graph: AnyGraph) -> Iterable[str]:
        """The names of the loss nodes that this phase minimises."""


@runtime_checkable
class Fits(Protocol[AnyGraph]):
    """A phase that fits nodes by statistics."""

    def fits(self, graph: AnyGraph) -> Iterable[str]:
        """The names of the nodes that this phase fits."""


@runtime_checkable
class UsesFits(Protocol[AnyGraph]):
    """A phase that runs nodes; one that is not fitted before it is an error."""

    def uses_fits(self, graph: AnyGraph) -> Iterable[str]:
        """The names of the nodes that must be fitted before this phase."""


@runtime_checkable
class Calibrates(Protocol[AnyGraph]):
    """A phase that sets thresholds; a later phase that changes what they compare is an error."""

    def calibrates(self, graph: AnyGraph) -> Iterable[str]:
        """The names of the deciders whose thresholds this phase sets."""


class Skips(Protocol[AnyGraph]):
    """A phase that leaves something out where the data lack what it needs."""

    def skips(self, graph: AnyGraph) -> Iterable[str]:
        """One line for each thing that the phase leaves out for want of data."""


class ChangesNothing(Protocol):
    """A phase that leaves all nodes as they are."""

    changes: ClassVar[bool]
    """False: checkpoints between phases need not be written after this one."""


@runtime_checkable
class Extendable(Protocol[AnyRun]):
    """A phase that can go on, where its run is resumed, with more than it was started with."""

    extendable: ClassVar[tuple[str, ...]]
    """The parameters that may have other values then, such as the number of epochs."""

    def extension_problems(self, run: AnyRun, at: At) -> Iterable[SpecloomError]:
        """Why what is in ``run.folder`` cannot be continued with the present values."""


class OneSplit(Protocol):
    """A phase that reads one split."""

    split: str
    """The split, which the report names beside the phase."""
