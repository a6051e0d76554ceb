"""``specloom plugins``: the group, ``list`` and ``describe``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from specloom.contract.errors import printable
from specloom_registry.base.faults import parse_json
from specloom_registry.commands import change, inspect, maintain, options

if TYPE_CHECKING:
    from specloom.plugins import Plugins


@click.group()
def plugins() -> None:
    """Add, lock, fetch, list and check plugins."""


COMMANDS = (
    change.init,
    change.add,
    change.change,
    change.remove,
    change.lock,
    change.update,
    change.sync,
    inspect.info,
    inspect.outdated,
    inspect.verify,
    inspect.why,
    maintain.vendor,
    maintain.gc,
    maintain.test,
)
for command in COMMANDS:
    plugins.add_command(command)


@plugins.command("list")
@options.common
def list_(manifest: Path | None, as_json: bool, **_: Any) -> None:
    """List plugins with version, module and folder, and the errors of broken ones."""
    from specloom.plugins import find_manifest
    from specloom_registry.base.table import table
    from specloom_registry.catalogue import listing

    file = manifest or find_manifest(Path("run.yaml"))
    rows = listing.manifest_plugins(file) if file else listing.installed_plugins()
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if rows:
        columns = ["name", "version", "module", "path"]
        body = [[row[column] for column in columns] for row in rows]
        click.echo(table([columns, *body]))
    else:
        click.echo(f"{file} names no plugin" if file else "no plugin is installed")
    for row in rows:
        if row["error"]:
            click.echo(printable(f"\n{row['name']} is broken: {row['error']}"), err=True)


@plugins.command()
@click.argument("plugin")
@options.common
@click.option("--write", is_flag=True, help="Write nodes.json, port tables and public names.")
@click.option("--check", is_flag=True, help="Check that they are up to date; exit with 1 if not.")
def describe(
    plugin: str, manifest: Path | None, write: bool, check: bool, dry: bool, **_: Any
) -> None:
    """Describe what PLUGIN offers, from its classes, as JSON."""
    if write and check:
        raise click.UsageError("--write and --check exclude each other.")
    known = _plugins(manifest)

    from specloom.testing.describing import describe_plugin

    found = json.loads(json.dumps(describe_plugin(known, plugin)))
    if not write and not check:
        click.echo(printable(json.dumps(found, indent=2, ensure_ascii=False)))
        return
    file = _descriptor_file(known, plugin)
    texts = _generated_texts(known, plugin, file, found)
    if write:
        _write_description(plugin, file, found, texts, dry=dry)
    else:
        _check_description(plugin, file, found, texts)


class _Generated(NamedTuple):
    """A file of a plugin of which a part follows from its classes."""

    what: str
    file: Path
    old_text: str
    new_text: str


def _generated_texts(
    known: Plugins, plugin: str, file: Path, found: dict[str, Any]
) -> list[_Generated]:
    """Return the README with its port tables, and ``__init__.py`` with the public names."""
    from specloom.testing.describing import KINDS
    from specloom.testing.exporting import with_exports
    from specloom_registry.catalogue.readme_tables import readme_of, with_ports

    readme = readme_of(file)
    package = file.with_name("__init__.py")
    tables = _read_text(readme)
    names = _read_text(package)
    offered = {
        label.partition(".")[2]: target for label, target in known.offers(KINDS, plugin).items()
    }
    return [
        _Generated("port tables", readme, tables, with_ports(tables, plugin, found)),
        _Generated("public names", package, names, with_exports(names, plugin, offered)),
    ]


def _write_description(
    plugin: str, file: Path, found: dict[str, Any], texts: list[_Generated], *, dry: bool
) -> None:
    """Write nodes.json, the port tables of the README and the public names of the package.

    Raises:
        PluginError: The plugin lies in the store.
    """
    from specloom.contract.errors import PluginError
    from specloom.execution.files import write_file, write_json

    if _is_in_store(file):
        what = f"plugin {plugin!r} lies in the store, where nothing is ever changed"
        raise PluginError(what, fix="name its own folder with 'path:', and describe it there")
    if not dry:
        write_json(file, found)
        for text in texts:
            if text.new_text != text.old_text:
                write_file(text.file, text.new_text.encode())
    word = "would be described" if dry else "described"
    click.echo(f"{file}: {len(found)} {word}")


def _check_description(
    plugin: str, file: Path, found: dict[str, Any], texts: list[_Generated]
) -> None:
    """Compare what was generated with the classes; exit with 1 where it differs."""
    problems = _descriptor_problems(file, found)
    for text in texts:
        if text.new_text != text.old_text:
            problems.append(f"the {text.what} of {text.file} are out of date")
    if not problems:
        click.echo(f"{file}: up to date")
        return
    lines = "".join(f"\n  {problem}" for problem in problems)
    fix = f"specloom plugins describe {plugin} --write"
    click.echo(f"{file} does not match the classes:{lines}\n  fix: {fix}", err=True)
    sys.exit(1)


def _descriptor_problems(file: Path, found: Any) -> list[str]:
    """Return how a shipped descriptor differs from the classes."""
    try:
        shipped = parse_json(file.read_text("utf-8"))
    except FileNotFoundError:
        return ["it does not exist"]
    except (ValueError, OSError) as e:
        return [f"it cannot be read: {e}"]
    return list(differences(shipped, found))


def differences(shipped: Any, now: Any, path: str = "") -> Iterator[str]:
    """Yield how two descriptors differ, one line for each key.

    >>> list(differences({"RX": {"doc": "a"}}, {"RX": {"doc": "b"}, "LRX": {}}))
    ["RX.doc is 'a', should be 'b'", 'LRX is missing']
    """
    if not isinstance(shipped, Mapping) or not isinstance(now, Mapping):
        if shipped != now or type(shipped) is not type(now):
            yield f"{path or 'it'} is {shipped!r}, should be {now!r}"
        return
    for key in dict.fromkeys([*shipped, *now]):
        inner = f"{path}.{key}" if path else str(key)
        if key not in now:
            yield f"{inner} is no longer there"
        elif key not in shipped:
            yield f"{inner} is missing"
        else:
            yield from differences(shipped[key], now[key], inner)


def _read_text(readme: Path) -> str:
    """Return the text of a README; empty if there is none.

    Raises:
        PluginError: It cannot be read.
    """
    from specloom.contract.errors import PluginError

    try:
        if readme.is_file():
            return readme.read_text("utf-8")
    except OSError as e:
        what = f"{readme} cannot be read: {e.strerror}"
        raise PluginError(what, fix="make it readable for this user") from e
    except UnicodeDecodeError as e:
        raise PluginError(f"{readme} is not UTF-8 text", fix="save it as UTF-8") from e
    return ""


def _plugins(manifest: Path | None) -> Plugins:
    from specloom.plugins import Plugins
    from specloom_registry.importing.activate import activate

    if manifest is not None:
        return Plugins(activate(manifest), manifest)
    return Plugins.for_file(Path("run.yaml"))


def _is_in_store(file: Path) -> bool:
    from specloom_registry.store.store import default_root

    return file.is_relative_to(default_root())


def _descriptor_file(known: Plugins, plugin: str) -> Path:
    """Return the path of the plugin's ``nodes.json``, within its top-level package."""
    from specloom.contract.errors import PluginError

    top = sys.modules[known.need(plugin).__name__.partition(".")[0]]
    if not hasattr(top, "__path__"):
        raise PluginError(
            f"plugin {plugin!r} is the single file {top.__file__}, which can ship no descriptor",
            fix="make it a package: a folder with __init__.py",
        )
    return Path(str(top.__file__)).parent / "nodes.json"
