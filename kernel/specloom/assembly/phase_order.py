"""Whether nodes are fitted before a phase uses them."""

from collections.abc import Iterable, Sequence
from typing import Any

from specloom.contract.errors import ConfigError, SpecloomError
from specloom.contract.phases import Calibrates, Fits, LossMinimiser, Trainer, UsesFits
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


def stale_thresholds(
    graph: Graph,
    trainers: Sequence[Trainer[Graph, Any]],
    labels: Sequence[str],
) -> list[SpecloomError]:
    """An error for each threshold that is set before a phase changes what it is compared with.

    Args:
        graph: The graph.
        trainers: The phases.
        labels: The reference of each phase.
    """
    problems: list[SpecloomError] = []
    for number, trainer in enumerate(trainers):
        if not isinstance(trainer, Calibrates):
            continue
        for decider in trainer.calibrates(graph):
            for later in range(number + 1, len(trainers)):
                if _changes_scores(graph, trainers[later], decider):
                    what = (
                        f"{labels[number]} sets the threshold of {decider}, and "
                        f"{labels[later]} after it changes the scores that it is compared with"
                    )
                    where = graph.where("phases", number)
                    fix = f"move {labels[number]} behind {labels[later]}"
                    problems.append(ConfigError(what, where=where, fix=fix))
                    break
    return problems


def _changes_scores(graph: Graph, trainer: Trainer[Graph, Any], decider: str) -> bool:
    """Whether a phase fits a node that leads to a decider, or trains by losses."""
    if isinstance(trainer, LossMinimiser) and list(trainer.losses_of(graph)):
        return True
    before = graph.ancestors([f"{decider}.decisions"]) - {decider}
    return bool(before & _fitted(graph, trainer))


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
