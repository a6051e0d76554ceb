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
    path, equals, raw = text.partition("=")
    if not equals or not path:
        what, fix = "is not of the form path=value", "write --set nodes.NAME.config.PARAMETER=VALUE"
        raise ConfigError(f"{text!r} {what}", where="--set", fix=fix)
    keys: Keys = ()
    place, here = f"--set {text}", document.value
    value = yamlfile.parse(raw, place).value if raw.strip() else ""
    *above, last = path.split(".")
    for part in above:
        if isinstance(here, dict) and part in MAY_BE_MADE and here.get(part) is None:
            here[part] = {}
        key = _key(here, part, keys, place)
        here, keys = here[key], (*keys, key)
    key = last if isinstance(here, dict) else _key(here, last, keys, place)
    here[key], keys = value, (*keys, key)
    kept = {old: line for old, line in document.places.items() if old[: len(keys)] != keys}
    document.places = {**kept, keys: place}


def _key(here: Any, part: str, keys: Keys, place: str) -> str | int:
    """``part`` as a key of the mapping, or an index of the list, that ``here`` is."""
    options = here if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
    known: dict[str, str | int] = {str(option): option for option in options}
    if part not in known:
        what = f"{'.'.join(map(str, keys)) or 'the file'} has no {part!r}"
        fix = did_you_mean(part, known, otherwise="shorten the path")
        raise ConfigError(what, where=place, fix=fix)
    return known[part]
