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

MODULES = {
    "ColourScale": "specloom_pictures.score_colours",
    "DECIDED": "specloom_pictures.palette",
    "EXCLUDED": "specloom_pictures.palette",
    "FALSE_NEGATIVE": "specloom_pictures.palette",
    "FALSE_POSITIVE": "specloom_pictures.palette",
    "Spread": "specloom_pictures.score_colours",
    "TRUE_POSITIVE": "specloom_pictures.palette",
    "cividis": "specloom_pictures.score_colours",
    "colour_bands": "specloom_pictures.colour_images",
    "colour_scale": "specloom_pictures.score_colours",
    "colour_scores": "specloom_pictures.score_colours",
    "common_scale": "specloom_pictures.score_colours",
    "false_colour": "specloom_pictures.colour_images",
    "percentiles": "specloom_pictures.score_colours",
    "spread": "specloom_pictures.score_colours",
    "stretched_colours": "specloom_pictures.colour_images",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe pictures --write`.
__all__ = [
    "ARTIFACTS",
    "DECIDED",
    "EXCLUDED",
    "FALSE_NEGATIVE",
    "FALSE_POSITIVE",
    "TRUE_POSITIVE",
    "AnomalyMask",
    "ColourScale",
    "CubeRGBVisualizer",
    "DRCNNTensorBoardViz",
    "Spread",
    "cividis",
    "colour_bands",
    "colour_scale",
    "colour_scores",
    "common_scale",
    "false_colour",
    "percentiles",
    "spread",
    "stretched_colours",
]

if TYPE_CHECKING:
    from specloom_pictures.anomaly_mask import AnomalyMask
    from specloom_pictures.colour_images import colour_bands, false_colour, stretched_colours
    from specloom_pictures.cube_rgb import CubeRGBVisualizer
    from specloom_pictures.drcnn import DRCNNTensorBoardViz
    from specloom_pictures.palette import (
        DECIDED,
        EXCLUDED,
        FALSE_NEGATIVE,
        FALSE_POSITIVE,
        TRUE_POSITIVE,
    )
    from specloom_pictures.score_colours import (
        ColourScale,
        Spread,
        cividis,
        colour_scale,
        colour_scores,
        common_scale,
        percentiles,
        spread,
    )
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
