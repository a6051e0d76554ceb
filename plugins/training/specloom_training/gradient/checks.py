"""Everything that is wrong with a gradient phase on a graph, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from specloom import At, ConfigError, Graph, SpecloomError, Trainable, did_you_mean
from specloom_training.evaluate import describe_missing, losses_of
from specloom_training.gradient import monitors, named
from specloom_training.gradient.stopping import FIELD
from specloom_training.statistical import lacking_fit

if TYPE_CHECKING:
    from specloom_training.gradient.settings import Settings

INTERVALS = ("epoch", "step")


def wrong(settings: Settings, graph: Graph, at: At) -> Iterator[SpecloomError]:
    """Wrong names, parameters and monitors, and graphs in which nothing could be learned."""
    if "train" not in graph.splits:
        what, fix = "the training split is empty", "give the data images in the split 'train'"
        yield ConfigError(what, where=at(), fix=fix)
    yield from _names(settings.unfreeze, trainable(graph), graph, "unfreeze", "be trained", at)
    yield from _names(settings.refit, graph.fittable(), graph, "refit", "be fitted", at)
    losses = losses_of(graph)
    if settings.losses is not None:
        yield from _names(settings.losses, losses, graph, "losses", "be minimised", at)
    yield from _starved(settings, graph, at)
    yield from _nothing_to_learn(settings, graph, at)
    yield from _optimizer(settings, at)
    yield from _scheduler(settings, at)
    names = monitors.recorded(graph, trained(settings, graph))
    for name, place in settings.monitors():
        if monitors.meant(name, graph, names) is None:
            silent = [
                n for n in monitors.measuring(graph) if not hasattr(graph.nodes[n], "metric_names")
            ]
            known = {one.removeprefix("val/") for one in names} | {f"{n}/…" for n in silent}
            yield monitors.unknown(name, place, known, at(place))
    if settings.checkpoint:
        yield from _file_name(settings.checkpoint.filename, graph, names, at("checkpoint"))


def trainable(graph: Graph) -> list[str]:
    """The nodes that have something to train."""
    able = [name for name in graph.order if isinstance(graph.nodes[name], Trainable)]
    return [name for name in able if getattr(graph.nodes[name], "trainable", True)]


def trained(settings: Settings, graph: Graph) -> list[str]:
    """The loss nodes that this phase minimises, in running order."""
    known = losses_of(graph)
    return known if settings.losses is None else [n for n in known if n in settings.losses]


def unfrozen(settings: Settings, graph: Graph) -> list[str]:
    """The nodes that this phase changes by gradients: those named, and those unfrozen before."""
    return [n for n in trainable(graph) if n in settings.unfreeze or _free(graph, n)]


def _free(graph: Graph, name: str) -> bool:
    return name not in graph.unbuilt and any(True for _ in graph.nodes[name].parameters())


def _file_name(pattern: str, graph: Graph, names: set[str], where: str) -> Iterator[SpecloomError]:
    """What is wrong with the pattern of checkpoints' names, which must not be paths."""
    if any(sign in FIELD.sub(lambda match: match[2] or "", pattern) for sign in ("/", "\\", "\0")):
        what = f"checkpoint: the file name {pattern!r} is a path"
        yield ConfigError(what, where=where, fix="name the folder as dirpath, the file as filename")
    for match in FIELD.finditer(pattern):
        name, form = match[1], (match[2] or "")[1:]
        if name != "epoch" and monitors.meant(name, graph, names) is None:
            what = f"checkpoint: the file name asks for {name!r}, which nothing records"
            yield ConfigError(what, where=where, fix=did_you_mean(name, {*names, "epoch"}))
            continue
        try:
            format(0 if name == "epoch" else 0.0, form)
        except ValueError:
            what = f"checkpoint: {match[0]!r} is no format of a number"
            fix = "write such as {epoch:02d} or {train/total:.3f}"
            yield ConfigError(what, where=where, fix=fix)


def _names(
    given: list[str], able: list[str], graph: Graph, parameter: str, what: str, at: At
) -> Iterator[SpecloomError]:
    for name in given:
        if name in able:
            continue
        known = name in graph.nodes
        text = f"node {name!r} cannot {what}" if known else f"there is no node {name!r}"
        fix = did_you_mean(name, able, otherwise=f"leave out {parameter}")
        yield ConfigError(text, where=at(parameter), fix=fix)


