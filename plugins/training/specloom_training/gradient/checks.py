"""Everything that is wrong with a gradient phase on a graph, before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from specloom import At, ConfigError, Graph, SpecloomError, Trainable, did_you_mean
from specloom_training.evaluate import describe_missing, losses_of
from specloom_training.gradient import known_names, monitors, torch_names
from specloom_training.gradient.checkpoint_table import FIELD, number_format
from specloom_training.statistical import missing_fit_inputs

if TYPE_CHECKING:
    from specloom_training.gradient.settings import Settings

INTERVALS = ("epoch", "step")
NOT_IN_FILE_NAMES = ("/", "\\", "\0")


def find_problems(settings: Settings, graph: Graph, at: At) -> Iterator[SpecloomError]:
    """Wrong names, parameters and monitors, and graphs in which nothing could be learned."""
    if "train" not in graph.splits:
        fix = "assign images of the data to the split 'train'"
        yield ConfigError("the training split is empty", where=at(), fix=fix)
    yield from _unknown_nodes(settings, graph, at)
    yield from _starved_nodes(settings, graph, at)
    yield from _nothing_to_learn(settings, graph, at)
    yield from _optimizer(settings, at)
    yield from _scheduler(settings, at)
    names = monitors.recorded_names(graph, minimised_losses(settings, graph))
    yield from _unknown_monitors(settings, graph, names, at)
    if settings.checkpoint is not None:
        pattern = settings.checkpoint.filename
        yield from _file_name(pattern, graph, names, at("checkpoint"))


def trainable(graph: Graph) -> list[str]:
    """The nodes that have something to train."""
    names = []
    for name in graph.order:
        node = graph.nodes[name]
        if isinstance(node, Trainable) and getattr(node, "trainable", True):
            names.append(name)
    return names


def minimised_losses(settings: Settings, graph: Graph) -> list[str]:
    """The loss nodes that this phase minimises, in running order."""
    names = losses_of(graph)
    if settings.losses is None:
        return names
    return [name for name in names if name in settings.losses]


def unfrozen(settings: Settings, graph: Graph) -> list[str]:
    """The nodes that this phase changes by gradients: those named, and those unfrozen before."""
    return [
        name for name in trainable(graph) if name in settings.unfreeze or _is_unfrozen(graph, name)
    ]


def _is_unfrozen(graph: Graph, name: str) -> bool:
    if name in graph.unbuilt:
        return False
    return len(list(graph.nodes[name].parameters())) > 0


def _unknown_nodes(settings: Settings, graph: Graph, at: At) -> Iterator[SpecloomError]:
    """Names under ``unfreeze``, ``refit`` and ``losses`` that cannot stand there."""
    check = partial(_names, graph=graph, at=at)
    yield from check(settings.unfreeze, trainable(graph), "unfreeze", "be trained")
    yield from check(settings.refit, graph.fittable(), "refit", "be fitted")
    if settings.losses is not None:
        yield from check(settings.losses, losses_of(graph), "losses", "be minimised")


def _names(
    names: Iterable[str],
    able: Sequence[str],
    parameter: str,
    purpose: str,
    *,
    graph: Graph,
    at: At,
) -> Iterator[SpecloomError]:
    for name in names:
        if name in able:
            continue
        what = f"there is no node {name!r}"
        if name in graph.nodes:
            what = f"node {name!r} cannot {purpose}"
        fix = did_you_mean(name, able, otherwise=f"remove {parameter}")
        yield ConfigError(what, where=at(parameter), fix=fix)


def _unknown_monitors(
    settings: Settings, graph: Graph, names: set[str], at: At
) -> Iterator[SpecloomError]:
    for name, place in settings.monitors():
        if monitors.resolve(name, graph, names) is not None:
            continue
        unmeasured = monitors.unmeasured_monitor(name, place, graph, at(place))
        if unmeasured is not None:
            yield unmeasured
        else:
            choices = {one.removeprefix("val/") for one in names}
            choices.update(f"{node}/…" for node in monitors.unnamed_metrics(graph))
            yield monitors.unknown_monitor(name, place, choices, at(place))


def _file_name(pattern: str, graph: Graph, names: set[str], where: str) -> Iterator[SpecloomError]:
    """What is wrong with the pattern of checkpoints' names, which must not be paths."""
    fixed = FIELD.sub(lambda match: match[2] or "", pattern)
    if any(sign in fixed for sign in NOT_IN_FILE_NAMES):
        what = f"checkpoint: the file name {pattern!r} is a path"
        yield ConfigError(what, where=where, fix="name the folder as dirpath, the file as filename")
    for match in FIELD.finditer(pattern):
        name = match[1]
        if name != "epoch" and monitors.resolve(name, graph, names) is None:
            what = f"checkpoint: the file name contains {name!r}, which nothing records"
            yield ConfigError(what, where=where, fix=did_you_mean(name, {*names, "epoch"}))
        elif not _formats(match):
            what = f"checkpoint: {match[0]!r} is not a valid number format"
            fix = "use a format such as {epoch:02d} or {train/total:.3f}"
            yield ConfigError(what, where=where, fix=fix)


