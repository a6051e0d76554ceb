"""Keys of tasks, which no other client of a scheduler uses."""

from __future__ import annotations

from itertools import count

from specloom import process_tag

_numbers = count()
_tag = process_tag()


def new_key(verb: str) -> str:
    """A key for a task; of two tasks with one key a scheduler does the first one only."""
    return f"specloom-{verb}-{_tag}-{next(_numbers)}"
