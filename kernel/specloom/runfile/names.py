"""Names of nodes and outputs: what a run file and a graph may call them."""

import re
from typing import Any

BATCH = "batch"
"""The name under which connections address the data."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LETTERS = "use letters, digits and _, beginning with a letter"


def wrong_name(side: str, name: Any) -> tuple[str, str] | None:
    """What is wrong with the name of one of the ``nodes`` or ``outputs``, and the fix.

    Files are named after outputs, so a name must not be a path.
    """
    well_formed = isinstance(name, str) and NAME.fullmatch(name) is not None
    if side == "nodes" and (name == BATCH or not well_formed):
        return f"{name!r} cannot be a node's name", f"{LETTERS}; {BATCH!r} is the data"
    if side == "outputs" and not well_formed:
        return f"{name!r} cannot be an output's name", f"{LETTERS}: files are named after it"
    return None
