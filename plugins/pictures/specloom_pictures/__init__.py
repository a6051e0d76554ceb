"""Pictures of the input, decisions and band selection of an anomaly detector."""

from collections.abc import Mapping

from specloom import Port, impl

ARTIFACTS = Port(
    None,
    dtype="record",
    kind="pictures.artifacts",
    per_stage=True,
    doc="Pictures by name, uint8 (H, W, 3) in red, green and blue.",
)


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the nodes."""
    return {
        "AnomalyMask": "specloom_pictures.anomaly_mask:AnomalyMask",
        "CubeRGBVisualizer": "specloom_pictures.cube_rgb:CubeRGBVisualizer",
        "DRCNNTensorBoardViz": "specloom_pictures.drcnn:DRCNNTensorBoardViz",
    }


@impl
def register_ports() -> Mapping[str, Port]:
    """Offer the kind of value that pictures are."""
    return {"artifacts": ARTIFACTS}
