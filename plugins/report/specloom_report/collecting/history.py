"""Everything that was recorded, as series over steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: By ``<stage>/<node>/<name>``, steps and values.
Series: TypeAlias = dict[str, list[list[float]]]
MAX_POINTS = 400


class History:
    """Records named values over steps, phase by phase.

    Args:
        earlier: The phases that an earlier part of the run recorded, where this one resumes it.
    """

    def __init__(self, earlier: Sequence[dict[str, Any]] = ()) -> None:
        self.phases: list[dict[str, Any]] = list(earlier)
        self._series: Series = {}
        self._number = -1

    def phase_started(self, name: str) -> None:
        """Start a phase, or continue the one that was recorded before the run was resumed."""
        self._number += 1
        for phase in self.phases:
            if phase["number"] == self._number and phase["name"] == name:
                self._series = phase["series"]
                return
        self._series = {}
        self.phases.append({"number": self._number, "name": name, "series": self._series})

    def recorded(self, step: int, values: Mapping[str, float]) -> None:
        """Add values; those of a step that is run again replace the earlier ones."""
        for name, value in values.items():
            steps, numbers = self._series.setdefault(name, [[], []])
            while steps and steps[-1] >= step:
                steps.pop()
                numbers.pop()
            steps.append(step)
            numbers.append(float(value))

    def to_dict(self) -> dict[str, Any]:
        """Return the series of more than one step, thinned where they are very long."""
        phases = []
        for phase in self.phases:
            series = {}
            for name, points in phase["series"].items():
                if len(points[0]) > 1:
                    series[name] = thin_series(points)
            if series:
                phases.append({**phase, "series": series})
        return {"history": phases}


def thin_series(series: list[list[float]]) -> list[list[float]]:
    """Return at most ``MAX_POINTS`` evenly chosen points of a series, and its last one."""
    steps, values = series
    every = -(-len(steps) // MAX_POINTS)
    chosen = sorted({*range(0, len(steps), every), len(steps) - 1})
    return [[steps[i] for i in chosen], [values[i] for i in chosen]]
