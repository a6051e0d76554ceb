"""Whether nodes are fitted before a phase uses them."""

from collections.abc import Iterable, Sequence
from typing import Any

from specloom.contract.errors import ConfigError, SpecloomError
from specloom.contract.phases import Fits, Trainer, UsesFits
from specloom.graph.graph import Graph


def phase_order_problems(
    graph: Graph,
    trainers: Sequence[Trainer[Graph, Any]],
    labels: Sequence[str],
) -> list[SpecloomError]:
    """An error for each phase that runs nodes which no phase before it fits.

    Args:
        graph: The graph.
        trainers: The phases.
        labels: The reference of each phase.
    """
    problems: list[SpecloomError] = []
    unfitted = set(graph.unfitted())
    for number, trainer in enumerate(trainers):
        used = _used(graph, trainer)
        missing = [name for name in graph.fittable() if name in unfitted and name in used]
        if missing:
            later = _fitting_labels(graph, trainers[number:], labels[number:], missing)
            where = graph.where("phases", number)
            problems.append(_unfitted_use(labels[number], missing, later, where))
        unfitted -= set(missing)  # reported once
        unfitted -= _fitted(graph, trainer)
    return problems


def never_fitted(graph: Graph, trainers: Iterable[Trainer[Graph, Any]]) -> list[SpecloomError]:
    """A warning for each node that no phase fits, so that the saved pipeline cannot be applied."""
    fitted: set[str] = set()
    for trainer in trainers:
        fitted |= _fitted(graph, trainer)
    found: list[SpecloomError] = []
    for name in graph.unfitted():
        if name not in fitted:
            what = f"no phase fits {graph.label(name)}: the saved pipeline cannot be applied"
            fix = "add a phase that fits it, such as training.StatisticalTrainer"
            found.append(ConfigError(what, where=graph.where("nodes", name), fix=fix))
    return found


def _used(graph: Graph, trainer: Trainer[Graph, Any]) -> set[str]:
    """The nodes that a phase runs, as far as it says so."""
    if isinstance(trainer, UsesFits):
        return set(trainer.uses_fits(graph))
    return set()


def _fitted(graph: Graph, trainer: Trainer[Graph, Any]) -> set[str]:
    """The nodes that a phase fits, as far as it says so."""
    if isinstance(trainer, Fits):
        return set(trainer.fits(graph))
    return set()


def _fitting_labels(
    graph: Graph,
    trainers: Sequence[Trainer[Graph, Any]],
    labels: Sequence[str],
    names: Iterable[str],
) -> list[str]:
    """The phases that fit any of the nodes."""
    wanted = set(names)
    found = []
    for trainer, label in zip(trainers, labels, strict=True):
        if wanted & _fitted(graph, trainer):
            found.append(label)
    return found


def _unfitted_use(
    label: str,
    names: Sequence[str],
    later: Sequence[str],
    where: str,
) -> SpecloomError:
    """The error of a phase that runs nodes before they are fitted."""
    listed = ", ".join(names)
    what = f"{label} runs {listed}, which no phase before it fits"
    fix = f"add a phase that fits {listed} before it, such as training.StatisticalTrainer"
    if later:
        fix = f"move {later[0]} before it"
    return ConfigError(what, where=where, fix=fix)