def _formats(match: re.Match[str]) -> bool:
    """Whether the format of a field of a file name fits its kind of number."""
    example = 0 if match[1] == "epoch" else 0.0
    try:
        format(example, number_format(match))
    except ValueError:
        return False
    return True


def _starved_nodes(settings: Settings, graph: Graph, at: At) -> Iterator[SpecloomError]:
    """The losses that need what the training data lacks, and what is fitted again with it."""
    for name in settings.refit:
        if name in graph.fittable():
            yield from missing_fit_inputs(graph, name, "train")
    starved = graph.missing_data("train").nodes
    for name in minimised_losses(settings, graph):
        if name in starved:
            yield ConfigError(
                f"the loss {name!r} cannot be minimised: {describe_missing(graph, 'train')}",
                where=at("losses"),
                fix=f"use training data with masks, or remove {name!r} from losses",
            )


def _nothing_to_learn(settings: Settings, graph: Graph, at: At) -> Iterator[SpecloomError]:
    losses = minimised_losses(settings, graph)
    free = unfrozen(settings, graph)
    if not losses:
        if not settings.losses:
            fix = "add a loss node, such as losses.AnomalyBCEWithLogits"
            yield ConfigError("no loss in this graph is minimised", where=at("losses"), fix=fix)
    elif not free:
        if not settings.unfreeze:
            yield _all_frozen(graph, at)
    else:
        yield from _unconnected(losses, free, graph, at)


def _all_frozen(graph: Graph, at: At) -> SpecloomError:
    able = trainable(graph)
    fix = "add a node that can be trained"
    if able:
        fix = f"name nodes under unfreeze: {', '.join(able)}"
    return ConfigError(
        "every node is frozen: nothing can be learned", where=at("unfreeze"), fix=fix
    )


def _unconnected(
    losses: Sequence[str], free: Sequence[str], graph: Graph, at: At
) -> Iterator[SpecloomError]:
    """Losses that depend on nothing that is trained, and trained nodes without a loss."""
    active = [name for name in graph.order if "train" in graph.stages[name]]
    reached: set[str] = set()
    for loss in losses:
        behind = graph.ancestors([f"{loss}.loss"], active)
        reached |= behind
        if behind.isdisjoint(free):
            yield ConfigError(
                f"the loss {loss!r} depends on no node that is unfrozen",
                where=at("unfreeze"),
                fix=_connect_loss(loss, [name for name in trainable(graph) if name in behind]),
            )
    for name in free:
        if name not in reached:
            yield ConfigError(
                f"node {name!r} is unfrozen, but no loss depends on it",
                where=at("unfreeze"),
                fix=f"remove {name!r} from unfreeze, or connect it to a loss",
            )


def _connect_loss(loss: str, able: Sequence[str]) -> str:
    """What to do about a loss behind which only these nodes could be trained."""
    if able:
        return f"unfreeze {' or '.join(able)}, or remove {loss!r} from losses"
    return f"name the other losses under losses, or remove {loss!r}"


def _optimizer(settings: Settings, at: At) -> Iterator[SpecloomError]:
    options = dict(vars(settings.optimizer))
    name = options.pop("name")
    if known_names.is_right(name, options, known_names.OPTIMIZERS):
        return
    place = partial(at, "optimizer")
    yield from torch_names.find_problems(
        "optimizer", name, options, torch_names.optimizers(), place
    )


def _scheduler(settings: Settings, at: At) -> Iterator[SpecloomError]:
    if settings.scheduler is None:
        return
    options = dict(vars(settings.scheduler))
    name = options.pop("name")
    options.pop("monitor", None)
    interval = options.pop("interval", "epoch")
    place = partial(at, "scheduler")
    set_by_trainer = set()
    if interval == "epoch":
        set_by_trainer = {"T_max", "total_steps"}
    if known_names.is_right(name, options, known_names.SCHEDULERS, set_by_trainer):
        label = name
    else:
        schedulers = torch_names.schedulers()
        yield from torch_names.find_problems(
            "scheduler", name, options, schedulers, place, set_by_trainer
        )
        found = torch_names.find(name, schedulers)
        label = ""
        if found is not None:
            label, _cls = found
    if label:
        yield from _scheduler_monitor(label, vars(settings.scheduler), place)
    if interval not in INTERVALS:
        fix = did_you_mean(str(interval), INTERVALS)
        yield ConfigError(f"scheduler: interval is {interval!r}", where=place(), fix=fix)


def _scheduler_monitor(name: str, options: Mapping[str, Any], at: At) -> Iterator[SpecloomError]:
    """``reduce_on_plateau`` needs a monitor, all others have none."""
    plateau = torch_names.PLATEAU
    if name == plateau:
        if not isinstance(options.get("monitor"), str):
            what = f"{plateau} needs the parameter 'monitor'"
            yield ConfigError(what, where=at(), fix="add monitor: train/total")
    elif "monitor" in options:
        what = f"{name} has no parameter 'monitor'"
        yield ConfigError(what, where=at(), fix=f"use {plateau}, or remove it")
