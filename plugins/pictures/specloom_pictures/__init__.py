"""Pictures of the input, decisions and band selection of an anomaly detector."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from specloom import Port, impl
from specloom.lazy import lazy

ARTIFACTS = Port(
    None,
    dtype="record",
    kind="pictures.artifacts",
    per_stage=True,
    doc="Pictures by name, uint8 (H, W, 3) in red, green and blue.",
)

MODULES = {"false_colour": "specloom_pictures.colour_images"}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe pictures --write`.
__all__ = ["ARTIFACTS", "AnomalyMask", "CubeRGBVisualizer", "DRCNNTensorBoardViz", "false_colour"]

if TYPE_CHECKING:
    from specloom_pictures.anomaly_mask import AnomalyMask
    from specloom_pictures.colour_images import false_colour
    from specloom_pictures.cube_rgb import CubeRGBVisualizer
    from specloom_pictures.drcnn import DRCNNTensorBoardViz
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the nodes."""
    return {
        "AnomalyMask": "specloom_pictures.anomaly_mask:AnomalyMask",
        "CubeRGBVisualizer": "specloom_pictures.cube_rgb:CubeRGBVisualizer",
        "DRCNNTensorBoardViz": "specloom_pictures.drcnn:DRCNNTensorBoardViz",
    }


@impl
def draw_cube(values: Any, wavelengths: Any) -> Any:
    """Draw a cube in false colours."""
    from specloom_pictures.colour_images import false_colour

    return false_colour(values, wavelengths)


@impl
def register_ports() -> Mapping[str, Port]:
    """Offer the kind of value that pictures are."""
    return {"artifacts": ARTIFACTS}
