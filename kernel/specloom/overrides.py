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
    if not equals or not path:
        raise ConfigError(
            f"{text!r} is not of the form path=value",
            where="--set",
            fix="write --set nodes.NAME.config.PARAMETER=VALUE",
        )
    value = yamlfile.parse(raw, place).value
    if value is None and raw.strip() not in ("null", "~"):
        value = ""
    keys: Keys = tuple(int(part) if part.isdigit() else part for part in path.split("."))
    here = document.value
    for i, key in enumerate(keys[:-1]):
        if isinstance(here, dict) and key in MAY_BE_MADE:
            here = here.setdefault(key, {})
            continue
        here = _step(here, key, ".".join(map(str, keys[:i])) or "the file", place)
    last = keys[-1]
    if isinstance(here, list):
        _step(here, last, path, place)
    elif not isinstance(here, dict):
        raise ConfigError(f"nothing can be set in {path}", where=place, fix="shorten the path")
    here[last] = value
    stale = [k for k in document.places if k[: len(keys)] == keys]
    for k in stale:
        del document.places[k]
    document.places[keys] = place


def _step(here: Any, key: str | int, inside: str, place: str) -> Any:
    options = here if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
    if key not in options:
        raise ConfigError(
            f"{inside} has no {key!r}",
            where=place,
            fix=did_you_mean(str(key), map(str, options), otherwise="shorten the path"),
        )
    return here[key]
