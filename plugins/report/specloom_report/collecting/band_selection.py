"""Which bands selectors chose: their weights, and their records of the choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import Stateful
from specloom_report.collecting.arrays import detach, to_numpy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from specloom import Graph, Node

WEIGHT_PORTS = ("weights", "selection_weights")
RECORD_PORT = "band_info"
WAVELENGTH_PORT = "wavelengths"
RELEVANCE = "band_scores"
"""The entry of a selector's state with the score of each band."""

MAX_EPOCHS = 256
DEFAULT_SELECTED = 3


class BandSelection:
    """Stores the last weights of each selector, and those after each epoch.

    A selector is a node with an output ``weights`` or ``selection_weights`` of (C,) or (K, C), or
    with an output ``band_info``, a record of the bands chosen.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._weight_ports: dict[str, str] = {}
        for name, node in graph.nodes.items():
            port = _weight_port(node)
            if port is not None:
                self._weight_ports[name] = port
        self._weights: dict[str, Any] = {}
        self._records: dict[str, Any] = {}
        self._wavelengths: Any = None
        self._epochs: dict[str, list[NDArray[Any]]] = {}
        self._every = 1

    def node_ran(self, node: str, outputs: Mapping[str, Any], seconds: float) -> None:
        """Store the weights, the record and the wavelengths among a node's outputs."""
        weight_port = self._weight_ports.get(node)
        if weight_port is not None and outputs.get(weight_port) is not None:
            self._weights[node] = detach(outputs[weight_port])
        if outputs.get(RECORD_PORT) is not None:
            self._records[node] = outputs[RECORD_PORT]
        if self._wavelengths is None and outputs.get(WAVELENGTH_PORT) is not None:
            self._wavelengths = detach(outputs[WAVELENGTH_PORT])

    def epoch_ended(self, epoch: int) -> None:
        """Store the weights after an epoch, of every few where there are very many."""
        if epoch % self._every:
            return
        for node, weights in self._weights.items():
            rows = self._epochs.setdefault(node, [])
            rows.append(_weight_per_band(to_numpy(weights)))
            if len(rows) > MAX_EPOCHS:
                rows[:] = rows[::2]
                self._every *= 2

    def to_dict(self) -> dict[str, Any]:
        """Return the selections, and pictures of the weights over epochs as ``arrays``."""
        wavelengths = None
        if self._wavelengths is not None:
            wavelengths = to_numpy(self._wavelengths).round(3).tolist()
        selections = []
        arrays = {}
        for node in dict.fromkeys([*self._weights, *self._records]):
            selection: dict[str, Any] = {"node": node, "wavelengths": None, "weights": None}
            if node in self._weights:
                selection |= self._describe_weights(node, wavelengths)
            relevance = self._relevance(node)
            if relevance is not None:
                selection["relevance"] = relevance
                selection["wavelengths"] = wavelengths
            if node in self._records:
                selection["record"] = _describe_record(self._records[node])
                selection["wavelengths"] = wavelengths
            selections.append(selection)
            rows = self._epochs.get(node, [])
            if len(rows) > 1:
                arrays[f"epochs/{node}"] = _epochs_as_levels(rows)
        return {"selections": selections, "arrays": arrays}

    def _relevance(self, node: str) -> list[float] | None:
        """Return the score of each band by which a fitted selector chose; None without."""
        selector = self._graph.nodes[node]
        if not isinstance(selector, Stateful):
            return None
        scores = selector.state().get(RELEVANCE)
        if scores is None:
            return None
        values = np.nan_to_num(to_numpy(scores).reshape(-1), posinf=0.0, neginf=0.0)
        return [float(f"{value:.6g}") for value in values.tolist()]

    def _describe_weights(self, node: str, wavelengths: Sequence[float] | None) -> dict[str, Any]:
        weights = to_numpy(self._weights[node])
        if wavelengths is not None and len(wavelengths) != weights.shape[-1]:
            wavelengths = None
        chosen = []
        for band, weight in self._chosen_bands(node, weights):
            nm = None
            if wavelengths is not None:
                nm = wavelengths[band]
            chosen.append({"band": band, "nm": nm, "weight": round(weight, 6)})
        rows = np.atleast_2d(weights).round(6).tolist()
        return {"wavelengths": wavelengths, "weights": rows, "chosen": chosen}

    def _chosen_bands(self, node: str, weights: NDArray[Any]) -> list[tuple[int, float]]:
        """Return the bands of the largest weights: of each channel, or as many as are selected."""
        if weights.ndim == 2:
            return [(int(row.argmax()), float(row.max())) for row in weights]
        count = int(getattr(self._graph.nodes[node], "n_select", DEFAULT_SELECTED))
        order = np.argsort(-weights, kind="stable")[:count]
        return [(int(band), float(weights[band])) for band in order]


def _weight_port(node: Node) -> str | None:
    for port, spec in node.outputs.items():
        if port in WEIGHT_PORTS and spec.axes and len(spec.names) in (1, 2):
            return port
    return None


def _weight_per_band(weights: NDArray[Any]) -> NDArray[Any]:
    if weights.ndim == 2:
        weights = weights.sum(0)
    return np.asarray(np.nan_to_num(weights))


def _epochs_as_levels(rows: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    relative = np.stack(rows) / max(float(np.max(rows)), 1e-30)
    return (relative.clip(0, 1) * 255).astype(np.uint8)


def _describe_record(record: Any) -> dict[str, Any]:
    """Return what a table can show; of a record for each image the first, and their number."""
    first: Mapping[str, Any] = record
    if isinstance(record, list):
        first = {}
        if record:
            first = record[0]
    described = {}
    for name, value in first.items():
        if isinstance(value, str | int | float | list):
            described[name] = _rounded(value)
    if isinstance(record, list):
        described["images"] = len(record)
    return described


def _rounded(value: Any) -> Any:
    """Return numbers to four significant digits, also within lists."""
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return value
