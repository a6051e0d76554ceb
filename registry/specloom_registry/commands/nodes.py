"""``specloom nodes`` and ``specloom schema``: what plugins offer, for people and for editors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the descriptors as JSON.")
def nodes(name: str | None, as_json: bool) -> None:
    """List what plugins offer, or describe NAME, a plugin or a node."""
    from specloom import Plugins
    from specloom_registry.base.table import table
    from specloom_registry.catalogue import descriptors

    plugins = Plugins.for_file(Path("run.yaml"))
    if plugins.manifest:
        click.echo(f"plugins of {plugins.manifest}; installed ones are ignored", err=True)
    if name and name not in plugins.modules:
        found = dict([descriptors.find_one(plugins, name)])
    else:
        every = descriptors.descriptors(plugins).items()
        found = {label: one for label, one in every if name in (None, label.partition(".")[0])}
        name = None
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif name:
        ((label, one),) = found.items()
        click.echo(f"{label}\n\n{one['doc']}\n\n{descriptors.port_table(one)}\n")
        params = one.get("params", {}).items()
        rows = [[key, _type(param), _default(param)] for key, param in params]
        if rows:
            click.echo(table([["parameter", "type", "default"], *rows]))
        for old, now in (*one.get("renamed", {}).items(), *_formerly(label, one)):
            click.echo(f"\n{old} is the old name of {now}")
    elif found:
        rows = [[label, one["kind"], one["doc"].partition("\n")[0]] for label, one in found.items()]
        click.echo(table([["name", "kind", "what"], *rows]))
    else:
        click.echo("it offers nothing" if plugins.modules else "no plugin is installed")


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="The file to write instead.")
def schema(out: Path | None) -> None:
    """Print the JSON Schema of run files, for editors that complete and check them."""
    from specloom import Plugins
    from specloom.execution.files import write_json
    from specloom_registry.catalogue import descriptors
    from specloom_registry.catalogue import json_schema as made

    found = made.schema(descriptors.descriptors(Plugins.for_file(Path("run.yaml"))))
    if out is None:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        write_json(out, found)


def _formerly(label: str, one: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(f"{label.partition('.')[0]}.{old}", label) for old in one.get("formerly", ())]


def _type(param: Mapping[str, Any]) -> str:
    if "anyOf" in param:
        return " or ".join(_type(one) for one in param["anyOf"])
    if "enum" in param:
        return " or ".join(map(repr, param["enum"]))
    inner = param.get("items")
    return f"{param.get('type', 'any')}" + (f" of {_type(inner)}" if inner else "")


def _default(param: Mapping[str, Any]) -> str:
    return json.dumps(param["default"]) if "default" in param else "required"
