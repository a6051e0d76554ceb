"""``specloom plugins vendor``, ``gc`` and ``test``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from specloom_registry.commands import options as common


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@common.asking
def vendor(folder: Path, as_json: bool, dry: bool, manifest: Path | None, offline: bool) -> None:
    """Copy what plugins.lock names into FOLDER, for 'sync --from' on a machine without network."""
    from specloom_registry.project import maintenance

    copied = maintenance.vendor(common.project(manifest, offline=offline, dry=dry), folder)
    word = "would be copied" if dry else "copied"
    common.tell(copied, as_json, [f"{word} to {folder}: {', '.join(copied) or 'nothing'}"])


@click.command()
@common.JSON
@common.OFFLINE
@common.DRY
def gc(as_json: bool, offline: bool, dry: bool) -> None:
    """Delete from the store what no project's lock names any more."""
    from specloom_registry.project import maintenance
    from specloom_registry.store.store import Store

    gone = maintenance.collect(Store(), dry=dry)
    total = sum(one["bytes"] for one in gone)
    word = "would be deleted" if dry else "deleted"
    lines = [f"{one['name']}  {one['bytes']} bytes" for one in gone]
    common.tell(gone, as_json, [*lines, f"{len(gone)} {word}, {total} bytes"])


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("plugin")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@common.MANIFEST
@common.OFFLINE
@common.DRY
def test(
    plugin: str, options: tuple[str, ...], manifest: Path | None, offline: bool, dry: bool
) -> None:
    """Hold PLUGIN to the conformance kit and run its own tests; OPTIONS are pytest's."""
    from specloom_registry.project import maintenance

    project = common.project(manifest, offline=offline)
    project.need(plugin)
    options = ("--collect-only", *options) if dry else options
    sys.exit(maintenance.test(project, plugin, options))
