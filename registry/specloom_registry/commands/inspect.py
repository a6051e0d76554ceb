"""``specloom plugins info``, ``outdated``, ``verify`` and ``why``."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from specloom_registry.commands import options


@click.command()
@click.argument("plugin")
@options.common
def info(plugin: str, as_json: bool, **project_options: Any) -> None:
    """Show what is known of PLUGIN, without importing it."""
    from specloom_registry.project import verify as verification

    found = verification.info(options.project(**project_options), plugin)
    lines = []
    for key, value in found.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if text:
            lines.append(f"{key}: {text}")
    options.print_result(found, as_json, lines)


@click.command()
@options.fetching
def outdated(as_json: bool, **project_options: Any) -> None:
    """List newer tags of the plugins from Git, and tags that were moved."""
    from specloom_registry.base.table import table
    from specloom_registry.project import verify as verification

    rows = verification.outdated(options.project(**project_options))
    lines = ["no plugin is from Git"]
    if rows:
        columns = ["name", "tag", "newest", "fits", "note"]
        body = [[row[column] for column in columns] for row in rows]
        lines = [table([columns, *body])]
    options.print_result(rows, as_json, lines)


@click.command()
@click.option("--full", is_flag=True, hidden=True, help="What is always done now.")
@click.option("--remote", is_flag=True, help="Also check whether tags were moved.")
@options.fetching
def verify(full: bool, remote: bool, as_json: bool, **project_options: Any) -> None:
    """Check that the store and local plugins are as locked; exit with 1 if not."""
    from specloom_registry.project import verify as verification

    rows = verification.verify(options.project(**project_options), remote=remote)
    lines = []
    for row in rows:
        lines.append(f"{row['name']} {row['version']}: {row['state']}")
        if row.get("fix"):
            lines.append(f"  fix: {row['fix']}")
    options.print_result(rows, as_json, lines)
    good = (verification.GOOD, verification.NOT_CHECKED)
    if not all(row["state"] in good for row in rows):
        sys.exit(1)


@click.command()
@click.argument("name")
@options.common
def why(name: str, as_json: bool, **project_options: Any) -> None:
    """Show why NAME, a plugin, node or package, is there."""
    from specloom_registry.project import verify as verification

    lines = verification.why(options.project(**project_options), name)
    options.print_result(lines, as_json, lines)
