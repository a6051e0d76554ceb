"""How long nodes took, and how large their outputs were."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from specloom_report.collecting.arrays import count_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class NodeCost:
    """The calls of one node, their seconds, and the bytes of its largest outputs."""

    calls: int = 0
    seconds: float = 0.0
    bytes: int = 0


class Costs:
    """Adds up the calls and seconds of each node."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeCost] = {}

    def node_ran(self, node: str, outputs: Mapping[str, Any], seconds: float) -> None:
        """Add one call."""
        cost = self._nodes.get(node)
        if cost is None:
            cost = NodeCost()
            self._nodes[node] = cost
        cost.calls += 1
        cost.seconds += seconds
        cost.bytes = max(cost.bytes, count_bytes(outputs))

    def to_dict(self) -> dict[str, Any]:
        """Return the cost of each node, and the peak memory of the process and of the GPU."""
        nodes = {name: asdict(cost) for name, cost in self._nodes.items()}
        return {"costs": {"nodes": nodes, "peak": peak_memory(), "gpu_peak": peak_gpu_memory()}}


def peak_memory() -> int | None:
    """Return the peak resident memory of this process in bytes; None where it is not known."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform == "darwin":
        return int(peak)
    return int(peak * 1024)  # Linux counts in KiB


def peak_gpu_memory() -> int | None:
    """Return the peak memory that torch allocated on the GPU in bytes; None without a GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return int(torch.cuda.max_memory_allocated())
