"""Which bands selectors chose: their weights, and what they say of their choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_report.collecting.arrays import detached, on_host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from specloom import Graph

WEIGHTS = ("weights", "selection_weights")
MOST_EPOCHS = 256


class Selection:
    """Keeps the last weights of each selector, and those after each epoch.

    A selector is a node with an output ``weights`` or ``selection_weights`` of (C,) or (K, C), or
    with an output ``band_info``, a record of the bands chosen.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._last: dict[str, Any] = {}
        self._records: dict[str, Any] = {}
        self._grid: Any = None
        self._epochs: dict[str, list[NDArray[Any]]] = {}
        self._every = 1
        self._ports: dict[str, list[tuple[str, str]]] = {}
        for name, node in graph.nodes.items():
            found = [
                (port, "weights")
                for port, spec in node.outputs.items()
                if port in WEIGHTS and spec.axes and len(spec.names) in (1, 2)
            ][:1]
            if "band_info" in node.outputs:
                found.append(("band_info", "record"))
            if "wavelengths" in node.outputs:
                found.append(("wavelengths", "grid"))
            if found:
                self._ports[name] = found

    def node_ran(self, node: str, outputs: Mapping[str, Any], seconds: float) -> None:
        """Note what a selector gave."""
        for port, what in self._ports.get(node, ()):
            if (value := outputs.get(port)) is None:
                continue
            if what == "weights":
                self._last[node] = detached(value)
            elif what == "record":
                self._records[node] = value
            elif self._grid is None:
                self._grid = detached(value)

    def epoch_ended(self, epoch: int) -> None:
        """Keep the weights after an epoch, of every few where there are very many."""
        if epoch % self._every:
            return
        for node, value in self._last.items():
            rows = self._epochs.setdefault(node, [])
            rows.append(_per_band(on_host(value)))
            if len(rows) > MOST_EPOCHS:
                rows[:] = rows[::2]
                self._every *= 2

    def told(self) -> dict[str, Any]:
        """The selections, and pictures of the weights over epochs as levels."""
        grid = None if self._grid is None else on_host(self._grid).round(3).tolist()
        found, arrays = [], {}
        for node in dict.fromkeys([*self._last, *self._records]):
            one: dict[str, Any] = {"node": node, "wavelengths": None, "weights": None}
            if node in self._last:
                weights = on_host(self._last[node])
                fits = grid is not None and len(grid) == weights.shape[-1]
                one["wavelengths"] = grid if fits else None
                one["weights"] = np.atleast_2d(weights).round(6).tolist()
                one["chosen"] = self._chosen(node, weights, one["wavelengths"])
                if len(rows := self._epochs.get(node, [])) > 1:
                    table = np.stack(rows) / max(float(np.max(rows)), 1e-30)
                    arrays[f"epochs/{node}"] = (table.clip(0, 1) * 255).astype(np.uint8)
            if node in self._records:
                one["record"] = _plain(self._records[node])
                one["wavelengths"] = grid
            found.append(one)
        return {"selections": found, "arrays": arrays}

    def _chosen(self, node: str, weights: NDArray[Any], grid: Any) -> list[dict[str, Any]]:
        """The bands of the largest weights: of each channel, or as many as the node selects."""
        if weights.ndim == 2:
            pairs = [(int(row.argmax()), float(row.max())) for row in weights]
        else:
            count = int(getattr(self._graph.nodes[node], "n_select", 3))
            order = np.argsort(-weights, kind="stable")[:count]
            pairs = [(int(band), float(weights[band])) for band in order]
        return [{"band": b, "nm": grid and grid[b], "weight": round(w, 6)} for b, w in pairs]


def _per_band(weights: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.nan_to_num(weights.sum(0) if weights.ndim == 2 else weights))


def _plain(record: Any) -> dict[str, Any]:
    """The first record where there is one for each image, with what a table can show."""
    each = isinstance(record, list)
    first: Mapping[str, Any] = (record[0] if record else {}) if each else record
    kept = {k: _short(v) for k, v in first.items() if isinstance(v, str | int | float | list)}
    return {**kept, **({"images": len(record)} if each else {})}


def _short(value: Any) -> Any:
    """Numbers to four places, also within lists."""
    if isinstance(value, list):
        return [_short(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
