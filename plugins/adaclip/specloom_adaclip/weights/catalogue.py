"""The checkpoints that are known by name: where they are, and which bytes they must be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

TINY = "tiny"
"""The weights that are made here, and not fetched."""


class Known(NamedTuple):
    """A checkpoint.

    Args:
        kind: ``backbone`` or ``adapter``.
        url: Where it is published.
        size: Its length in bytes, where that is known.
        sha256: Its hash; None where nobody could tell us, so that a user must say to trust it.
    """

    kind: str
    url: str
    size: int | None
    sha256: str | None


@cache
def known() -> Mapping[str, Known]:
    """The list that ships with the plugin, ``catalogue.json``."""
    text = files("specloom_adaclip.weights").joinpath("catalogue.json").read_text("utf-8")
    return {name: Known(**entry) for name, entry in json.loads(text).items()}


def how_to_get(name: str) -> str:
    """The command that puts these weights into the store."""
    if name not in known():
        return f"specloom weights add {name} FILE"
    trust = "" if known()[name].sha256 else " --trust-first-use"
    return f"specloom weights fetch {name}{trust}"
