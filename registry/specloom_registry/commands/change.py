"""``specloom plugins add``, ``remove``, ``lock``, ``update`` and ``sync``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specloom_registry.commands import options

if TYPE_CHECKING:
    from specloom_registry.project.project import Change, Project


@click.command()
@click.argument("plugin")
@click.option("--git", help="The repository's URL; by default what the index of plugins says.")
@click.option("--tag", help="The tag; by default that of the newest version that fits.")
@click.option("--subdir", help="The plugin's folder within the repository.")
@click.option("--tag-pattern", help="How tags spell versions, such as 'rx-v{version}'.")
@click.option("--path", help="The plugin's folder, in place of a repository.")
@options.changing
def add(
    plugin: str,
    git: str | None,
    tag: str | None,
    subdir: str | None,
    tag_pattern: str | None,
    path: str | None,
    as_json: bool,
    **asked_for: Any,
) -> None:
    """Add PLUGIN to the manifest, lock it and fetch it."""
    from specloom_registry.model import edit
    from specloom_registry.project import additions

    project = options.project(**asked_for, may_begin=True)
    given = {"git": git, "tag": tag, "subdir": subdir, "tag-pattern": tag_pattern, "path": path}
    source = additions.source(project, plugin, {key: one for key, one in given.items() if one})
    change = project.relock(edit.add(project.text(), plugin, source))
    _told(project, change, as_json)


@click.command()
@click.argument("plugin")
@click.option("--force", is_flag=True, help="Also when run files use it.")
@options.changing
def remove(plugin: str, force: bool, as_json: bool, **asked_for: Any) -> None:
    """Remove PLUGIN from the manifest and the lock."""
    from specloom_registry.model import edit
    from specloom_registry.project import additions

    project = options.project(**asked_for)
    project.need(plugin)
    if not force:
        additions.check_unused(project.file, plugin)
    _told(project, project.relock(edit.remove(project.text(), plugin)), as_json)


@click.command()
@click.option("--check", is_flag=True, help="Tell whether the lock is up to date; ends with 1.")
@click.option("--fresh", is_flag=True, help="Ask every tag anew, also of what has not changed.")
@options.changing
def lock(check: bool, fresh: bool, as_json: bool, **asked_for: Any) -> None:
    """Write what the manifest's plugins are, to the byte, into plugins.lock."""
    from specloom_registry.model import lockfile

    project = options.project(**asked_for)
    project.dry |= check
    change = project.relock(fresh=fresh)
    file = project.file.with_suffix(".lock")
    good = lockfile.holds(file, change.new)
    _told(project, change, as_json)
    if check and not good:
        click.echo(f"{file} is out of date\n  fix: run: specloom plugins lock", err=True)
        sys.exit(1)


@click.command()
@click.argument("plugins", nargs=-1)
@click.option("--to", help="The tag to change to; by default the newest version's that fits.")
@click.option("--accept-moved-tag", "moved", is_flag=True, help="Take what tags lead to now.")
@click.option("--downgrade", is_flag=True, help="Let versions go down.")
@options.changing
def update(
    plugins: tuple[str, ...],
    to: str | None,
    moved: bool,
    downgrade: bool,
    as_json: bool,
    **asked_for: Any,
) -> None:
    """Change PLUGINS, or all from Git, to newer tags, and lock them."""
    from specloom_registry.project import additions

    project = options.project(**asked_for)
    text, names = additions.updated(project, plugins, to, moved=moved, downgrade=downgrade)
    _told(project, project.relock(text, names if moved else ()), as_json)


@click.command()
@click.option("--frozen", is_flag=True, help="Also hold local plugins to the lock.")
@click.option("--repair", is_flag=True, help="Read every file; move what is wrong aside.")
@click.option(
    "--from",
    "vendored",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder that 'vendor' made, to take from first.",
)
@options.changing
def sync(
    frozen: bool, repair: bool, vendored: Path | None, as_json: bool, **asked_for: Any
) -> None:
    """Fetch what plugins.lock names and the store lacks."""
    from specloom_registry.project import verify

    project = options.project(**asked_for)
    report = project.sync(repair=repair, vendored=vendored)
    if frozen:
        verify.check_local(project)
    options.warn(report.notices)
    word = "would be fetched" if project.dry else "fetched"
    lines = [f"{word}: {', '.join(report.fetched) or 'nothing'}"]
    lines += [
        f"repaired {name}: the old files are in {place}" for name, place in report.repaired.items()
    ]
    options.tell(vars(report), as_json, lines)


def _told(project: Project, change: Change, as_json: bool) -> None:
    options.warn(change.notices)
    rows = change.lines()
    lines = []
    for row in rows:
        lines.append(f"{row['name']}: {row['was'] or 'new'} -> {row['now'] or 'removed'}")
        lines += [
            f"  nodes {key}: {', '.join(row[key])}"
            for key in ("changed", "gone", "new")
            if row.get(key)
        ]
    end = "nothing was written" if project.dry else str(project.file.with_suffix(".lock"))
    options.tell(rows, as_json, [*lines, end if rows or project.dry else "nothing changed"])
