"""``specloom plugins``: the group, ``list`` and ``describe``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specloom_registry.base.faults import parse_json
from specloom_registry.commands import change, inspect, maintain, options

if TYPE_CHECKING:
    from specloom.plugins import Plugins


@click.group()
def plugins() -> None:
    """Add, lock, fetch, list and check plugins."""


for one in (
    *(change.add, change.remove, change.lock, change.update, change.sync),
    *(inspect.info, inspect.outdated, inspect.verify, inspect.why),
    *(maintain.vendor, maintain.gc, maintain.test),
):
    plugins.add_command(one)


@plugins.command("list")
@options.asking
def list_(manifest: Path | None, as_json: bool, **_: Any) -> None:
    """List plugins: name, version, module and folder; of a broken one, why."""
    from specloom.plugins import find_manifest
    from specloom_registry.base.table import table
    from specloom_registry.catalogue import listing

    file = manifest or find_manifest(Path("run.yaml"))
    rows = listing.installed_plugins() if file is None else listing.manifest_plugins(file)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif rows:
        columns = ("name", "version", "module", "path")
        click.echo(table([columns, *([row[column] for column in columns] for row in rows)]))
    else:
        click.echo(f"{file} names no plugin" if file else "no plugin is installed")
    if not as_json:
        for row in rows:
            if row["error"]:
                click.echo(f"\n{row['name']} is broken: {row['error']}", err=True)


@plugins.command()
@click.argument("plugin")
@options.asking
@click.option("--write", is_flag=True, help="Write nodes.json, and the README's port tables.")
@click.option("--check", is_flag=True, help="Tell whether both are up to date.")
def describe(
    plugin: str, manifest: Path | None, write: bool, check: bool, dry: bool, **_: Any
) -> None:
    """Describe what PLUGIN offers, from its classes, as JSON."""
    if write and check:
        raise click.UsageError("--write and --check exclude each other.")
    known = _plugins(manifest)  # before torch: so that an installed copy is no hindrance yet

    from specloom.contract.errors import PluginError
    from specloom.execution.files import write_file, write_json
    from specloom.testing.describing import describe_plugin
    from specloom_registry.catalogue.readme_tables import readme_of, with_ports

    found = json.loads(json.dumps(describe_plugin(known, plugin)))
    if not write and not check:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    file = _descriptor(known, plugin)
    if write and _stored(file):
        what = f"plugin {plugin!r} lies in the store, where nothing is ever changed"
        raise PluginError(what, fix="name its own folder with 'path:', and describe it there")
    readme = readme_of(file)
    text = _text(readme)
    if write:
        if not dry:
            write_json(file, found)
            new = with_ports(text, plugin, found)
            if new != text:
                write_file(readme, new.encode())
        click.echo(f"{file}: {len(found)} {'would be described' if dry else 'described'}")
        return
    wrong = _outdated(file, found)
    if with_ports(text, plugin, found) != text:
        wrong.append(f"the port tables of {readme} are out of date")
    if wrong:
        lines = "".join(f"\n  {line}" for line in wrong)
        fix = f"specloom plugins describe {plugin} --write"
        click.echo(f"{file} is not what the classes are:{lines}\n  fix: {fix}", err=True)
        sys.exit(1)
    click.echo(f"{file}: up to date")


def _outdated(file: Path, found: Any) -> list[str]:
    """What a shipped descriptor says unlike the classes."""
    try:
        shipped = parse_json(file.read_text("utf-8"))
    except FileNotFoundError:
        return ["it does not exist"]
    except (ValueError, OSError) as e:
        return [f"it cannot be read: {e}"]
    return list(differences(shipped, found))


def differences(shipped: Any, now: Any, path: str = "") -> Iterator[str]:
    """Where two descriptors differ, one line each.

    >>> list(differences({"RX": {"doc": "a"}}, {"RX": {"doc": "b"}, "LRX": {}}))
    ["RX.doc is 'a', should be 'b'", 'LRX is missing']
    """
    if not isinstance(shipped, Mapping) or not isinstance(now, Mapping):
        if shipped != now or type(shipped) is not type(now):
            yield f"{path or 'it'} is {shipped!r}, should be {now!r}"
        return
    for key in [*shipped, *(key for key in now if key not in shipped)]:
        inner = f"{path}.{key}" if path else str(key)
        if key not in now:
            yield f"{inner} is no longer there"
        elif key not in shipped:
            yield f"{inner} is missing"
        else:
            yield from differences(shipped[key], now[key], inner)


def _text(readme: Path) -> str:
    """The text of a README; empty where there is none.

    Raises:
        PluginError: It cannot be read.
    """
    from specloom.contract.errors import PluginError

    try:
        return readme.read_text("utf-8") if readme.is_file() else ""
    except OSError as e:
        what = f"{readme} cannot be read: {e.strerror}"
        raise PluginError(what, fix="make it readable for this user") from e
    except UnicodeDecodeError as e:
        raise PluginError(f"{readme} is not UTF-8 text", fix="save it as UTF-8") from e


def _plugins(manifest: Path | None) -> Plugins:
    from specloom.plugins import Plugins
    from specloom_registry import resolve_plugins

    if manifest is not None:
        return Plugins(resolve_plugins(manifest), manifest)
    return Plugins.for_file(Path("run.yaml"))


def _stored(file: Path) -> bool:
    from specloom_registry.store.store import default_root

    return file.is_relative_to(default_root())


def _descriptor(known: Plugins, plugin: str) -> Path:
    """The place of the plugin's ``nodes.json``: within its top-level package."""
    from specloom.contract.errors import PluginError

    top = sys.modules[known.need(plugin).__name__.partition(".")[0]]
    if not hasattr(top, "__path__"):
        raise PluginError(
            f"plugin {plugin!r} is the single file {top.__file__}, which can ship no descriptor",
            fix="make it a package: a folder with __init__.py",
        )
    return Path(str(top.__file__)).parent / "nodes.json"
