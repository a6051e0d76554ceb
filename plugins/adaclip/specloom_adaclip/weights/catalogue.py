"""The checkpoints with a name: where they are published, and their hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

TINY = "tiny"
"""The towers that are made on first use and not downloaded."""
TINY_ADAPTER = "tiny-adapter"
"""Their adapters."""
NEW = "new"
"""Adapters that are drawn at random, to be trained; no file has this name."""


class Checkpoint(NamedTuple):
    """A published file of weights.

    Args:
        kind: ``backbone`` or ``adapter``.
        url: Where it is published.
        size: Its length in bytes; None where that is not known.
        sha256: Its hash; None where no hash is published, so that a user must trust the file.
    """

    kind: str
    url: str
    size: int | None
    sha256: str | None


@cache
def checkpoints() -> Mapping[str, Checkpoint]:
    """Return the list that ships with the plugin, ``catalogue.json``."""
    text = files("specloom_adaclip.weights").joinpath("catalogue.json").read_text("utf-8")
    return {name: Checkpoint(**entry) for name, entry in json.loads(text).items()}


def fetch_command(name: str) -> str:
    """Return the command that puts weights into the store."""
    checkpoint = checkpoints().get(name)
    if checkpoint is None:
        return f"specloom weights add {name} FILE"
    if checkpoint.sha256 is None:
        return f"specloom weights fetch {name} --trust-first-use"
    return f"specloom weights fetch {name}"
