"""Names for files that are not complete yet."""

from __future__ import annotations

import os
import re


def process_tag() -> str:
    """Host, process and a random part, such as ``node7-4711-9f2c11d0``.

    A file or folder with it in its name is of this process alone, also in a folder that several
    machines or containers share.
    """
    import platform

    host = re.sub(r"\W", "_", platform.node(), flags=re.ASCII)[:32]
    return f"{host}-{os.getpid()}-{os.urandom(4).hex()}"


def temporary_name(name: str) -> str:
    """A hidden name beside ``name``, cut so that no file system refuses it."""
    return f".{name[:40]}.{process_tag()}"
