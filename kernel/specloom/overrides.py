"""Overrides of a run file from the command line: ``--set nodes.selector.config.n_select=5``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from specloom import yamlfile
from specloom.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from specloom.yamlfile import Document, Keys

MAY_BE_MADE = ("config", "metadata", "outputs")


def override(document: Document, text: str) -> None:
    """Set one value: ``nodes.selector.config.n_select=5``."""
    place = f"--set {text}"
    path, equals, raw = text.partition("=")
    keys: Keys = ()
    if not equals or not path:
        raise ConfigError(
            f"{text!r} is not of the form path=value",
            where="--set",
            fix="write --set nodes.NAME.config.PARAMETER=VALUE",
        )
    value = yamlfile.parse(raw, place).value
    if not raw.strip():
        value = ""
    here, parts = document.value, path.split(".")
    for part in parts[:-1]:
        if isinstance(here, dict) and part in MAY_BE_MADE and here.get(part) is None:
            here[part] = {}
        key = _key(here, part, keys, place)
        here, keys = here[key], (*keys, key)
    last = parts[-1] if isinstance(here, dict) else _key(here, parts[-1], keys, place)
    here[last], keys = value, (*keys, last)
    for stale in [k for k in document.places if k[: len(keys)] == keys]:
        del document.places[stale]
    document.places[keys] = place


def _key(here: Any, part: str, keys: Keys, place: str) -> str | int:
    """``part`` as a key of the mapping, or an index of the list, that ``here`` is."""
    options = here if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
    known: dict[str, str | int] = {str(option): option for option in options}
    if part not in known:
        raise ConfigError(
            f"{'.'.join(map(str, keys)) or 'the file'} has no {part!r}",
            where=place,
            fix=did_you_mean(part, known, otherwise="shorten the path"),
        )
    return known[part]
