"""``specloom plugins info``, ``outdated``, ``verify`` and ``why``."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from specloom_registry.commands import options


@click.command()
@click.argument("plugin")
@options.asking
def info(plugin: str, as_json: bool, **asked_for: Any) -> None:
    """Tell what is known of PLUGIN, without importing it."""
    from specloom_registry.project import verify as verification

    found = verification.info(options.project(**asked_for), plugin)
    shown = {key: one if isinstance(one, str) else json.dumps(one) for key, one in found.items()}
    options.tell(found, as_json, [f"{key}: {one}" for key, one in shown.items() if one])


@click.command()
@options.fetching
def outdated(as_json: bool, **asked_for: Any) -> None:
    """List newer tags of the plugins from Git, and tags that were moved."""
    from specloom_registry.base.table import table
    from specloom_registry.project import verify as verification

    rows = verification.outdated(options.project(**asked_for))
    columns = ("name", "tag", "newest", "fits", "note")
    lines = [table([columns, *([row[column] for column in columns] for row in rows)])]
    options.tell(rows, as_json, lines if rows else ["no plugin is from Git"])


@click.command()
@click.option("--full", is_flag=True, help="Read every file, not only sizes and times.")
@click.option("--remote", is_flag=True, help="Ask also whether tags were moved.")
@options.fetching
def verify(full: bool, remote: bool, as_json: bool, **asked_for: Any) -> None:
    """Tell whether the store and local plugins are what was locked; ends with 1 if not."""
    from specloom_registry.project import verify as verification

    rows = verification.verify(options.project(**asked_for), full=full, remote=remote)
    lines = [
        f"{row['name']} {row['version']}: {row['state']}"
        + (f"\n  fix: {row['fix']}" if row.get("fix") else "")
        for row in rows
    ]
    options.tell(rows, as_json, lines)
    sys.exit(any(row["state"] not in ("good", "not asked for") for row in rows))


@click.command()
@click.argument("name")
@options.asking
def why(name: str, as_json: bool, **asked_for: Any) -> None:
    """Tell why NAME, a plugin, node or package, is there."""
    from specloom_registry.project import verify as verification

    lines = verification.why(options.project(**asked_for), name)
    options.tell(lines, as_json, lines)
