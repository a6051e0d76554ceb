"""Detection of known targets, and extraction of their spectra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import Port, impl
from specloom.lazy import lazy
from specloom_targets.info import TARGET_INFO

MODULES = {
    "class_spectra": "specloom_targets.extract",
    "match_wavelengths": "specloom_targets.matching",
    "object_spectra": "specloom_targets.extract",
    "pixel_spectra": "specloom_targets.extract",
    "write_spectra": "specloom_targets.writing",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe targets --write`.
__all__ = [
    "ACE",
    "CEM",
    "OSP",
    "TARGET_INFO",
    "MatchedFilter",
    "SpectralAngle",
    "SpectralInformationDivergence",
    "class_spectra",
    "match_wavelengths",
    "object_spectra",
    "pixel_spectra",
    "write_spectra",
]

if TYPE_CHECKING:
    from specloom_targets.ace import ACE
    from specloom_targets.angle import SpectralAngle
    from specloom_targets.cem import CEM
    from specloom_targets.divergence import SpectralInformationDivergence
    from specloom_targets.extract import class_spectra, object_spectra, pixel_spectra
    from specloom_targets.matched_filter import MatchedFilter
    from specloom_targets.matching import match_wavelengths
    from specloom_targets.osp import OSP
    from specloom_targets.writing import write_spectra
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the detectors of known targets."""
    return {
        "ACE": "specloom_targets.ace:ACE",
        "CEM": "specloom_targets.cem:CEM",
        "MatchedFilter": "specloom_targets.matched_filter:MatchedFilter",
        "OSP": "specloom_targets.osp:OSP",
        "SpectralAngle": "specloom_targets.angle:SpectralAngle",
        "SpectralInformationDivergence": (
            "specloom_targets.divergence:SpectralInformationDivergence"
        ),
    }


@impl
def register_commands() -> Mapping[str, str]:
    """Offer ``specloom spectra``."""
    return {"spectra": "specloom_targets.command:spectra"}


@impl
def register_ports() -> Mapping[str, Port]:
    """Offer the kind of value that names the targets of a detector."""
    return {"target_info": TARGET_INFO}
