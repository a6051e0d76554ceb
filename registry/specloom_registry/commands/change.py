"""``specloom plugins init``, ``add``, ``change``, ``remove``, ``lock``, ``update`` and ``sync``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specloom_registry.commands import options

if TYPE_CHECKING:
    from specloom_registry.project.project import Change, Project


@click.command()
@click.argument("plugins", metavar="PLUGIN[=PLACE][@TAG]...", nargs=-1, required=True)
@options.source
@options.changing
def add(
    plugins: tuple[str, ...],
    git: str | None,
    tag: str | None,
    subdir: str | None,
    tag_pattern: str | None,
    path: str | None,
    as_json: bool,
    **project_options: Any,
) -> None:
    """Add plugins to the manifest, lock them and fetch them.

    PLACE is a repository's URL or the plugin's folder: rx=https://host/rx.git@v1.0.0, lab=../lab.
    The options are for every PLUGIN; {name} in --subdir, --tag-pattern and --path is its name.
    Without a place, a plugin comes from the index, with the plugins that it needs.
    """
    from specloom_registry.project import additions

    project = options.project(**project_options, may_create=True)
    shared = {"git": git, "tag": tag, "subdir": subdir, "tag-pattern": tag_pattern, "path": path}
    named = [additions.parse_plugin(text) for text in plugins]
    additions.check_new(project.text(), project.file, [name for name, _ in named])
    sources = {}
    from_index = []
    for name, own in named:
        values = {key: value.replace("{name}", name) for key, value in shared.items() if value}
        values |= own
        sources[name] = additions.complete_source(project, name, values)
        if not values.keys() & {"git", "path"}:
            from_index.append(name)
    for name in additions.find_missing(project, from_index):
        if name not in sources:
            sources[name] = additions.complete_source(project, name, {})
    revise = partial(_with_plugins, project.file, sources)
    _print_change(project, project.relock(revise), as_json)


def _with_plugins(file: Path, sources: Mapping[str, Mapping[str, str]], text: str) -> str:
    """Return a manifest's text with further plugins."""
    from specloom_registry.model import edit
    from specloom_registry.project import additions

    additions.check_new(text, file, list(sources))
    for name, source in sources.items():
        text = edit.add(text, name, source)
    return text


@click.command()
@click.argument("plugin")
@options.source
@options.changing
def change(
    plugin: str,
    git: str | None,
    tag: str | None,
    subdir: str | None,
    tag_pattern: str | None,
    path: str | None,
    as_json: bool,
    **project_options: Any,
) -> None:
    """Change where PLUGIN comes from, lock it and fetch it; an empty value removes a key."""
    from specloom_registry.model import edit
    from specloom_registry.project import additions

    project = options.project(**project_options)
    values = {"git": git, "tag": tag, "subdir": subdir, "tag-pattern": tag_pattern, "path": path}
    wanted = {key: value for key, value in values.items() if value is not None}
    if not wanted:
        raise click.UsageError("name what changes: --git, --tag, --subdir, --tag-pattern, --path")
    present = project.find_line(plugin)
    source = additions.changed_source(project, plugin, wanted)
    revise = partial(edit.replace, name=plugin, source=source)
    made = project.relock(revise)
    made.notices += additions.removed_commit(present, source, plugin)
    _print_change(project, made, as_json)


@click.command()
@click.option("--installed", is_flag=True, help="The installed plugins count, too.")
@options.changing
def init(installed: bool, as_json: bool, **project_options: Any) -> None:
    """Write a manifest and its lock into this folder; with --installed also into a present one."""
    from specloom.contract.errors import ConfigError
    from specloom_registry.model import edit

    manifest = project_options.pop("manifest") or Path("plugins.yaml")
    project = options.project(manifest, **project_options, may_create=True)
    if project.file.exists() and not installed:
        what = f"E-NAME {project.file} exists"
        raise ConfigError(what, fix="add plugins to it: specloom plugins add, or use --installed")
    revise = edit.with_installed
    if not installed:
        revise = edit.without_installed
    _print_change(project, project.relock(revise), as_json)


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
    _print_change(project, project.relock(partial(edit.remove, name=plugin)), as_json)


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
    made = project.relock(fresh=fresh)
    file = project.file.with_suffix(".lock")
    current = lockfile.is_current(file, made.new)
    _print_change(project, made, as_json)
    if check and not current:
        click.echo(f"{file} is out of date\n  fix: run: specloom plugins lock", err=True)
        sys.exit(1)


@click.command()
@click.argument("plugins", metavar="[PLUGIN[@TAG]]...", nargs=-1)
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
    """Update plugins, or all from Git, to newer tags or to TAG, together, and lock them."""
    from specloom_registry.project import additions

    project = options.project(**project_options)
    wanted = dict(text.partition("@")[::2] for text in plugins)
    tags = additions.newer_tags(project, wanted, to, moved=moved)
    named = [name for name in tags if to or wanted.get(name)]
    revise = partial(
        additions.with_tags, file=project.file, tags=tags, downgrade=downgrade, named=named
    )
    accept = list(tags) if moved else []
    _print_change(project, project.relock(revise, accept), as_json)


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


def _print_change(project: Project, made: Change, as_json: bool) -> None:
    options.print_warnings(made.notices)
    rows = made.rows()
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
