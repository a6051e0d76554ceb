"""``specloom bands``: how stable the choice of a run's selectors is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specloom import ConfigError, Pipeline, Run, interrupted_run, load, threads_option

if TYPE_CHECKING:
    from specloom_mrmr.bootstrap import Stability


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--split", default="train", help="The split to draw from  [default: train].")
@click.option("--resamples", default=200, type=click.IntRange(1), help="How many  [default: 200].")
@click.option("--seed", default=0, type=click.IntRange(0), help="Of what is drawn  [default: 0].")
@threads_option
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def bands(run: Path, split: str, resamples: int, seed: int, as_json: bool) -> None:
    """Tell how often each band is chosen when the images of RUN are drawn anew.

    RUN is a run file, or the folder that a run wrote. Images are drawn with replacement (blocks,
    where there are few), and each mRMR selector of the run chooses its bands from every resample.
    The nodes in front of it are as RUN left them; of a run file its phases are run until they are
    fitted.
    """
    from specloom_mrmr.bootstrap import stability
    from specloom_mrmr.selector import SupervisedBandSelector

    loaded = opened(run)
    nodes = loaded.graph.nodes
    names = [name for name, node in nodes.items() if isinstance(node, SupervisedBandSelector)]
    if not names:
        fix = "use a run with a selector of the plugin mrmr"
        raise ConfigError(f"{run} has no supervised band selector", fix=fix)
    prepare(loaded, names)
    found = {
        name: stability(nodes[name], partial(arguments, loaded, name, split), resamples, seed)
        for name in names
    }
    if as_json:
        click.echo(json.dumps({name: one._asdict() for name, one in found.items()}, indent=2))
        return
    for name, one in found.items():
        click.echo("\n".join(lines(name, one)))


def opened(path: Path) -> Run:
    """The run of a run file, or of the folder that it wrote, with the state that it ended with.

    Raises:
        ConfigError: There is none.
    """
    if not path.is_dir():
        return load(path)
    loaded = load(**interrupted_run(path))
    if (saved := path / "pipeline.yaml").is_file():
        fitted = Pipeline.load(saved, loaded.plugins).nodes
        for name, node in loaded.graph.nodes.items():
            if hasattr(node, "restore"):
                node.restore(fitted[name].state())
    return loaded


def prepare(run: Run, names: Iterable[str]) -> None:
    """Fit what the selectors read, by the run's own phases, as far as they are needed.

    Raises:
        ConfigError: They do not fit it.
    """
    graph = run.graph
    ends = [
        end for name in names for part in graph.incoming(name, fit=True).values() for end in part
    ]
    before = graph.ancestors(ends)
    for _, phase in run.phases:
        if not before & set(graph.unfitted()):
            break
        phase.train(run)
    if left := sorted(before & set(graph.unfitted())):
        what = f"no phase of the run fits {', '.join(left)}, which the selectors read"
        raise ConfigError(what, fix="add - {type: training.StatisticalTrainer} to its phases")


def arguments(run: Run, name: str, split: str) -> Iterator[Mapping[str, Any]]:
    """What the fit of a node is given, batch by batch."""
    feeds = run.graph.incoming(name, fit=True)
    if "mask" not in feeds:
        what = f"{name}.mask is not fed, so there is nothing to choose by"
        raise ConfigError(what, where=run.graph.where("nodes", name), fix=f"connect {name}.mask")
    plan = run.plan("train", [end for ends in feeds.values() for end in ends])
    with run.inference():
        for batch in run.batches(split, f"reading for {name}"):
            values = plan(batch)
            yield {port: values[end] for port, (end, *_) in feeds.items()}


def lines(name: str, found: Stability) -> Iterator[str]:
    """The result for one selector, most frequent bands first."""
    yield f"{name}: {found.resamples} resamples of {found.units} images or blocks"
    yield "band  wavelength  chosen in  all data"
    order = sorted(range(len(found.shares)), key=lambda band: -found.shares[band])
    for band in order:
        if not found.shares[band] and band not in found.chosen:
            continue
        nm = f"{found.centres[band]:7.1f} nm" if found.centres else " " * 10
        channel = f"  channel {found.chosen.index(band)}" if band in found.chosen else ""
        yield f"{band:4}  {nm}  {found.shares[band]:8.1%} {channel}".rstrip()
