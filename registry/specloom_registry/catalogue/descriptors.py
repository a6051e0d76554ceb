"""What plugins offer, from the ``nodes.json`` that each ships, so that none need be imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from specloom import PluginError, Plugins, SpecloomError, did_you_mean
from specloom_registry.base.faults import parse_json


def descriptors(plugins: Plugins, names: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """Descriptors by full name, of all plugins or of some; broken plugins are passed over."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(plugins.modules if names is None else names):
        try:
            one = _descriptor(plugins, name)
        except (SpecloomError, ValueError, OSError):
            if names is not None:
                raise
            continue
        found |= {f"{name}.{key}": dict(value) for key, value in one.items()}
    return found


def _descriptor(plugins: Plugins, name: str) -> Mapping[str, Mapping[str, Any]]:
    """What the plugin ships, or, where it ships nothing, what its classes are."""
    found: Mapping[str, Mapping[str, Any]]
    if file := plugins.descriptor(name):
        found = parse_json(file.read_text("utf-8"))
    else:
        from specloom.testing.describing import describe_plugin

        found = describe_plugin(plugins, name)
    return found


def find_one(plugins: Plugins, name: str) -> tuple[str, dict[str, Any]]:
    """The descriptor behind ``plugin.Name`` or a bare ``Name``.

    Raises:
        PluginError: Nobody offers it, or several do.
    """
    found = descriptors(plugins)
    full = [label for label, one in found.items() if name in _names(label, one)]
    if len(full) == 1:
        return full[0], found[full[0]]
    if full:
        raise PluginError(f"{name!r} is offered by several plugins", fix=f"use {' or '.join(full)}")
    short = {label.partition(".")[2]: label for label in found}
    fix = did_you_mean(name.rpartition(".")[2], short, otherwise="install a plugin")
    raise PluginError(f"no plugin offers {name!r}", fix=fix)


def _names(label: str, one: Mapping[str, Any]) -> list[str]:
    """What may be asked for: the full name or the bare one, also those it had before."""
    plugin, _, bare = label.partition(".")
    return [form for key in (bare, *one.get("formerly", ())) for form in (key, f"{plugin}.{key}")]


def port_table(one: Mapping[str, Any]) -> str:
    """The ports of one descriptor as a Markdown table."""
    rows = ["| port | side | axes | type | what |", "|---|---|---|---|---|"]
    for side in ("inputs", "outputs"):
        for name, port in one.get(side, {}).items():
            axes = port.get("axes")
            shape = "-" if axes is None else f"`{axes}`" if axes else "scalar"
            extra = [
                word for word in ("optional", "for_fit", "many", "per_stage") if port.get(word)
            ]
            unit = f" [{port['unit']}]" if port.get("unit") else ""
            what = port.get("doc", "") + unit + (f" ({', '.join(extra)})" if extra else "")
            kind = port.get("dtype", "float32")
            rows.append(f"| `{name}` | {side[:-1]} | {shape} | {kind} | {what} |")
    return "\n".join(rows)
