"""Reed-Xiaoli anomaly detectors, and logits from their scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

# Public names, imported on first use: written by `specloom plugins describe rx --write`.
__all__ = ["LocalRX", "RXGlobal", "RXPerBatch", "RobustRX", "ScoreToLogit", "SubspaceRX"]

if TYPE_CHECKING:
    from specloom_rx.detector import RXGlobal
    from specloom_rx.local import LocalRX
    from specloom_rx.logit import ScoreToLogit
    from specloom_rx.per_batch import RXPerBatch
    from specloom_rx.robust import RobustRX
    from specloom_rx.subspace import SubspaceRX
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the detectors and the step from scores to logits."""
    return {
        "LocalRX": "specloom_rx.local:LocalRX",
        "RXGlobal": "specloom_rx.detector:RXGlobal",
        "RXPerBatch": "specloom_rx.per_batch:RXPerBatch",
        "RobustRX": "specloom_rx.robust:RobustRX",
        "ScoreToLogit": "specloom_rx.logit:ScoreToLogit",
        "SubspaceRX": "specloom_rx.subspace:SubspaceRX",
    }
