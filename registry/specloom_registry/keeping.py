"""``specloom plugins vendor``, ``gc`` and ``test``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from specloom_registry import asked


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@asked.asking
def vendor(folder: Path, as_json: bool, dry: bool, manifest: Path | None, offline: bool) -> None:
    """Copy what plugins.lock names into FOLDER, for 'sync --from' on a machine without network."""
    from specloom_registry import housekeeping

    copied = housekeeping.vendor(asked.project(manifest, offline=offline, dry=dry), folder)
    word = "would be copied" if dry else "copied"
    asked.tell(copied, as_json, [f"{word} to {folder}: {', '.join(copied) or 'nothing'}"])


@click.command()
@asked.JSON
@asked.OFFLINE
@asked.DRY
def gc(as_json: bool, offline: bool, dry: bool) -> None:
    """Delete from the store what no project's lock names any more."""
    from specloom_registry import housekeeping
    from specloom_registry.store import Store

    gone = housekeeping.collect(Store(), dry=dry)
    total = sum(one["bytes"] for one in gone)
    word = "would be deleted" if dry else "deleted"
    lines = [f"{one['name']}  {one['bytes']} bytes" for one in gone]
    asked.tell(gone, as_json, [*lines, f"{len(gone)} {word}, {total} bytes"])


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("plugin")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@asked.MANIFEST
@asked.OFFLINE
@asked.DRY
def test(
    plugin: str, options: tuple[str, ...], manifest: Path | None, offline: bool, dry: bool
) -> None:
    """Hold PLUGIN to the conformance kit and run its own tests; OPTIONS are pytest's."""
    from specloom_registry import housekeeping

    project = asked.project(manifest, offline=offline)
    project.need(plugin)
    options = ("--collect-only", *options) if dry else options
    sys.exit(housekeeping.test(project, plugin, options))
