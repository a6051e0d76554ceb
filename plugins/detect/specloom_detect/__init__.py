"""Anomalies of cubes without masks: ``specloom detect CUBE``, and ``detect(cube)`` in Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

MODULES = {
    "DEFAULT_METHOD": "specloom_detect.run_files",
    "Detection": "specloom_detect.detection",
    "as_node": "specloom_detect.own",
    "build_pipeline": "specloom_detect.run_files",
    "detect": "specloom_detect.detection",
    "run_file": "specloom_detect.run_files",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe detect --write`.
__all__ = [
    "DEFAULT_METHOD",
    "CensoredTail",
    "Detection",
    "FunctionDetector",
    "as_node",
    "build_pipeline",
    "detect",
    "run_file",
]

if TYPE_CHECKING:
    from specloom_detect.detection import Detection, detect
    from specloom_detect.own import FunctionDetector, as_node
    from specloom_detect.run_files import DEFAULT_METHOD, build_pipeline, run_file
    from specloom_detect.threshold import CensoredTail
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the node that calls a function of this process."""
    return {"FunctionDetector": "specloom_detect.own:FunctionDetector"}


@impl
def register_trainers() -> Mapping[str, str]:
    """Offer the phase that sets a threshold without masks."""
    return {"CensoredTail": "specloom_detect.threshold:CensoredTail"}


@impl
def register_commands() -> Mapping[str, str]:
    """Offer ``specloom detect``."""
    return {"detect": "specloom_detect.command:detect"}
