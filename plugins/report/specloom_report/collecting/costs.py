"""How long nodes took, and how much they put out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from specloom_report.collecting.arrays import nbytes

if TYPE_CHECKING:
    from collections.abc import Mapping


class Costs:
    """Adds up calls and seconds of each node, and keeps the bytes of its largest outputs."""

    def __init__(self) -> None:
        self._nodes: dict[str, list[float]] = {}

    def node_ran(self, node: str, outputs: Mapping[str, Any], seconds: float) -> None:
        """Add one call."""
        if (one := self._nodes.get(node)) is None:
            one = self._nodes[node] = [0, 0.0, 0]
        one[0] += 1
        one[1] += seconds
        if (size := nbytes(outputs)) > one[2]:
            one[2] = size

    def told(self) -> dict[str, Any]:
        """By node the calls, seconds and bytes; and the most that the process ever held."""
        names = ("calls", "seconds", "bytes")
        nodes = {name: dict(zip(names, one, strict=True)) for name, one in self._nodes.items()}
        return {"costs": {"nodes": nodes, "peak": peak(), "gpu_peak": gpu_peak()}}


def peak() -> int | None:
    """The most memory that this process ever held, in bytes; None where nobody knows."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)


def gpu_peak() -> int | None:
    """The most memory that torch ever held on the GPU, in bytes; None where there is none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return int(torch.cuda.max_memory_allocated())
