"""Several decisions on a pixel become one."""

from typing import Any, Literal

import numpy as np

from specloom import Batch, Input, Output, Ported, node


@node
class FuseDecisions(Ported):
    """Fuses any number of decisions (B, H, W, 1) into one.

    Args:
        method: ``any`` where one decision suffices, ``all`` where each is needed, ``majority``
            where more than half are.
    """

    decisions = Input("B H W 1", dtype="bool", many=True, doc="True where an anomaly was decided.")
    fused = Output("B H W 1", dtype="bool", doc="True where an anomaly is.")
    locality = "pixel"
    array_library = "numpy"

    method: Literal["any", "all", "majority"] = "any"

    def forward(self, decisions: Any) -> Batch:
        """Fuse the decisions on each pixel."""
        if self.method == "any":
            return {"fused": np.logical_or.reduce(decisions)}
        if self.method == "all":
            return {"fused": np.logical_and.reduce(decisions)}
        votes = np.zeros(decisions[0].shape, np.int64)
        for decided in decisions:
            votes += decided
        return {"fused": 2 * votes > len(decisions)}
