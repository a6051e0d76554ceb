"""``specloom import``."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("import")
def import_() -> None:
    """Turn files of other systems into run files."""


@import_.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="RUN_FILE",
    help="The run file to write [default: FILE's name with .specloom.yaml, here].",
)
def cuvis(file: Path, out: Path | None) -> None:
    """Turn FILE, a pipeline or a train run of cuvis-ai, into a run file.

    What was mapped, renamed and excluded is reported, and the run file is checked.
    """
    import json

    import yaml

    import specloom
    from specloom import ConfigError, Plugins, SpecloomError, write_file
    from specloom_training.importing.cuvis import import_file

    if out is None:
        out = Path(f"{file.stem}.specloom.yaml")
    if out.exists():
        raise ConfigError(f"{out} exists", fix="choose another file with --out")
    plugins = Plugins.for_file(out)
    value, report = import_file(file, plugins)
    head = f"# Imported from {file.name} of cuvis-ai.\n"
    # Through JSON: values that aliases stood for are written out.
    plain = json.loads(json.dumps(value, default=str))
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
    write_file(out, (head + text).encode())
    for line in report.lines():
        click.echo(line)
    try:
        specloom.load(out, plugins=plugins, device="cpu")
    except SpecloomError as e:
        click.echo(f"check: {e}")
    else:
        click.echo("check: good")
    click.echo(f"run file: {out}")
