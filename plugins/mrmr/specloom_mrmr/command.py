"""``specloom bands``: how stable the choice of a run's selectors is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specloom import ConfigError, Pipeline, Run, interrupted_run, load, threads_option

if TYPE_CHECKING:
    from specloom_mrmr.bootstrap import Stability


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--split", default="train", help="The split to resample  [default: train].")
@click.option(
    "--resamples",
    default=200,
    type=click.IntRange(1),
    help="How many resamples  [default: 200].",
)
@click.option("--seed", default=0, type=click.IntRange(0), help="The random seed  [default: 0].")
@threads_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bands(run: Path, split: str, resamples: int, seed: int, as_json: bool) -> None:
    """Report how often each band is chosen when the images of RUN are resampled.

    RUN is a run file, or the folder that a run wrote. Images are drawn with replacement (blocks,
    where there are few), and each mRMR selector of the run chooses its bands from every resample.
    The nodes before it have the state that RUN saved; the phases of a run file are run until
    these nodes are fitted.
    """
    from specloom_mrmr.bootstrap import stability
    from specloom_mrmr.selector import SupervisedBandSelector

    loaded = open_run(run)
    nodes = loaded.graph.nodes
    names = [name for name, node in nodes.items() if isinstance(node, SupervisedBandSelector)]
    if not names:
        fix = "use a run with a selector of the plugin mrmr"
        raise ConfigError(f"{run} has no supervised band selector", fix=fix)
    fit_inputs(loaded, names)
    stabilities = {}
    for name in names:
        batches = partial(fit_batches, loaded, name, split)
        stabilities[name] = stability(nodes[name], batches, resamples, seed)
    if as_json:
        click.echo(json.dumps({name: one._asdict() for name, one in stabilities.items()}, indent=2))
        return
    for name, one in stabilities.items():
        click.echo("\n".join(table_lines(name, one)))


def open_run(path: Path) -> Run:
    """The run of a run file, or of the folder that it wrote, with the state that it ended with.

    Raises:
        ConfigError: There is none.
    """
    if not path.is_dir():
        return load(path)
    loaded = load(**interrupted_run(path))
    saved = path / "pipeline.yaml"
    if saved.is_file():
        fitted = Pipeline.load(saved, loaded.plugins).nodes
        for name, node in loaded.graph.nodes.items():
            if hasattr(node, "restore"):
                node.restore(fitted[name].state())
    return loaded


def fit_inputs(run: Run, names: Iterable[str]) -> None:
    """Fit the nodes before the selectors, by the run's own phases, as far as they are needed.

    Raises:
        ConfigError: They do not fit it.
    """
    graph = run.graph
    ends = []
    for name in names:
        for outputs in graph.incoming(name, fit=True).values():
            ends.extend(outputs)
    before = graph.ancestors(ends)
    for _, phase in run.phases:
        if not before & set(graph.unfitted()):
            break
        phase.train(run)
    unfitted = sorted(before & set(graph.unfitted()))
    if unfitted:
        what = f"no phase of the run fits {', '.join(unfitted)}, which the selectors read"
        raise ConfigError(what, fix="add - {type: training.StatisticalTrainer} to its phases")


def fit_batches(run: Run, name: str, split: str) -> Iterator[Mapping[str, Any]]:
    """Yield the fit inputs of a node, batch by batch."""
    feeds = run.graph.incoming(name, fit=True)
    if "mask" not in feeds:
        what = f"{name}.mask is not connected, so there are no classes to separate"
        raise ConfigError(what, where=run.graph.where("nodes", name), fix=f"connect {name}.mask")
    plan = run.plan("train", list(chain.from_iterable(feeds.values())))
    with run.inference():
        for batch in run.batches(split, f"reading for {name}"):
            values = plan(batch)
            yield {port: values[end] for port, (end, *_) in feeds.items()}


def table_lines(name: str, result: Stability) -> Iterator[str]:
    """The result for one selector, most frequent bands first."""
    yield f"{name}: {result.resamples} resamples of {result.units} images or blocks"
    yield "band  wavelength  chosen in  all data"
    order = sorted(range(len(result.shares)), key=lambda band: -result.shares[band])
    for band in order:
        if not result.shares[band] and band not in result.chosen:
            continue
        nm = " " * 10
        if result.centres:
            nm = f"{result.centres[band]:7.1f} nm"
        channel = ""
        if band in result.chosen:
            channel = f"  channel {result.chosen.index(band)}"
        yield f"{band:4}  {nm}  {result.shares[band]:8.1%} {channel}".rstrip()
