"""``specloom weights``: fetch, list, verify and add the weights of CLIP models and adapters."""

from __future__ import annotations

import sys
from pathlib import Path

import click

NAME = click.argument("name")
TRUST = click.option(
    "--trust-first-use",
    "trust",
    is_flag=True,
    help="Take a file whose hash is not known, and record its hash.",
)


@click.group()
def weights() -> None:
    """Fetch, list, verify and add weights of CLIP models and adapters."""


@weights.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@TRUST
@click.option("--url", help="Another address of the same file; its hash must be the same.")
def fetch(names: tuple[str, ...], trust: bool, url: str | None) -> None:
    """Download weights into the store; go on where a download was interrupted."""
    from specloom import ConfigError, did_you_mean
    from specloom_adaclip.weights.catalogue import TINY, known

    for name in names:
        if name not in (*known(), TINY):
            fix = did_you_mean(name, [*known(), TINY])
            raise ConfigError(f"no weights are known by the name {name!r}", fix=fix)
    if url and len(names) > 1:
        raise click.UsageError("--url goes with one name.")
    for name in names:
        click.echo(_make_tiny() if name == TINY else _fetch(name, trust, url))


@weights.command("list")
def list_() -> None:
    """List the weights in the store and those that are known."""
    from specloom_adaclip.weights.catalogue import known
    from specloom_adaclip.weights.store import Store

    store = Store()
    for name in sorted({*known(), *store.names()}):
        entry = store.entry(name)
        if entry is None:
            pinned = known()[name].sha256
            state = f"not here; {pinned[:12] if pinned else 'hash unknown'}"
        else:
            lost = "" if store.find(name) else "file missing; "
            state = f"{lost}{entry.sha256[:12]}, {entry.size / 1e6:.1f} MB, {entry.source}"
        click.echo(f"{name:26} {state}")


@weights.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def verify(names: tuple[str, ...]) -> None:
    """Compare stored files with their hashes: those of NAMES, or all."""
    from specloom_adaclip.weights.store import Store

    store, wrong = Store(), 0
    for name in names or store.names():
        reason = store.verify(name)
        wrong += bool(reason)
        click.echo(f"{name}: {reason or 'good'}", err=bool(reason))
    sys.exit(1 if wrong else 0)


@weights.command()
@NAME
@click.argument("file", type=click.Path(path_type=Path))
@TRUST
def add(name: str, file: Path, trust: bool) -> None:
    """Take the local FILE into the store under NAME."""
    from specloom_adaclip.weights.reading import read_weights
    from specloom_adaclip.weights.store import Store

    read_weights(file)  # what cannot be loaded later is refused now
    entry = Store().put(name, file, f"added from {file.name}", trust=trust)
    click.echo(f"{name}: {entry.sha256}, {entry.size / 1e6:.1f} MB")


def _fetch(name: str, trust: bool, url: str | None) -> str:
    from specloom import IntegrityError
    from specloom_adaclip.weights.catalogue import how_to_get, known
    from specloom_adaclip.weights.download import download
    from specloom_adaclip.weights.store import Store

    store, checkpoint = Store(), known()[name]
    if store.find(name) and not store.verify(name):
        return f"{name}: already here"
    if checkpoint.sha256 is None and not trust and store.entry(name) is None:
        what = f"nobody could tell us the SHA-256 of {name}, so the file cannot be checked"
        raise IntegrityError(what, fix=f"if you trust its address, say so: {how_to_get(name)}")
    part, shown = store.part(name), [0]

    def tell(done: int, total: int | None) -> None:
        if done - shown[0] > 50e6:
            of = f" of {total / 1e6:.0f}" if total else ""
            click.echo(f"{name}: {done / 1e6:.0f}{of} MB", err=True)
            shown[0] = done

    download(url or checkpoint.url, part, checkpoint.size, tell)
    try:
        entry = store.put(name, part, url or checkpoint.url, trust=trust, move=True)
    finally:
        part.unlink(missing_ok=True)  # also a wrong one: going on with it would not mend it
    return f"{name}: {entry.sha256}, {entry.size / 1e6:.1f} MB"


def _make_tiny() -> str:
    from specloom_adaclip.training.tiny import tiny_weights
    from specloom_adaclip.weights.store import Store

    towers, adapters = tiny_weights(Store())
    return f"tiny: {towers.name[:12]}, its adapters {adapters.name[:12]}, in {towers.parent}"