def _starved(settings: Settings, graph: Graph, at: At) -> Iterator[SpecloomError]:
    """The losses that need what the training data has not, and what is fitted again with it."""
    for name in settings.refit:
        if name in graph.fittable():
            yield from lacking_fit(graph, name, "train")
    starved = graph.missing_data("train").nodes
    for name in trained(settings, graph):
        if name in starved:
            what = f"the loss {name!r} cannot be minimised: {describe_missing(graph, 'train')}"
            fix = f"give the training data masks, or leave {name!r} out of losses"
            yield ConfigError(what, where=at("losses"), fix=fix)


def _nothing_to_learn(settings: Settings, graph: Graph, at: At) -> Iterator[SpecloomError]:
    losses, free = trained(settings, graph), unfrozen(settings, graph)
    if not losses:
        if settings.losses is None or not settings.losses:
            fix = "add a loss node, such as losses.AnomalyBCEWithLogits"
            yield ConfigError("no loss in this graph is minimised", where=at("losses"), fix=fix)
        return
    if not free:
        if not settings.unfreeze:
            able = trainable(graph)
            fix = f"name nodes under unfreeze: {', '.join(able)}" if able else "add such a node"
            what = "every node is frozen, so that nothing can be learned"
            yield ConfigError(what, where=at("unfreeze"), fix=fix)
        return
    reached = set[str]()
    for loss in losses:
        behind = graph.ancestors([f"{loss}.loss"], [n for n in graph.order if _trains(graph, n)])
        reached |= behind
        if not behind & {*free}:
            able = [name for name in trainable(graph) if name in behind]
            fix = f"unfreeze {' or '.join(able)}, or leave {loss!r} out of losses"
            if not able:
                fix = f"name the other losses under losses, or remove {loss!r}"
            what = f"the loss {loss!r} depends on no node that is unfrozen"
            yield ConfigError(what, where=at("unfreeze"), fix=fix)
    for name in free:
        if name not in reached:
            what = f"node {name!r} is unfrozen, but no loss depends on it"
            fix = f"leave {name!r} out of unfreeze, or connect it to a loss"
            yield ConfigError(what, where=at("unfreeze"), fix=fix)


def _trains(graph: Graph, name: str) -> bool:
    return "train" in graph.stages[name]


def _optimizer(settings: Settings, at: At) -> Iterator[SpecloomError]:
    options = {k: v for k, v in vars(settings.optimizer).items() if k != "name"}
    name = settings.optimizer.name
    yield from named.wrong("optimizer", name, options, named.optimizers(), partial(at, "optimizer"))


def _scheduler(settings: Settings, at: At) -> Iterator[SpecloomError]:
    if (given := settings.scheduler) is None:
        return
    options = {k: v for k, v in vars(given).items() if k not in ("name", "monitor", "interval")}
    known = named.schedulers()
    place = partial(at, "scheduler")
    given_by_us = {"T_max", "total_steps"} if _by_epoch(settings) else set[str]()
    yield from named.wrong("scheduler", given.name, options, known, place, given_by_us)
    found = named.find(given.name, known)
    plateau = found is not None and found[0] == named.PLATEAU
    if plateau and not isinstance(getattr(given, "monitor", None), str):
        what, fix = f"{named.PLATEAU} needs the parameter 'monitor'", "add monitor: train/total"
        yield ConfigError(what, where=place(), fix=fix)
    if found and not plateau and hasattr(given, "monitor"):
        what, fix = f"{found[0]} has no parameter 'monitor'", f"use {named.PLATEAU}, or remove it"
        yield ConfigError(what, where=place(), fix=fix)
    if (interval := getattr(given, "interval", "epoch")) not in INTERVALS:
        fix = did_you_mean(str(interval), INTERVALS)
        yield ConfigError(f"scheduler: interval is {interval!r}", where=place(), fix=fix)


def _by_epoch(settings: Settings) -> bool:
    return getattr(settings.scheduler, "interval", "epoch") == "epoch"
