"""Reed-Xiaoli anomaly detectors, and logits from their scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

MODULES = {
    "Background": "specloom_rx.background",
    "background_from": "specloom_rx.background",
    "background_mask": "specloom_rx.background",
    "check_regularisation": "specloom_rx.whitening",
    "scale_to_correlation": "specloom_rx.whitening",
    "warn_about_unsupported": "specloom_rx.background",
    "whiten": "specloom_rx.whitening",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe rx --write`.
__all__ = [
    "Background",
    "LocalRX",
    "RXGlobal",
    "RXPerBatch",
    "RobustRX",
    "ScoreToLogit",
    "SubspaceRX",
    "background_from",
    "background_mask",
    "check_regularisation",
    "scale_to_correlation",
    "warn_about_unsupported",
    "whiten",
]

if TYPE_CHECKING:
    from specloom_rx.background import (
        Background,
        background_from,
        background_mask,
        warn_about_unsupported,
    )
    from specloom_rx.detector import RXGlobal
    from specloom_rx.local import LocalRX
    from specloom_rx.logit import ScoreToLogit
    from specloom_rx.per_batch import RXPerBatch
    from specloom_rx.robust import RobustRX
    from specloom_rx.subspace import SubspaceRX
    from specloom_rx.whitening import check_regularisation, scale_to_correlation, whiten
else:
    __getattr__ = lazy(__name__, **MODULES)
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
