"""Pretreatments of spectra: scatter, smoothing, derivatives, baselines, continuum, scaling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

# Public names, imported on first use: written by `specloom plugins describe pretreatments --write`.
__all__ = [
    "EMSC",
    "MSC",
    "SNV",
    "ALSBaseline",
    "Absorbance",
    "ContinuumRemoval",
    "Detrend",
    "MeanCentring",
    "RobustScaling",
    "SavitzkyGolay",
    "UnitNorm",
    "UnitVariance",
    "ZScore",
]

if TYPE_CHECKING:
    from specloom_pretreatments.absorbance import Absorbance
    from specloom_pretreatments.baseline import ALSBaseline
    from specloom_pretreatments.continuum import ContinuumRemoval
    from specloom_pretreatments.detrend import Detrend
    from specloom_pretreatments.emsc import EMSC
    from specloom_pretreatments.msc import MSC
    from specloom_pretreatments.robust import RobustScaling
    from specloom_pretreatments.savitzky_golay import SavitzkyGolay
    from specloom_pretreatments.scaling import MeanCentring, UnitVariance, ZScore
    from specloom_pretreatments.snv import SNV
    from specloom_pretreatments.unit_norm import UnitNorm
else:
    __getattr__ = lazy(__name__)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the pretreatments."""
    return {
        "ALSBaseline": "specloom_pretreatments.baseline:ALSBaseline",
        "Absorbance": "specloom_pretreatments.absorbance:Absorbance",
        "ContinuumRemoval": "specloom_pretreatments.continuum:ContinuumRemoval",
        "Detrend": "specloom_pretreatments.detrend:Detrend",
        "EMSC": "specloom_pretreatments.emsc:EMSC",
        "MSC": "specloom_pretreatments.msc:MSC",
        "MeanCentring": "specloom_pretreatments.scaling:MeanCentring",
        "RobustScaling": "specloom_pretreatments.robust:RobustScaling",
        "SNV": "specloom_pretreatments.snv:SNV",
        "SavitzkyGolay": "specloom_pretreatments.savitzky_golay:SavitzkyGolay",
        "UnitNorm": "specloom_pretreatments.unit_norm:UnitNorm",
        "UnitVariance": "specloom_pretreatments.scaling:UnitVariance",
        "ZScore": "specloom_pretreatments.scaling:ZScore",
    }
