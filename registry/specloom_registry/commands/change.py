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
@click.option("--git", help="The repository's URL [default: that of the index of plugins].")
@click.option("--tag", help="The tag [default: that of the newest compatible version].")
@click.option("--subdir", help="The plugin's folder within the repository.")
@click.option("--tag-pattern", help="How tags spell versions, such as 'rx-v{version}'.")
@click.option("--path", help="The plugin's folder, instead of a repository.")
@options.changing
def add(
    plugin: str,
    git: str | None,
    tag: str | None,
    subdir: str | None,
    tag_pattern: str | None,
    path: str | None,
    as_json: bool,
    **project_options: Any,
) -> None:
    """Add PLUGIN to the manifest, lock it and fetch it."""
    from specloom_registry.model import edit
    from specloom_registry.project import additions

    project = options.project(**project_options, may_create=True)
    values = {"git": git, "tag": tag, "subdir": subdir, "tag-pattern": tag_pattern, "path": path}
    line = {key: value for key, value in values.items() if value}
    source = additions.complete_source(project, plugin, line)
    change = project.relock(edit.add(project.text(), plugin, source))
    _print_change(project, change, as_json)


@click.command()
@click.argument("plugin")
@click.option("--force", is_flag=True, help="Remove it although run files use it.")
@options.changing
def remove(plugin: str, force: bool, as_json: bool, **project_options: Any) -> None:
    """Remove PLUGIN from the manifest and the lock."""
    from specloom_registry.model import edit
    from specloom_registry.project import additions

    project = options.project(**project_options)
    project.find_line(plugin)
    if not force:
        additions.check_unused(project.file, plugin)
    change = project.relock(edit.remove(project.text(), plugin))
    _print_change(project, change, as_json)


@click.command()
@click.option(
    "--check", is_flag=True, help="Check that the lock is up to date; exit with 1 if not."
)
@click.option(
    "--fresh", is_flag=True, help="Resolve every tag again, also those of unchanged plugins."
)
@options.changing
def lock(check: bool, fresh: bool, as_json: bool, **project_options: Any) -> None:
    """Record the exact contents of the manifest's plugins in plugins.lock."""
    from specloom_registry.model import lockfile

    project = options.project(**project_options)
    if check:
        project.dry_run = True
    change = project.relock(fresh=fresh)
    file = project.file.with_suffix(".lock")
    current = lockfile.is_current(file, change.new)
    _print_change(project, change, as_json)
    if check and not current:
        click.echo(f"{file} is out of date\n  fix: run: specloom plugins lock", err=True)
        sys.exit(1)


@click.command()
@click.argument("plugins", nargs=-1)
@click.option("--to", help="The tag to update to [default: that of the newest compatible version].")
@click.option(
    "--accept-moved-tag", "moved", is_flag=True, help="Accept the commits that tags lead to now."
)
@click.option("--downgrade", is_flag=True, help="Allow older versions.")
@options.changing
def update(
    plugins: tuple[str, ...],
    to: str | None,
    moved: bool,
    downgrade: bool,
    as_json: bool,
    **project_options: Any,
) -> None:
    """Update PLUGINS, or all from Git, to newer tags, and lock them."""
    from specloom_registry.project import additions

    project = options.project(**project_options)
    text, names = additions.update_tags(project, plugins, to, moved=moved, downgrade=downgrade)
    accept = names if moved else []
    _print_change(project, project.relock(text, accept), as_json)


@click.command()
@click.option(
    "--frozen", is_flag=True, help="Also check tags and local plugins: they are as locked."
)
@click.option(
    "--repair",
    is_flag=True,
    help="Read every file, move damaged plugins aside and fetch them again.",
)
@click.option(
    "--from",
    "vendored",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder written by 'vendor', tried first.",
)
@options.changing
def sync(
    frozen: bool, repair: bool, vendored: Path | None, as_json: bool, **project_options: Any
) -> None:
    """Fetch what plugins.lock names and the store does not have."""
    from specloom_registry.project import verify

    project = options.project(**project_options)
    report = project.sync(repair=repair, vendored=vendored, frozen=frozen)
    if frozen:
        verify.check_local(project)
    options.print_warnings(report.notices)
    word = "would be fetched" if project.dry_run else "fetched"
    lines = [f"{word}: {', '.join(report.fetched) or 'nothing'}"]
    for name, folder in report.repaired.items():
        lines.append(f"repaired {name}: the old files are in {folder}")
    options.print_result(vars(report), as_json, lines)


def _print_change(project: Project, change: Change, as_json: bool) -> None:
    options.print_warnings(change.notices)
    rows = change.rows()
    lines = []
    for row in rows:
        lines.append(f"{row['name']}: {row['was'] or 'new'} -> {row['now'] or 'removed'}")
        lines += [
            f"  nodes {kind}: {', '.join(row[kind])}"
            for kind in ("changed", "gone", "new")
            if row.get(kind)
        ]
    if project.dry_run:
        lines.append("nothing was written")
    elif rows:
        lines.append(str(project.file.with_suffix(".lock")))
    else:
        lines.append("nothing changed")
    options.print_result(rows, as_json, lines)
