"""``specloom bands``: how stable the choice of a run's selectors is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from specloom import ConfigError, Pipeline, Plugins, Run, load

if TYPE_CHECKING:
    from specloom_mrmr.bootstrap import Stability


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--split", default="train", help="The split to draw from  [default: train].")
@click.option("--resamples", default=200, type=click.IntRange(1), help="How many  [default: 200].")
@click.option("--seed", default=0, type=click.IntRange(0), help="Of what is drawn  [default: 0].")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def bands(run: Path, split: str, resamples: int, seed: int, as_json: bool) -> None:
    """Tell how often each band is chosen when the images of RUN are drawn anew.

    RUN is a run file, or the folder that a run wrote. Images are drawn with replacement (blocks,
    where there are few), and each mRMR selector of the run chooses its bands from every resample.
    """
    from specloom_mrmr.bootstrap import stability
    from specloom_mrmr.selector import SupervisedBandSelector

    loaded = opened(run)
    nodes = loaded.graph.nodes
    names = [name for name, node in nodes.items() if isinstance(node, SupervisedBandSelector)]
    if not names:
        fix = "use a run with a selector of the plugin mrmr"
        raise ConfigError(f"{run} has no supervised band selector", fix=fix)
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
    """The run of a run file, or of the folder that it wrote, with the state that it ended with."""
    if not path.is_dir():
        return load(path)
    loaded = recorded(path)
    if (saved := path / "pipeline.yaml").is_file():
        fitted = Pipeline.load(saved, loaded.plugins).nodes
        for name, node in loaded.graph.nodes.items():
            if hasattr(node, "restore"):
                node.restore(fitted[name].state())
    return loaded


def recorded(folder: Path) -> Run:
    """The run that ``run.json`` in a folder tells of.

    Raises:
        ConfigError: There is none.
    """
    try:
        found = json.loads((folder / "run.json").read_text("utf-8"))
        file, text = Path(found["file"]), json.dumps(found["run"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        what = f"{folder} holds no run ({type(e).__name__}: {e})"
        raise ConfigError(what, fix="give a run file, or the folder that a run wrote") from e
    with TemporaryDirectory() as place:
        # JSON is YAML; the plugins are those of the run's own manifest.
        (copy := Path(place) / file.name).write_text(text, "utf-8")
        return load(copy, plugins=Plugins.for_file(file))


def arguments(run: Run, name: str, split: str) -> Iterator[Mapping[str, Any]]:
    """What the fit of a node is given, batch by batch."""
    feeds = run.graph.feeding(name, fit=True)
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
