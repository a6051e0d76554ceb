"""``specloom weights``: fetch, list, verify, add and export weights of CLIP models and adapters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specloom import ConfigError

if TYPE_CHECKING:
    from specloom_adaclip.weights.download import Progress
    from specloom_adaclip.weights.store import Entry, Store

MEGABYTE = 1e6
SHOW_EVERY = 50 * MEGABYTE
SHORT_HASH = 12
TRUST = click.option(
    "--trust-first-use",
    "trust",
    is_flag=True,
    help="Accept a file whose hash is not published, and record its hash.",
)


@click.group()
def weights() -> None:
    """Fetch, list, verify, add and export weights of CLIP models and adapters."""


@weights.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@TRUST
@click.option("--url", help="Another address of the same file; its hash must be the same.")
def fetch(names: tuple[str, ...], trust: bool, url: str | None) -> None:
    """Download weights into the store; an interrupted download is continued."""
    from specloom_adaclip.weights.catalogue import TINY

    if url and len(names) > 1:
        raise click.UsageError("--url goes with one name.")
    for name in names:
        _check_name(name)
    for name in names:
        if name == TINY:
            click.echo(_make_tiny())
        else:
            click.echo(_fetch(name, url, trust=trust))


def _check_name(name: str) -> None:
    from specloom import ConfigError, did_you_mean
    from specloom_adaclip.weights.catalogue import TINY, checkpoints

    names = [*checkpoints(), TINY]
    if name not in names:
        fix = did_you_mean(name, names)
        raise ConfigError(f"no weights are known by the name {name!r}", fix=fix)


@weights.command("list")
def list_() -> None:
    """List the weights in the store and those that can be fetched."""
    from specloom_adaclip.weights.catalogue import checkpoints
    from specloom_adaclip.weights.store import Store

    store = Store()
    for name in sorted({*checkpoints(), *store.names()}):
        click.echo(f"{name:26} {_state(store, name)}")


def _state(store: Store, name: str) -> str:
    from specloom_adaclip.weights.catalogue import checkpoints

    entry = store.entry(name)
    if entry is None:
        sha256 = checkpoints()[name].sha256
        if sha256 is None:
            return "not stored; hash not published"
        return f"not stored; {sha256[:SHORT_HASH]}"
    state = f"{entry.sha256[:SHORT_HASH]}, {_megabytes(entry)}, {entry.source}"
    if store.find(name) is None:
        return f"file missing; {state}"
    return state


def _megabytes(entry: Entry) -> str:
    return f"{entry.size / MEGABYTE:.1f} MB"


@weights.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def verify(names: tuple[str, ...]) -> None:
    """Compare stored files with their hashes: those of NAMES, or all."""
    from specloom_adaclip.weights.store import Store

    store = Store()
    wrong = 0
    for name in names or store.names():
        reason = store.verify(name)
        if reason:
            wrong += 1
            click.echo(f"{name}: {reason}", err=True)
        else:
            click.echo(f"{name}: good")
    if wrong:
        sys.exit(1)


@weights.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@TRUST
def add(name: str, file: Path, trust: bool) -> None:
    """Copy the local FILE into the store under NAME."""
    from specloom_adaclip.weights.reading import read_weights
    from specloom_adaclip.weights.store import Store

    read_weights(file)  # what cannot be loaded later is refused now
    store = Store()
    _refuse_other_file(store, name, file)
    entry = store.put(name, file, f"added from {file.name}", trust=trust)
    click.echo(_stored(name, entry))


def _refuse_other_file(store: Store, name: str, file: Path) -> None:
    """Raise ConfigError where another file is stored under a name: runs may depend on it."""
    from specloom_adaclip.weights.store import sha256_of

    entry = store.entry(name)
    if entry is None or store.find(name) is None or sha256_of(file) == entry.sha256:
        return
    what = f"another file is stored as {name}: {entry.source}, SHA-256 {entry.sha256[:SHORT_HASH]}"
    raise ConfigError(what, fix=f"choose another name, or delete {store.file(entry.sha256)}")


@weights.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
def export(run_dir: Path, file: Path) -> None:
    """Write the adapters of the pipeline that RUN saved to FILE, as public checkpoints have them.

    The pipeline has one detector AdaCLIP. A FILE that ends in .pth can be read by AdaCLIP's own
    code; another one is safetensors.
    """
    from specloom import Pipeline
    from specloom_adaclip.detector import AdaCLIPDetector

    nodes = Pipeline.load(run_dir).nodes
    detectors = {name: node for name, node in nodes.items() if isinstance(node, AdaCLIPDetector)}
    if not detectors:
        what = f"{run_dir} has no node adaclip.AdaCLIPDetector"
        raise ConfigError(what, fix="give the folder of a run that has one")
    if len(detectors) > 1:
        what = f"{run_dir} has the detectors {', '.join(detectors)}"
        fix = "load it with specloom.Pipeline.load, and call save_adapters of the node"
        raise ConfigError(what, fix=fix)
    for name, node in detectors.items():
        node.save_adapters(file)
        click.echo(f"adapters of {name!r}: {file}")


def _stored(name: str, entry: Entry) -> str:
    return f"{name}: {entry.sha256}, {_megabytes(entry)}"


def _fetch(name: str, url: str | None, *, trust: bool) -> str:
    """Download weights into the store, unless they are there, and return what to print."""
    from specloom_adaclip.weights.catalogue import checkpoints
    from specloom_adaclip.weights.download import download
    from specloom_adaclip.weights.store import Store, unknown_hash

    store = Store()
    if store.find(name) and not store.verify(name):
        return f"{name}: already stored"
    checkpoint = checkpoints()[name]
    if checkpoint.sha256 is None and not trust and store.entry(name) is None:
        raise unknown_hash(name)
    address = url or checkpoint.url
    partial = store.partial_file(name)
    download(address, partial, checkpoint.size, _progress(name))
    try:
        entry = store.put(name, partial, address, trust=trust, move=True)
    finally:
        partial.unlink(missing_ok=True)  # also a wrong one: to continue it would not correct it
    return _stored(name, entry)


def _progress(name: str) -> Progress:
    """Return a function that prints the progress of a download every 50 MB."""
    shown = 0.0

    def show(done: int, total: int | None) -> None:
        nonlocal shown
        if done - shown <= SHOW_EVERY:
            return
        shown = done
        of_total = ""
        if total:
            of_total = f" of {total / MEGABYTE:.0f}"
        click.echo(f"{name}: {done / MEGABYTE:.0f}{of_total} MB", err=True)

    return show


def _make_tiny() -> str:
    from specloom_adaclip.training.tiny import tiny_weights
    from specloom_adaclip.weights.store import Store

    towers, adapters = tiny_weights(Store())
    return (
        f"tiny: {towers.name[:SHORT_HASH]}, its adapters {adapters.name[:SHORT_HASH]}, "
        f"in {towers.parent}"
    )
