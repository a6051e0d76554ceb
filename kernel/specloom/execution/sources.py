"""Sources as plain values: a reference and parameters, as a run file would have them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from specloom.contract.errors import raise_all
from specloom.contract.sources import Source
from specloom.plugins import Plugins
from specloom.runfile import parameters


def pack_source(source: Source, plugins: Plugins) -> dict[str, Any]:
    """A source as ``{"type": "cubes.Folder", "config": {...}}``.

    Raises:
        ConfigError: Its class is offered by no plugin.
    """
    reference = plugins.source_reference(type(source))
    return {"type": reference, "config": parameters.values(source)}


def unpack_source(packed: Mapping[str, Any], plugins: Plugins, where: str = "") -> Source:
    """A fresh source that equals the packed one.

    Args:
        packed: What ``pack_source`` gave, also after a round trip through JSON.
        plugins: Where its class is looked up.
        where: What messages name as the place.

    Raises:
        ConfigError: The parameters are not those of the class; ``Problems`` where several are.
        PluginError: No plugin offers the class.
    """
    label, cls = plugins.find(packed["type"], ("sources",), where)
    at = partial(_place_of, where)
    arguments, problems = parameters.checked(cls, label, packed["config"], at)
    raise_all(problems)
    source: Source = cls(**arguments)
    return source


def _place_of(where: str, parameter: str) -> str:
    """The place of a parameter in messages."""
    return where
