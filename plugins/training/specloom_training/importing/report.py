"""What an import did with each part of a file: mapped, renamed, excluded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """What was done, each with its line in the file.

    Args:
        file: The name of the file.
    """

    file: str
    mapped: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)

    def exclude_others(self, values: Mapping[str, Any], known: Collection[str], label: str) -> None:
        """Report the keys of a part that are none of the known ones."""
        for key in values:
            if key not in known:
                self.excluded.append(f"{label}: {key}, which is unknown here")

    def lines(self) -> Iterable[str]:
        """The report as text."""
        for title in ("mapped", "renamed", "excluded"):
            entries: list[str] = getattr(self, title)
            yield f"{title}: {len(entries)}"
            for entry in entries:
                yield f"  {entry}"
