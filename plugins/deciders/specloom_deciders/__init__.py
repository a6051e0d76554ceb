"""Binary decisions from anomaly scores and logits."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

__version__ = "0.2.0"


# Public names, imported on first use: written by `specloom plugins describe deciders --write`.
__all__ = ["BinaryDecider", "QuantileBinaryDecider", "TwoStageBinaryDecider"]

if TYPE_CHECKING:
    from specloom_deciders.binary import BinaryDecider
    from specloom_deciders.quantile import QuantileBinaryDecider
    from specloom_deciders.two_stage import TwoStageBinaryDecider
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the nodes."""
    return {
        "BinaryDecider": "specloom_deciders.binary:BinaryDecider",
        "QuantileBinaryDecider": "specloom_deciders.quantile:QuantileBinaryDecider",
        "TwoStageBinaryDecider": "specloom_deciders.two_stage:TwoStageBinaryDecider",
    }
