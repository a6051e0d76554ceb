"""Everything that was recorded, as series over steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

#: By ``<stage>/<node>/<name>``, steps and values.
Series: TypeAlias = dict[str, list[list[float]]]
POINTS = 400


class History:
    """Keeps what is recorded, phase by phase.

    Args:
        earlier: What an earlier part of the run recorded, where this one resumes it.
    """

    def __init__(self, earlier: list[dict[str, Any]] | None = None) -> None:
        self.phases: list[dict[str, Any]] = list(earlier or [])
        self._now: Series = {}
        self._started = False
        self._count = -1

    def phase_started(self, name: str) -> None:
        """A phase begins; one that goes on keeps what it recorded before."""
        self._count += 1
        kept = [one for one in self.phases if one["number"] == self._count and one["name"] == name]
        self._now = kept[0]["series"] if kept else {}
        if not kept:
            self.phases.append({"number": self._count, "name": name, "series": self._now})

    def recorded(self, step: int, values: Mapping[str, float]) -> None:
        """Add numbers; those of a step that is run again take the place of the earlier ones."""
        for name, value in values.items():
            steps, numbers = self._now.setdefault(name, [[], []])
            while steps and steps[-1] >= step:
                steps.pop()
                numbers.pop()
            steps.append(step)
            numbers.append(float(value))

    def told(self) -> dict[str, Any]:
        """The series of more than one step, thinned where they are very long."""
        phases = []
        for one in self.phases:
            series = {k: thinned(v) for k, v in one["series"].items() if len(v[0]) > 1}
            if series:
                phases.append({**one, "series": series})
        return {"history": phases}


def thinned(series: list[list[float]]) -> list[list[float]]:
    """A series of at most ``POINTS`` points, with the last one."""
    steps, values = series
    every = -(-len(steps) // POINTS)
    at = sorted({*range(0, len(steps), every), len(steps) - 1})
    return [[steps[i] for i in at], [values[i] for i in at]]
