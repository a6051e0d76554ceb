"""``specloom plugins info``, ``outdated``, ``verify`` and ``why``."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from specloom_registry import asked


@click.command()
@click.argument("plugin")
@asked.asking
def info(plugin: str, as_json: bool, **asked_for: Any) -> None:
    """Tell what is known of PLUGIN, without importing it."""
    from specloom_registry import checking

    found = checking.info(asked.project(**asked_for), plugin)
    shown = {key: one if isinstance(one, str) else json.dumps(one) for key, one in found.items()}
    asked.tell(found, as_json, [f"{key}: {one}" for key, one in shown.items() if one])


@click.command()
@asked.fetching
def outdated(as_json: bool, **asked_for: Any) -> None:
    """List newer tags of the plugins from Git, and tags that were moved."""
    from specloom_registry import checking
    from specloom_registry.table import table

    rows = checking.outdated(asked.project(**asked_for))
    columns = ("name", "tag", "newest", "fits", "note")
    lines = [table([columns, *([row[column] for column in columns] for row in rows)])]
    asked.tell(rows, as_json, lines if rows else ["no plugin is from Git"])


@click.command()
@click.option("--full", is_flag=True, help="Read every file, not only sizes and times.")
@click.option("--remote", is_flag=True, help="Ask also whether tags were moved.")
@asked.fetching
def verify(full: bool, remote: bool, as_json: bool, **asked_for: Any) -> None:
    """Tell whether the store and local plugins are what was locked; ends with 1 if not."""
    from specloom_registry import checking

    rows = checking.verify(asked.project(**asked_for), full=full, remote=remote)
    lines = [f"{row['name']} {row['version']}: {row['state']}"
             + (f"\n  fix: {row['fix']}" if row.get("fix") else "") for row in rows]  # fmt: skip
    asked.tell(rows, as_json, lines)
    sys.exit(any(row["state"] not in ("good", "not asked for") for row in rows))


@click.command()
@click.argument("name")
@asked.asking
def why(name: str, as_json: bool, **asked_for: Any) -> None:
    """Tell why NAME, a plugin, node or package, is there."""
    from specloom_registry import checking

    lines = checking.why(asked.project(**asked_for), name)
    asked.tell(lines, as_json, lines)
