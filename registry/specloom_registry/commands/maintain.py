"""``specloom plugins vendor``, ``gc`` and ``test``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from specloom_registry.commands import options as common


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@common.common
def vendor(folder: Path, as_json: bool, dry: bool, manifest: Path | None, offline: bool) -> None:
    """Copy what plugins.lock names into FOLDER, for 'sync --from' on a machine without network."""
    from specloom_registry.project import maintenance

    project = common.project(manifest, offline=offline, dry=dry)
    copied = maintenance.vendor(project, folder)
    word = "would be copied" if dry else "copied"
    line = f"{word} to {folder}: {', '.join(copied) or 'nothing'}"
    common.print_result(copied, as_json, [line])


@click.command()
@common.JSON
@common.OFFLINE
@common.DRY
def gc(as_json: bool, offline: bool, dry: bool) -> None:
    """Delete from the store what no project's lock names any more."""
    from specloom_registry.project import maintenance
    from specloom_registry.store.store import Store

    deleted = maintenance.collect_garbage(Store(), dry_run=dry)
    total = sum(row["bytes"] for row in deleted)
    word = "would be deleted" if dry else "deleted"
    lines = [f"{row['name']}  {row['bytes']} bytes" for row in deleted]
    lines.append(f"{len(deleted)} {word}, {total} bytes")
    common.print_result(deleted, as_json, lines)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("plugin")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@common.MANIFEST
@common.OFFLINE
@common.DRY
def test(
    plugin: str, options: tuple[str, ...], manifest: Path | None, offline: bool, dry: bool
) -> None:
    """Run the conformance kit and PLUGIN's own tests; OPTIONS are pytest's."""
    from specloom_registry.project import maintenance

    project = common.project(manifest, offline=offline)
    project.find_line(plugin)
    if dry:
        options = ("--collect-only", *options)
    sys.exit(maintenance.test(project, plugin, options))
