"""``specloom nodes`` and ``specloom schema``: what plugins offer, for people and for editors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from specloom.contract.errors import printable


def _complete_names(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """The plugins, and what they offer, whose names begin as ``incomplete`` does."""
    from specloom import Plugins
    from specloom_registry.catalogue import descriptors

    plugins = Plugins.for_file(Path("run.yaml"))
    names = [*plugins.modules, *descriptors.read_descriptors(plugins)]
    return [name for name in names if name.startswith(incomplete)]


@click.command()
@click.argument("name", required=False, shell_complete=_complete_names)
@click.option("--json", "as_json", is_flag=True, help="Print the descriptors as JSON.")
def nodes(name: str | None, as_json: bool) -> None:
    """List what plugins offer, or describe NAME, a plugin or a node."""
    from specloom import Plugins
    from specloom_registry.catalogue import descriptors

    plugins = Plugins.for_file(Path("run.yaml"))
    if plugins.manifest:
        click.echo(f"plugins of {plugins.manifest}; installed ones are ignored", err=True)
    one_node = name is not None and name not in plugins.modules
    if one_node:
        reference, descriptor = descriptors.find_descriptor(plugins, str(name))
        found = {reference: descriptor}
    else:
        found = descriptors.read_descriptors(plugins)
        if name is not None:
            found = {key: one for key, one in found.items() if key.partition(".")[0] == name}
    if as_json:
        click.echo(printable(json.dumps(found, indent=2, ensure_ascii=False)))
    elif one_node:
        _print_node(reference, descriptor)
    elif found:
        _print_list(found)
    elif plugins.modules:
        click.echo("it offers nothing")
    else:
        click.echo("no plugin is installed")


def _print_node(reference: str, descriptor: Mapping[str, Any]) -> None:
    from specloom_registry.base.table import table
    from specloom_registry.catalogue import descriptors

    click.echo(printable(f"{reference}\n\n{descriptor['doc']}\n"))
    if descriptor.get("inputs") or descriptor.get("outputs"):
        click.echo(printable(descriptors.port_table(descriptor) + "\n"))
    parameters = descriptor.get("params", {})
    if parameters:
        rows = [[key, _type(one), _default(one)] for key, one in parameters.items()]
        click.echo(table([["parameter", "type", "default"], *rows]))
    old_names = dict(descriptor.get("renamed", {}))
    plugin = reference.partition(".")[0]
    for old in descriptor.get("formerly", ()):
        old_names[f"{plugin}.{old}"] = reference
    for old, new in old_names.items():
        click.echo(printable(f"\n{old} is the old name of {new}"))


def _print_list(found: Mapping[str, Mapping[str, Any]]) -> None:
    from specloom_registry.base.table import table

    rows = [
        [reference, descriptor["kind"], descriptor["doc"].partition("\n")[0]]
        for reference, descriptor in found.items()
    ]
    click.echo(table([["name", "kind", "what"], *rows]))


@click.command()
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The file to write instead.")
def schema(out: Path | None) -> None:
    """Print the JSON Schema of run files, for editors that complete and check them."""
    from specloom import Plugins
    from specloom.execution.files import write_json
    from specloom_registry.catalogue import descriptors, json_schema

    plugins = Plugins.for_file(Path("run.yaml"))
    found = json_schema.schema(descriptors.read_descriptors(plugins))
    if out is None:
        click.echo(printable(json.dumps(found, indent=2, ensure_ascii=False)))
    else:
        write_json(out, found)


def _type(parameter: Mapping[str, Any]) -> str:
    if "anyOf" in parameter:
        return " or ".join(_type(option) for option in parameter["anyOf"])
    if "enum" in parameter:
        return " or ".join(map(repr, parameter["enum"]))
    kind = parameter.get("type", "any")
    items = parameter.get("items")
    if items:
        return f"{kind} of {_type(items)}"
    return str(kind)


def _default(parameter: Mapping[str, Any]) -> str:
    if "default" in parameter:
        return json.dumps(parameter["default"])
    return "required"
