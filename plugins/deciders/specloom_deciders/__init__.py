"""Binary decisions from anomaly scores and logits."""

from collections.abc import Mapping

from specloom import impl

__version__ = "0.1.0"


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the nodes."""
    return {
        "BinaryDecider": "specloom_deciders.binary:BinaryDecider",
        "QuantileBinaryDecider": "specloom_deciders.quantile:QuantileBinaryDecider",
        "TwoStageBinaryDecider": "specloom_deciders.two_stage:TwoStageBinaryDecider",
    }
